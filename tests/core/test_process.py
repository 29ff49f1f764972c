"""Life and death of a process, each in a process of its own: whatever ends it, what it recorded arrives."""

import signal
import threading
from pathlib import Path

import pytest
from chaos import Chaos, Reply
from helpers import Service, events, of_session, shape
from programs import end, leading_to, run, said, start

WHOLE = ["start_session", "Conversation Started", "Conversation Turn", "Conversation Ended", "end_session"]
#: Without an explicit start: the session was given a name.
NAMED = WHOLE[1:]

BEGIN = """
import sys, threading, os
from mindlytics_core import Client, Delivery
# Longer than a busy machine may need; what is about the limit sets its own.
session = Client(delivery=Delivery(exit_timeout=60)).create_session(id="ann")
session.track_conversation_turn(user="Hi", assistant="Hello!")
"""


def by_name(service: Service) -> dict[str, str]:
    return service.environment() | {"MLSDK_SERVER_BASE": service.url.replace("127.0.0.1", "localhost")}


# Exit delivers.

ENDINGS = {
    "the end of the file": ("", 0, ""),
    "sys.exit": ("sys.exit(3)", 3, ""),
    "an exception": ("1 / 0", 1, "ZeroDivisionError"),
    "sys.exit in a thread": ("threading.Thread(target=sys.exit).start()", 0, ""),
    "a daemon thread that never ends": (
        "threading.Thread(target=threading.Event().wait, daemon=True).start()",
        0,
        "",
    ),
    "an exit handler that still records": (
        "import atexit; atexit.register(lambda: session.end_session())",
        0,
        "",
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_whatever_ends_the_program_everything_is_ended_and_delivered(service: Service, ending: str):
    code, status, complaint = ENDINGS[ending]

    # By name: it must still be resolved when the interpreter has begun to exit, which is the harder way.
    finished = run(BEGIN + code, by_name(service))

    assert finished.returncode == status
    assert complaint in finished.stderr
    assert "mindlytics" not in said(finished)
    assert shape(events(service)) == WHOLE


def test_an_address_does_as_well_as_a_name(service: Service):
    finished = run(BEGIN, service.environment())

    assert (finished.returncode, said(finished)) == (0, "")
    assert shape(events(service)) == WHOLE


def test_an_exit_handler_made_after_the_import_may_still_record_when_the_client_came_later(service: Service):
    code = """
    import atexit, mindlytics_core
    atexit.register(lambda: session.track_event(event="Last words"))
    session = mindlytics_core.Client().create_session(session_id="s", id="ann")
    """

    finished = run(code, by_name(service))

    assert (finished.returncode, said(finished)) == (0, "")
    assert shape(events(service)) == ["Last words", "end_session"]


def test_what_threads_record_after_the_main_thread_is_delivered_too(service: Service):
    code = """
    import threading, mindlytics_core
    client = mindlytics_core.Client()
    main = threading.main_thread()

    def late():
        main.join()
        client.create_session(session_id="late", id="ann").track_event(event="Late")

    threading.Thread(target=late).start()
    """

    finished = run(code, by_name(service))

    assert (finished.returncode, said(finished)) == (0, "")
    assert shape(events(service)) == ["Late", "end_session"]


def test_what_waits_for_its_answer_in_a_thread_at_exit_is_a_failed_turn_of_its_own_process_only(service: Service):
    code = """
    import os, sys, threading
    from mindlytics_core import Client
    client, asked = Client(), threading.Event()

    def ask():
        with client.exchange("Where is my order?") as exchange:
            asked.set()
            threading.Event().wait()

    threading.Thread(target=ask, daemon=True).start()
    assert asked.wait(10)
    child = os.fork()
    if not child:
        sys.exit()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    """

    finished = run(code, by_name(service))

    assert (finished.returncode, said(finished)) == (0, "")
    found = events(service)
    assert shape(found) == [
        "start_session",
        "Conversation Started",
        "Turn Failed",
        "Conversation Ended",
        "end_session",
    ]
    properties = found[2]["properties"]
    assert (properties["user"], properties["error"]) == ("Where is my order?", "NoAnswer")


def test_a_thousand_events_of_many_sessions_leave_in_order_at_exit(service: Service):
    code = """
    from mindlytics_core import Client, Delivery
    client = Client(delivery=Delivery(exit_timeout=60))
    sessions = [client.create_session(session_id=f"s{number}", id="ann") for number in range(10)]
    for number in range(100):
        for session in sessions:
            session.track_event(event=f"{number}")
    """

    finished = run(code, by_name(service))

    assert (finished.returncode, said(finished)) == (0, "")
    found = events(service)
    for number in range(10):
        assert shape(of_session(found, f"s{number}")) == [*map(str, range(100)), "end_session"]


def test_an_exit_that_takes_longer_than_a_second_says_so_and_still_delivers(chaos: Chaos):
    answer = threading.Event()
    chaos.script(Reply(gate=answer))
    program = start(BEGIN, leading_to(chaos))
    assert program.stderr is not None

    first = program.stderr.readline()
    answer.set()
    finished = end(program)

    assert first == "mindlytics: delivering the last events; Ctrl-C ends it\n"
    assert (finished.returncode, said(finished)) == (0, "")
    assert [event["type"] for event in chaos.events()] == ["start_session", "track", "track", "track", "end_session"]


def test_an_exit_before_a_server_that_never_answers_is_limited_and_counts_what_is_lost(chaos: Chaos):
    chaos.decide = lambda _: Reply(then="hang")
    code = BEGIN.replace("exit_timeout=60", "exit_timeout=1.1")

    finished = run(code, leading_to(chaos))

    assert finished.returncode == 0
    assert finished.stderr.splitlines()[-1] == "mindlytics: 5 events could not be delivered before the exit"


def test_ctrl_c_ends_the_waiting_at_exit(chaos: Chaos):
    chaos.decide = lambda _: Reply(then="hang")
    # Ten minutes are more than the test would wait: that it ends is the proof.
    program = start(BEGIN.replace("exit_timeout=60", "exit_timeout=600"), leading_to(chaos))
    assert program.stderr is not None
    program.stderr.readline()

    program.send_signal(signal.SIGINT)
    finished = end(program)

    assert finished.returncode == 0
    assert finished.stderr.splitlines() == [
        "mindlytics: interrupted",
        "mindlytics: 5 events could not be delivered before the exit",
    ]


# After the exit's own work.


#: A program whose daemon threads are in the middle of our code, with locks of ours, when the interpreter is torn down.
LAST_WORDS = """
import atexit, copy, faulthandler, operator, os, sys, threading, types
faulthandler.dump_traceback_later(20, exit=True)
left = []
# Made before the import, so that it is called after our own.
atexit.register(lambda: [task() for task in left])
from mindlytics_core import Client, Delivery

client = Client(delivery=Delivery(max_events=1_000, exit_timeout=0.1), **({OPTIONS}))
session = client.create_session(session_id="visit", id="ann")
session.track_conversation_turn(user="Hi", assistant="Hello!")
exchange = client.exchange("Where is my order?")
freezing, go_on = threading.Event(), threading.Event()

def record(session, client, freezing, go_on):
    while True:
        session.track_event(event="busy")
        client.exchange("Hi").finish("Hello")

def hold(session, client, freezing, go_on):
    go_on.wait()
    book = client._book
    with session._lifecycle.lock, book._looking, book._sessions._lock, book._conversations._lock:
        freezing.set()
        threading.Event().wait()

class Dying:
    def __init__(self, session, client, exchange):
        self.parts = self, session, client, exchange

    def __del__(self, fd_write=os.write, is_finalizing=sys.is_finalizing):
        _, session, client, exchange = self.parts
        assert is_finalizing()
        assert not session.track_event(event="last words")
        exchange.finish("On its way.")
        client.exchange("And?").finish("Yes.")
        client.create_session(id="jane").track_event(event="hello")
        session.end_session()
        client.flush_sync(3600)
        stats = client.stats()
        assert stats.accepted == stats.delivered + stats.pending + sum(stats.dropped.values())
        fd_write(1, b"said")

def start(task):
    # Without this module's names: those are forgotten in time to free what they hold.
    alone = types.FunctionType(task.__code__, {"threading": threading})
    threading.Thread(target=alone, args=(session, client, freezing, go_on), daemon=True).start()

kept = Dying(session, client, exchange)
{THREADS}
"""
FROZEN = {
    "with every lock": """
start(hold)
left += [go_on.set, freezing.wait]
""",
    "wherever it is": """
for _ in range(3):
    start(record)
import time
time.sleep(0.02)
""",
}
OPTIONS = {"": "{}", " and code of the app's that looks": "{'before_send': copy.copy, 'on_drop': operator.eq}"}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=list(OPTIONS))
@pytest.mark.parametrize("frozen", FROZEN)
@pytest.mark.parametrize("_", [0, *(pytest.param(time, marks=pytest.mark.soak) for time in range(1, 15))])
def test_a_finaliser_that_records_while_the_interpreter_is_torn_down_waits_for_no_frozen_thread(
    chaos: Chaos, frozen: str, options: str, _: int
):
    chaos.decide = lambda _: Reply(503)
    finished = run(LAST_WORDS.replace("{OPTIONS}", options).replace("{THREADS}", FROZEN[frozen]), leading_to(chaos))

    assert (finished.returncode, finished.stdout) == (0, "said"), finished.stderr
    assert "Error" not in finished.stderr


def test_what_is_recorded_after_the_exit_has_been_worked_off_is_counted_as_closed(service: Service):
    code = """
    import atexit
    # Made before the import, so that it is called after our own.
    atexit.register(lambda: print(late(), client.stats().dropped, client.stats().pending))
    from mindlytics_core import Client
    client = Client()
    session = client.create_session(session_id="visit", id="ann")
    session.track_event(event="In time")
    def late():
        Client().create_session(session_id="other", id="ann").track_event(event="Too late too")
        return bool(session.track_event(event="Too late"))
    """

    finished = run(code, by_name(service))

    assert (finished.returncode, said(finished)) == (0, "")
    assert finished.stdout == "False {'closed': 2} 0\n"
    assert shape(events(service)) == ["In time", "end_session"]


# Start.


def test_nothing_starts_at_import_or_with_a_client(service: Service):
    code = """
    import sys, threading, gc, socket, signal, logging, asyncio
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    import mindlytics_core
    client = mindlytics_core.Client()
    client.create_session(id="ann")
    assert threading.enumerate() == [threading.main_thread()]
    assert [signal.getsignal(number) for number in signal.valid_signals()] == handlers
    assert not [thing for thing in gc.get_objects() if isinstance(thing, (socket.socket, asyncio.AbstractEventLoop))]
    assert not {"httpx", "httpx2", "multiprocessing"} & set(sys.modules)
    assert not logging.getLogger().handlers + logging.getLogger("mindlytics").handlers
    """

    finished = run(code, service.environment())

    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
    assert events(service) == []


def test_event_loops_may_come_and_go(service: Service):
    code = """
    import asyncio
    from mindlytics_core import Client
    client = Client()

    async def main(number):
        session = client.create_session(session_id=f"s{number}", id="ann")
        await session.track_event(event="Inside")
        assert await client.flush(10)
        session.track_event(event="Left behind")

    for number in range(3):
        asyncio.run(main(number))
    """

    finished = run(code, by_name(service))

    assert (finished.returncode, said(finished)) == (0, "")
    found = events(service)
    for number in range(3):
        assert shape(of_session(found, f"s{number}")) == ["Inside", "Left behind", "end_session"]


# Fork.


def test_a_fork_before_anything_was_recorded_leaves_two_processes_that_both_deliver(service: Service):
    code = """
    import os, sys
    from mindlytics_core import Client
    client = Client()
    child = os.fork()
    who = "parent" if child else "child"
    client.create_session(session_id=who, id=who).track_conversation_turn(user="Hi", assistant="Hello!")
    if not child:
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    """

    finished = run(code, by_name(service))

    assert (finished.returncode, said(finished)) == (0, "")
    found = events(service)
    assert shape(of_session(found, "parent")) == shape(of_session(found, "child")) == NAMED
    assert len(found) == 2 * len(NAMED)


def test_a_fork_with_events_waiting_loses_nothing_doubles_nothing_and_leaves_the_parent_whole(service: Service):
    code = """
    import os, sys
    from mindlytics_core import Client, Delivery
    client = Client(delivery=Delivery(linger=600))  # what is not flushed waits
    shared = client.create_session(session_id="shared", id="ann")
    shared.track_event(event="1 before, delivered")
    assert client.flush_sync(10)
    shared.track_event(event="2 before, waiting")
    child = os.fork()
    if not child:
        assert client.stats().accepted == 0
        own = client.create_session(session_id="own", id="bob")
        own.track_event(event="Own")
        shared.track_event(event="3 added by the child")
        assert client.flush_sync(10).delivered == 2
        own.track_event(event="Own, at exit")
        sys.exit()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    shared.track_event(event="4 after")
    for number in range(5):
        shared.track_event(event=f"5.{number} after")
        assert client.flush_sync(10)
    """

    finished = run(code, by_name(service))

    assert (finished.returncode, said(finished)) == (0, "")
    found = events(service)
    assert shape(of_session(found, "own")) == ["Own", "Own, at exit", "end_session"]
    assert sorted(shape(of_session(found, "shared"))) == [
        "1 before, delivered",
        "2 before, waiting",
        "3 added by the child",
        "4 after",
        *(f"5.{number} after" for number in range(5)),
        "end_session",
    ]


def test_a_child_ends_only_the_conversations_that_it_began_in_its_parents_session(service: Service):
    code = """
    import os, sys
    from mindlytics_core import Client
    client = Client()
    shared = client.create_session(session_id="shared", id="ann")
    shared.track_conversation_turn(user="Hi", assistant="Hello!", conversation_id="parents")
    assert client.flush_sync(10)
    child = os.fork()
    if not child:
        shared.track_conversation_turn(user="And?", assistant="Yes.", conversation_id="parents")
        shared.track_conversation_turn(user="Hi", assistant="Hello!", conversation_id="childs")
        sys.exit()
    os.waitpid(child, 0)
    shared.track_conversation_turn(user="Still?", assistant="Yes.", conversation_id="parents")
    """

    finished = run(code, by_name(service))

    assert (finished.returncode, said(finished)) == (0, "")
    found = events(service)
    turn = "Conversation Turn"
    whole = ["Conversation Started", turn, "Conversation Ended"]
    assert shape([event for event in found if event.get("conversation_id") == "childs"]) == whole
    assert shape([event for event in found if event.get("conversation_id") == "parents"]) == [
        *whole[:1],
        turn,
        turn,
        turn,
        *whole[2:],
    ]
    assert shape(found).count("end_session") == 1
    assert shape(found)[-1] == "end_session"


def test_a_fork_while_another_thread_holds_every_lock_of_ours_does_not_stop_the_child(service: Service):
    code = """
    import os, sys, threading
    import mindlytics_core
    from mindlytics_core import _process
    client = mindlytics_core.default_client()
    shared = client.create_session(session_id="shared", id="ann")
    shared.track_event(event="Before")
    exchange = client.exchange("Where is my order?")
    locks = [shared._lifecycle.lock, _process.PROCESS.lock, exchange._lock]
    locks += [client._book._sessions._lock, client._book._conversations._lock]
    held, forked = threading.Event(), threading.Event()

    def hold():
        for lock in locks:
            lock.acquire()
        held.set()
        forked.wait()
        for lock in locks:
            lock.release()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if not child:
        shared.track_event(event="From the child")
        exchange.function_call("find")
        mindlytics_core.default_client().create_session(id="bob").track_conversation_turn(user="Hi", assistant="!")
        assert mindlytics_core.flush_sync(10)
        sys.exit()
    forked.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    """

    finished = run(code, by_name(service))

    assert (finished.returncode, said(finished)) == (0, "")
    assert {"Before", "From the child", "Conversation Turn"} < set(shape(events(service)))


def test_a_fork_while_another_thread_makes_the_first_client_waits_for_the_import(service: Service):
    code = """
    import os, sys, threading
    import mindlytics_core
    begun, forked = threading.Event(), threading.Event()

    class Slow:
        def find_spec(self, name, *_):
            if name == "mindlytics_core._lanes":
                begun.set()
                forked.wait(0.3)

    sys.meta_path.insert(0, Slow())
    thread = threading.Thread(target=mindlytics_core.Client)
    thread.start()
    begun.wait()
    child = os.fork()
    forked.set()
    mindlytics_core.Client().create_session(id="jjacob").track_conversation_turn(user="Hi", assistant="Hello!")
    if not child:
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    """

    finished = run(code, by_name(service))

    assert (finished.returncode, said(finished)) == (0, "")
    assert shape(events(service)).count("Conversation Turn") == 2


def test_children_of_multiprocessing_deliver_whichever_way_they_are_made(service: Service, tmp_path: Path):
    code = """
    import multiprocessing
    from mindlytics_core import Client, default_client

    def record(name):
        default_client().create_session(session_id=name, id=name).track_event(event="From a child")

    if __name__ == "__main__":
        default_client().create_session(session_id="parent", id="ann").track_event(event="From the parent")
        methods = [multiprocessing.get_context(method) for method in ("fork", "spawn", "forkserver")]
        children = [context.Process(target=record, args=(context.get_start_method(),)) for context in methods]
        for child in children:
            child.start()
        for child in children:
            child.join()
            assert child.exitcode == 0, child
        with multiprocessing.get_context("fork").Pool(1) as pool:
            pool.apply(record, ["pool"])
            pool.close()
            pool.join()
    """

    finished = run(code, by_name(service), file=tmp_path / "program.py")

    assert (finished.returncode, said(finished)) == (0, "")
    found = events(service)
    assert shape(of_session(found, "parent")) == ["From the parent", "end_session"]
    for child in ("fork", "spawn", "forkserver", "pool"):
        assert shape(of_session(found, child)) == ["From a child", "end_session"]
