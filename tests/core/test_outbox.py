"""The app's own code looks at events: whatever locks it takes and whatever it tracks, nobody waits for ever."""

import signal
import threading
from collections.abc import Callable
from typing import Any, cast

import pytest
from helpers import Service, events, shape
from programs import run

from mindlytics_core import Client, Event
from mindlytics_core._line import overtake
from mindlytics_core._model import SessionEnded
from mindlytics_core._outbox import Outbox
from mindlytics_core._receipt import TAKEN, Receipt

ASKED = {"user": "Where is my order?", "assistant": "On its way."}


def named(event: Event) -> str:
    return getattr(event, "name", "")


class Look:
    """A `before_send` that stands still at an event of one name, until it is let go."""

    def __init__(self, at: str) -> None:
        self.at = at
        self.is_there, self.may_go = threading.Event(), threading.Event()

    def __call__(self, event: Event) -> Event:
        if named(event) == self.at:
            self.is_there.set()
            assert self.may_go.wait(10)
        return event


def in_thread(task: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=task)
    thread.start()
    return thread


def test_two_sessions_whose_events_track_in_each_other_do_not_wait_for_each_other(
    new_client: Callable[..., Client], service: Service
):
    both = threading.Barrier(2)
    sessions = {}

    def before_send(event: Event) -> Event:
        if named(event) in sessions:
            both.wait(10)
            sessions[named(event)].track_event(event=f"from {event.session_id}")
        return event

    client = new_client(before_send=before_send)
    one, other = (client.create_session(session_id=name, id="jjacob") for name in ("one", "other"))
    sessions.update({"to other": other, "to one": one})
    threads = [
        in_thread(lambda: one.track_event(event="to other")),
        in_thread(lambda: other.track_event(event="to one")),
    ]
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert client.flush_sync()

    assert sorted(shape(events(service))) == ["from one", "from other", "to one", "to other"]


def test_a_lock_of_the_app_s_own_and_ours_are_never_waited_for_crosswise(
    new_client: Callable[..., Client], service: Service
):
    lock, is_taken = threading.Lock(), threading.Event()

    def before_send(event: Event) -> Event:
        if named(event) == "first":
            assert is_taken.wait(10)
            with lock:
                return event
        return event

    client = new_client(before_send=before_send)
    session = client.create_session(session_id="visit", id="jjacob")
    with lock:
        first = in_thread(lambda: session.track_event(event="first"))
        is_taken.set()
        session.track_event(event="second")
        with client.exchange("Hi") as exchange:
            exchange.function_call("find")
            exchange.finish("Hello")
    first.join(10)
    assert client.flush_sync()

    names = [event["event"] for event in events(service) if event["session_id"] == "visit"]
    assert sorted(names) == ["first", "second"]


def test_an_exchange_may_be_opened_while_an_event_is_looked_at(new_client: Callable[..., Client], service: Service):
    clients: list[Client] = []

    def before_send(event: Event) -> Event:
        if named(event) == "Asked":
            clients[0].exchange("Is this private?").finish("No.")
        return event

    clients.append(new_client(before_send=before_send))
    clients[0].create_session(id="jjacob").track_event(event="Asked")
    clients[0].close()

    assert shape(events(service)).count("Conversation Turn") == 1


def test_the_order_of_a_session_is_that_of_its_calls_however_long_one_is_looked_at(
    new_client: Callable[..., Client], service: Service
):
    look = Look("first")
    client = new_client(before_send=look)
    session = client.create_session(id="jjacob")
    first = in_thread(lambda: session.track_event(event="first"))
    assert look.is_there.wait(10)
    session.track_event(event="second")
    client.create_session(id="jane").track_event(event="of another session")
    look.may_go.set()
    first.join()
    assert client.flush_sync()

    mine = [event for event in events(service) if event["session_id"] == session.session_id]
    assert shape(mine) == ["start_session", "first", "second"]


def test_a_session_that_begins_anew_does_so_after_its_end(new_client: Callable[..., Client], service: Service):
    look = Look("first")
    client = new_client(before_send=look)
    session = client.create_session(session_id="visit", id="jjacob")
    first = in_thread(lambda: session.track_event(event="first"))
    assert look.is_there.wait(10)
    session.end_session()
    client.create_session(session_id="visit", id="jjacob").track_event(event="second")
    look.may_go.set()
    first.join()
    assert client.flush_sync()

    assert shape(events(service)) == ["first", "end_session", "second"]


@pytest.mark.parametrize("behind", [[], ["second"]])
def test_a_flush_waits_for_what_is_looked_at(new_client: Callable[..., Client], service: Service, behind: list[str]):
    look = Look("first")
    client = new_client(before_send=look)
    session = client.create_session(session_id="visit", id="jjacob")
    first = in_thread(lambda: session.track_event(event="first"))
    assert look.is_there.wait(10)
    for name in behind:
        session.track_event(event=name)
    threading.Timer(0.05, look.may_go.set).start()
    assert client.flush_sync()

    assert shape(events(service)) == ["first", *behind]
    first.join()


