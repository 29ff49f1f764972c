"""The network's and the process's faults, one by one: what is lost (nothing), and when it is over."""

import queue
import socket
import threading
import time
from typing import Any

import pytest
import trustme
from certificates import CERTIFICATES, serving
from chaos import Chaos, Reply
from helpers import of_session
from programs import leading_to, run, said

from mindlytics_core import Client, DeliveryPaused, Session, _callbacks
from mindlytics_core._callbacks import CALLBACKS

WATCHDOG = 30
ALL = set(range(99))


def track(session: Session, *numbers: int) -> None:
    for number in numbers:
        session.track_event(event=f"e{number}")


def names(found: list[dict[str, Any]], session: Session) -> list[str]:
    return [event["event"] for event in of_session(found, session.session_id) if "event" in event]


# The network.


@pytest.mark.parametrize("then", ["close", "drip"])
def test_a_connection_that_is_closed_or_drips_loses_nothing(chaos: Chaos, hasty, then: str):
    client = hasty(attempt_timeout=0.2)
    session = client.create_session(id="u")
    for number in range(4):
        chaos.script(Reply(then=then))
        track(session, number)
        assert client.flush_sync(10).ok

    assert list(dict.fromkeys(names(chaos.events(), session))) == ["e0", "e1", "e2", "e3"]


def test_a_reset_anywhere_in_a_request_loses_nothing_and_doubles_nothing(chaos: Chaos, hasty):
    """The service has not seen the whole body, so that nobody can have stored it."""
    client = hasty()
    session = client.create_session(id="u")
    cuts = range(1, 500, 19)
    for number, at in enumerate(cuts):
        # Once on a kept connection, which is replaced at once; twice, so that the fresh one breaks too.
        for _ in range(1 + number % 2):
            chaos.cut(at)
        session.track_event(event=f"e{number}", properties={"text": "x" * 200})
        assert client.flush_sync(10).delivered == (2 if number == 0 else 1)

    assert names(chaos.events(), session) == [f"e{number}" for number in range(len(cuts))]


def test_a_reset_anywhere_in_an_answer_doubles_only_what_the_service_had_read(chaos: Chaos, hasty):
    client = hasty()
    session = client.create_session(id="u")
    cuts = range(0, 70, 3)
    for number, at in enumerate(cuts):
        chaos.script(Reply(then="reset", after=at))
        track(session, number)
        assert client.flush_sync(10).ok

    seen = names(chaos.events(), session)
    assert list(dict.fromkeys(seen)) == [f"e{number}" for number in range(len(cuts))]
    assert max(seen.count(name) for name in seen) == 2
    keys = [request.headers["idempotency-key"] for request in chaos.requests]
    bodies = [request.raw for request in chaos.requests]
    assert len(set(keys)) == len(set(bodies)) == len(cuts), "what comes twice comes under the same key"


def test_a_batch_that_was_stored_before_the_500_comes_again_under_the_same_key(chaos: Chaos, hasty):
    chaos.script(Reply(500))
    client = hasty()
    session = client.create_session(id="u")
    track(session, 1, 2, 3)

    assert client.flush_sync(10).delivered == 4

    first, second = chaos.requests[:2]
    assert (first.raw, first.headers["idempotency-key"]) == (second.raw, second.headers["idempotency-key"])


def test_a_dripping_server_holds_no_attempt_beyond_its_limit_and_other_sessions_flow(chaos: Chaos, hasty):
    client = hasty(attempt_timeout=0.5, batch_events=2)
    chaos.decide = lambda request: Reply(
        then="drip" if b"slow" in request.raw and len(chaos.requests) < 4 else "answer"
    )
    slow, quick = client.create_session(id="slow"), client.create_session(id="quick")
    slow.track_event(event="slow")
    chaos.wait_for(1)
    track(quick, 1)
    chaos.wait_until(lambda: names(chaos.events(), quick) == ["e1"])

    assert client.flush_sync(10).ok
    assert client.stats().dropped == {}


def test_flush_on_a_blackhole_comes_back_on_time(chaos: Chaos, hasty):
    chaos.decide = lambda _: Reply(then="hang")
    client = hasty()
    track(client.create_session(id="u"), 1)
    began = time.monotonic()

    result = client.flush_sync(2)

    assert not result.ok
    assert 2.0 <= time.monotonic() - began < 2.3


@pytest.mark.parametrize("limit", [1, 3, 7, 50, 100])
def test_whatever_number_of_events_the_service_takes_all_arrive_in_order(chaos: Chaos, hasty, limit: int):
    chaos.decide = lambda request: Reply(413 if len(request.json) > limit else 200)
    client = hasty(linger=5)
    session = client.create_session(id="u")
    track(session, *range(199))

    assert client.flush_sync(20).delivered == 200

    taken = [event for request in chaos.requests if len(request.json) <= limit for event in request.json]
    assert names(taken, session) == [f"e{number}" for number in range(199)]


@pytest.mark.parametrize(
    "guilty", [{0}, {98}, {3, 4}, {10, 50, 90}, set(range(99))], ids=["first", "last", "two", "three", "all"]
)
def test_exactly_the_guilty_events_are_given_up_in_few_requests(chaos: Chaos, hasty, guilty: set[int]):
    chaos.decide = lambda request: Reply(400 if b"guilty" in request.raw else 200)
    client = hasty(linger=5)
    session = client.create_session(id="u")
    for number in range(99):
        session.track_event(event=f"e{number}", properties={"is": "guilty"} if number in guilty else {})

    result = client.flush_sync(20)

    assert (result.delivered, result.dropped) == (100 - len(guilty), {"rejected_400": len(guilty)})
    taken = [event for request in chaos.requests if b"guilty" not in request.raw for event in request.json]
    assert names(taken, session) == [f"e{number}" for number in range(99) if number not in guilty]
    assert len(chaos.requests) <= 2 * len(guilty) * 7 + 1