def test_a_flush_by_the_app_s_code_that_looks_waits_for_nobody(new_client: Callable[..., Client], service: Service):
    clients: list[Client] = []

    def before_send(event: Event) -> Event:
        if named(event) == "second":
            clients[0].flush_sync(3600)
        return event

    clients.append(new_client(before_send=before_send))
    session = clients[0].create_session(session_id="visit", id="jjacob")
    session.track_event(event="first")
    session.track_event(event="second")
    assert clients[0].flush_sync()

    assert shape(events(service)) == ["first", "second"]


def test_a_signal_that_ends_the_process_in_a_look_delivers_what_came_before_and_the_ends(service: Service):
    done = run(
        """
        import os, signal
        from mindlytics_core import Client, install_signal_handlers

        def before_send(event):
            if getattr(event, "name", "") == "second":
                os.kill(os.getpid(), signal.SIGTERM)
            return event

        install_signal_handlers()
        session = Client(before_send=before_send).create_session(session_id="visit", id="jjacob")
        session.track_event(event="first")
        session.track_event(event="second")
        """,
        service.environment(),
    )
    assert done.returncode == -signal.SIGTERM
    assert shape(events(service)) == ["first", "end_session"]


def test_a_signal_in_the_middle_of_leaving_gets_what_it_records_out_before_it_ends_the_process():
    sent: list[Any] = []

    def prepare(event: Any) -> Callable[[], Receipt]:
        def send() -> Receipt:
            if event == "first":
                line.add(cast("Event", "end"))
                # What the exit does when it has waited for long enough.
                overtake(outbox.passing())
                assert sent == ["end"]
            sent.append(event)
            return TAKEN

        return send

    outbox = Outbox(lambda: None, prepare, lambda _: TAKEN, is_needed=True)
    line = outbox.line("visit")
    line.add(cast("Event", "first"))

    assert sent == ["end", "first"]
    assert outbox.waiting() == 0


@pytest.mark.parametrize("flush", ["flush_sync", "close"])
def test_a_flush_takes_what_it_can_past_an_event_whose_look_does_not_end(new_client: Callable[..., Client], flush: str):
    look = Look("first")
    client = new_client(before_send=look)
    session = client.create_session(session_id="visit", id="jjacob")
    first = in_thread(lambda: session.track_event(event="first"))
    assert look.is_there.wait(10)
    session.track_event(event="second")
    result = getattr(client, flush)(0.3)
    assert client.stats().accepted == 2 + (flush == "close")
    assert not result.ok, "the one that is looked at was accepted, and has not left"
    assert result.pending >= 1
    look.may_go.set()
    first.join()
    assert client.flush_sync()

    stats = client.stats()
    assert stats.accepted == stats.delivered + sum(stats.dropped.values())
    assert stats.dropped == ({"closed": 1} if flush == "close" else {})


def test_an_end_that_comes_by_itself_is_not_looked_at_by_the_thread_that_delivers(
    new_client: Callable[..., Client], service: Service
):
    look = Look("")
    threads: list[str] = []

    def before_send(event: Event) -> Event:
        if isinstance(event, SessionEnded):
            threads.append(threading.current_thread().name)
            look.is_there.set()
            assert look.may_go.wait(10)
        return event

    client = new_client(before_send=before_send, idle_timeout=0.05)
    client.create_session(session_id="visit", id="jjacob").track_event(event="first")
    assert look.is_there.wait(10)
    client.create_session(session_id="other", id="jane").track_event(event="second")
    client._book.worker.flush().done.result(10)

    assert "second" in shape(events(service))
    look.may_go.set()
    assert threads[0] == "mindlytics-callbacks"


def test_what_waits_behind_a_look_that_does_not_end_is_bounded(new_client: Callable[..., Client]):
    look = Look("first")
    client = new_client(before_send=look)
    session = client.create_session(session_id="visit", id="jjacob")
    first = in_thread(lambda: session.track_event(event="first"))
    assert look.is_there.wait(10)
    for number in range(2_500):
        session.track_event(event=f"event {number}")
    assert client.stats().accepted == 2_501
    assert client._book.outbox.waiting() <= 1_001
    look.may_go.set()
    first.join()

    assert client._book.outbox.waiting() == 0


def test_a_look_that_is_broken_off_costs_its_event_and_no_other(new_client: Callable[..., Client], service: Service):
    def before_send(event: Event) -> Event:
        if named(event) == "first":
            raise KeyboardInterrupt
        return event

    client = new_client(before_send=before_send)
    session = client.create_session(session_id="visit", id="jjacob")
    with pytest.raises(KeyboardInterrupt):
        session.track_event(event="first")
    assert session.track_event(event="second")
    assert client.flush_sync()

    assert shape(events(service)) == ["second"]
    assert client.stats().dropped == {"before_send": 1}