def test_a_name_that_does_not_resolve_is_waited_for(chaos: Chaos, hasty, monkeypatch: pytest.MonkeyPatch):
    resolve, asked = socket.getaddrinfo, threading.Semaphore(0)
    known = threading.Event()

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in {"service.test", b"service.test"}:
            return resolve(host, *args, **kwargs)
        asked.release()
        if not known.is_set():
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return resolve("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    client = hasty(url=f"http://service.test:{chaos.port}")
    track(client.create_session(id="u"), 1)
    assert asked.acquire(timeout=10)
    assert asked.acquire(timeout=10)
    assert client.stats().pending == 2
    known.set()

    assert client.flush_sync(10).ok


@pytest.mark.parametrize("wrong", CERTIFICATES)
def test_a_wrong_certificate_pauses_tells_once_and_loses_nothing(chaos: Chaos, hasty, trusted: trustme.CA, wrong: str):
    told: queue.SimpleQueue[DeliveryPaused] = queue.SimpleQueue()
    chaos.tls = CERTIFICATES[wrong](trusted)
    client = hasty(on={"on_error": told.put}, url=chaos.url.replace("http", "https"))
    session = client.create_session(id="u")
    track(session, *range(20))
    chaos.wait_until(lambda: chaos.connections >= 3)
    assert (client.stats().pending, client.stats().dropped) == (21, {})

    chaos.tls = serving(trusted.issue_cert("127.0.0.1"))

    assert client.flush_sync(10).delivered == 21
    assert names(chaos.events(), session) == [f"e{number}" for number in range(20)]
    error = told.get(timeout=10)
    assert (type(error), error.status) == (DeliveryPaused, 0)
    assert wrong in error.message
    assert told.empty()


def test_a_service_that_takes_a_new_key_gets_everything(chaos: Chaos, hasty):
    told: list[DeliveryPaused] = []
    chaos.script(*[Reply(401)] * 3)
    client = hasty(on={"on_error": told.append})
    session = client.create_session(id="u")
    track(session, *range(20))

    assert client.flush_sync(10).delivered == 21
    assert names(chaos.requests[-1].json, session)[-1] == "e19"


# Clocks, threads, callbacks.


def test_a_wall_clock_that_jumps_changes_no_wait(chaos: Chaos, hasty, monkeypatch: pytest.MonkeyPatch):
    now = time.time
    client = hasty()
    session = client.create_session(id="u")
    for number, days in enumerate([1, -1, 365, 0]):
        monkeypatch.setattr(time, "time", lambda days=days: now() + days * 86_400)
        chaos.script(Reply(503))
        track(session, number)
        assert client.flush_sync(10).ok

    assert client.stats().dropped == {}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_that_dies_is_replaced_and_keeps_its_events(chaos: Chaos, hasty):
    client = hasty(linger=1000)
    session = client.create_session(id="u")
    track(session, 1, 2)
    worker = client._book.worker
    thread = worker._runner._thread

    def die() -> None:
        raise SystemExit

    worker.queue.put_task(die)
    thread.join(10)
    assert not thread.is_alive()
    track(session, 3)

    assert client.flush_sync(10).delivered == 4
    assert names(chaos.events(), session) == ["e1", "e2", "e3"]


def test_callbacks_that_raise_sleep_and_flush_stall_no_delivery(
    chaos: Chaos, hasty, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_callbacks, "_MOST_WAITING", 5)
    asleep, wake = threading.Event(), threading.Event()
    clients: list[Client] = []
    told: list[Any] = []

    def on_error(error: Any) -> None:
        told.append(error)
        asleep.set()
        clients[0].flush_sync(0.01)
        wake.wait(10)
        raise RuntimeError("the app's own")

    chaos.decide = lambda request: Reply(400 if b"guilty" in request.raw else 200)
    clients.append(hasty(on={"on_error": on_error}))
    session = clients[0].create_session(id="u")
    session.track_event(event="guilty")
    assert asleep.wait(10)
    track(session, *range(50))
    assert clients[0].flush_sync(10).ok
    assert clients[0].stats().delivered == 51

    for _ in range(20):
        session.track_event(event="guilty")
    assert clients[0].flush_sync(10).dropped == {"rejected_400": 20}
    wake.set()
    CALLBACKS.wait(10)
    # What waits for a callback is bounded, and the log is told once.
    assert len(told) == 6
    assert sum("refused an event" in line.getMessage() for line in caplog.records) == 1


#: Tracks from wherever Python may run the app's code between two steps of ours, and is ended if it stands still.
REENTRANT = """
import faulthandler, gc, logging, os, signal, threading, weakref
from mindlytics_core import Client, Delivery

faulthandler.dump_traceback_later(50, exit=True)
ROUNDS, THREADS = int(os.environ["ROUNDS"]), 4
made = dict.fromkeys(["call", "__del__", "weakref", "logging", "signal", "on_drop"], 0)

goes_on = threading.Event()
goes_on.set()

def track(place):
    made[place] += 1
    session.track_event(event=place)

class Dying:
    def __del__(self):
        track("__del__")

class Handler(logging.Handler):
    def emit(self, record):
        track("logging")

logger = logging.getLogger("mindlytics")
logger.addHandler(Handler())
logger.propagate = False
delivery = Delivery(linger=0.001, max_events=2_000)
client = Client(on_drop=lambda *_: goes_on.is_set() and track("on_drop"), delivery=delivery)
session = client.create_session(id="ann")

def alarm(*_):
    track("signal")
    # Not by itself: on a busy machine they would come faster than they go.
    signal.setitimer(signal.ITIMER_REAL, 0.0005 if goes_on.is_set() else 0)

signal.signal(signal.SIGALRM, alarm)
alarm()
gc.set_threshold(50)

def produce():
    for number in range(ROUNDS // THREADS):
        circle = [Dying()]
        circle.append(circle)
        weakref.finalize(circle[0], track, "weakref")
        track("call")
        logger.warning("noise")

threads = [threading.Thread(target=produce) for _ in range(THREADS - 1)]
for thread in threads:
    thread.start()
produce()
for thread in threads:
    thread.join()
gc.collect()
# Each drop would call for another one.
goes_on.clear()
client.close(30)
stats = client.stats()
assert stats.accepted == stats.delivered + sum(stats.dropped.values()), stats
assert not stats.faults, stats
assert all(made.values()), made
assert stats.accepted >= 4 * ROUNDS, stats
"""


@pytest.mark.parametrize("rounds", [4_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_tracking_from_finalisers_handlers_signals_and_callbacks_never_deadlocks(chaos: Chaos, rounds: int):
    finished = run(REENTRANT, leading_to(chaos) | {"ROUNDS": str(rounds)})

    assert (finished.returncode, said(finished)) == (0, "")


def test_a_burst_from_many_threads_is_delivered_or_counted(chaos: Chaos, hasty):
    client = hasty(max_events=5_000)
    sessions = [client.create_session(id=f"u{number}") for number in range(8)]
    threads = [threading.Thread(target=track, args=(session, *range(3_000))) for session in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WATCHDOG)
    client.flush_sync(WATCHDOG)

    stats = client.stats()
    assert (stats.accepted, stats.pending) == (8 * 3_001, 0)
    assert stats.accepted == stats.delivered + stats.dropped.get("queue_overflow", 0)
    for session in sessions:
        kept = [int(name[1:]) for name in names(chaos.events(), session)]
        assert kept == sorted(set(kept))
