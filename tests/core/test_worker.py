"""What delivery promises, against a server that does whatever is scripted, and against the live local service."""

import asyncio
import random
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from chaos import Chaos, Reply
from helpers import Service, events, of_session, shape

from mindlytics_core import Client, Delivery, DeliveryPaused, EventRefused, Session
from mindlytics_core._disk import NOBODY
from mindlytics_core._flush import wait_for_all
from mindlytics_core._queue import Item, Queue


def track(session: Session, *numbers: int, **properties: Any) -> None:
    for number in numbers:
        session.track_event(event=f"e{number}", properties=properties)


def adds_up(client: Client) -> bool:
    stats = client.stats()
    return stats.accepted == stats.delivered + stats.pending + sum(stats.dropped.values())


def names_of(chaos: Chaos, session: Session) -> list[str]:
    return [
        event["event"] for event in chaos.events() if event["session_id"] == session.session_id and "event" in event
    ]


# Nothing starts early, and the requests are those of the document.


def test_neither_an_import_nor_a_client_starts_or_opens_anything():
    program = (
        "import sys, threading, socket\n"
        "import mindlytics_core\n"
        "socket.socket = None\n"
        "client = mindlytics_core.Client('key', 'project')\n"
        "session = client.create_session(id='u')\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
        "assert not {'httpx', 'httpx2'} & sys.modules.keys(), 'an HTTP library was imported for nothing'\n"
    )

    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)


def test_the_app_s_own_random_numbers_go_on_as_if_we_were_not_there(chaos: Chaos, chaos_client: Client):
    random.seed(7)
    expected = random.random()
    random.seed(7)
    chaos.script(*[Reply(503)] * 3)

    track(chaos_client.create_session(id="jjacob"), 1)

    assert chaos_client.flush_sync(5)
    assert len(chaos.requests) > 3
    assert random.random() == expected


def test_events_travel_as_json_arrays_over_one_kept_connection(chaos: Chaos, chaos_client: Client):
    session = chaos_client.create_session(id="jjacob")
    for batch in range(3):
        track(session, *range(batch * 10, batch * 10 + 10))
        assert chaos_client.flush_sync(5)

    assert names_of(chaos, session) == [f"e{number}" for number in range(30)]
    assert all(isinstance(request.json, list) for request in chaos.requests)
    assert len(chaos.requests) <= 6
    assert chaos.connections == 1
    request = chaos.requests[0]
    assert request.path == "/bc/v1/events/queue"
    assert request.headers["authorization"] == "Bearer test-key"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"]


def test_what_is_tracked_is_what_the_service_has(client: Client, service: Service):
    session = client.create_session(id="jjacob")
    session.track_conversation_turn(user="Hi", assistant="Hello!")
    session.end_session()

    result = client.flush_sync(10)

    assert (result.ok, result.delivered, result.pending, result.dropped) == (True, 5, 0, {})
    assert shape(of_session(events(service), session.session_id)) == [
        "start_session",
        "Conversation Started",
        "Conversation Turn",
        "Conversation Ended",
        "end_session",
    ]


def test_what_the_app_changes_later_does_not_leak_into_an_event(chaos: Chaos, chaos_client: Client):
    properties = {"step": "before"}
    chaos_client.create_session(id="u").track_event(event="e", properties=properties)
    properties["step"] = "after"

    assert chaos_client.flush_sync(5)

    assert chaos.events()[-1]["properties"] == {"step": "before"}


# The app never notices.


@pytest.mark.parametrize(
    "fault",
    [
        Reply(500),
        Reply(then="reset"),
        Reply(then="reset", after=40),
        Reply(status=401),
        Reply(status=400),
        Reply(then="hang"),
    ],
    ids=["500", "reset", "half", "401", "400", "hang"],
)
def test_no_fault_of_the_service_reaches_the_app(chaos: Chaos, hasty, fault: Reply):
    chaos.decide = lambda _: fault
    client = hasty()
    session = client.create_session(id="u")

    receipts = [session.track_event(event="e") for _ in range(50)]
    chaos.wait_for(1)
    receipts += [session.track_event(event="e") for _ in range(50)]

    assert all(receipts)
    assert adds_up(client)


def test_a_call_gives_its_receipt_at_once_and_can_be_awaited_too(chaos: Chaos, hasty):
    chaos.decide = lambda _: Reply(then="hang")
    session = hasty().create_session(id="u")

    async def app() -> bool:
        awaited = await session.track_event(event="awaited")
        return bool(awaited) and bool(session.track_event(event="not awaited"))

    assert asyncio.run(app())


# Memory is bounded.


def test_more_events_than_the_bound_are_dropped_and_counted_the_newest_first(chaos: Chaos, hasty):
    told: list[tuple[str, int]] = []
    everything_told = threading.Event()

    def on_drop(reason: str, count: int) -> None:
        told.append((reason, count))
        if sum(count for _, count in told) == 40:
            everything_told.set()

    chaos.refuse()
    client = hasty(on={"on_drop": on_drop}, max_events=10)
    session = client.create_session(id="u")
    track(session, *range(49))

    stats = client.stats()

    assert (stats.accepted, stats.pending, stats.dropped) == (50, 10, {"queue_overflow": 40})
    assert everything_told.wait(10)
    assert {reason for reason, _ in told} == {"queue_overflow"}
    chaos.listen()
    assert client.flush_sync(10).delivered == 10
    assert names_of(chaos, session) == [f"e{number}" for number in range(9)]


def test_where_the_oldest_session_makes_room_the_newest_are_kept_whole(chaos: Chaos, hasty):
    chaos.decide = lambda _: Reply(503)
    client = hasty(max_events=100, batch_events=1, concurrency=1, overflow="drop_oldest_session")
    sessions = [client.create_session(id=f"u{number}") for number in range(20)]
    for session in sessions:
        track(session, *range(9))
        # The worker must come to it: a queue that is full takes nothing more.
        has_come = threading.Event()
        client._book.worker.queue.put_task(has_come.set)
        assert has_come.wait(10)

    stats = client.stats()
    assert set(stats.dropped) == {"queue_overflow"}
    assert stats.pending <= 100
    assert adds_up(client)
    chaos.decide = lambda _: Reply()
    result = client.flush_sync(10)

    assert (result.ok, result.delivered) == (True, stats.pending)
    for session in sessions[-8:]:
        assert list(dict.fromkeys(names_of(chaos, session))) == [f"e{number}" for number in range(9)]


def test_a_flush_tells_of_what_made_room_before_the_worker_came_to_it(hasty):
    client = hasty(max_events=100, overflow="drop_oldest_session")
    sessions = [client.create_session(id=f"u{number}") for number in range(10)]
    worker, may_go_on = client._book.worker, threading.Event()
    worker.queue.put_task(lambda: may_go_on.wait(10))
    for session in sessions:
        track(session, *range(9))
    unsettled = client.stats().pending

    ticket = worker.flush()
    may_go_on.set()
    wait_for_all([ticket.done], 10)

    result = worker.result(ticket)
    assert not result.ok
    assert result.dropped == client.stats().dropped
    assert (result.pending, result.delivered + sum(result.dropped.values())) == (0, unsettled)


def test_where_calls_may_wait_for_room_they_do_and_nothing_is_dropped(chaos: Chaos, hasty):
    client = hasty(max_events=10, overflow="block", block_timeout=60)
    session = client.create_session(id="u")
    track(session, *range(200))

    assert client.flush_sync(10).ok
    assert client.stats().delivered == 201
    assert names_of(chaos, session) == [f"e{number}" for number in range(200)]


def test_the_worker_does_not_wait_for_itself_and_then_other_calls_still_wait_for_it():
    makes_room = threading.Event()
    queue = Queue(Delivery(max_events=1), lambda: queue.free(1, 2) if makes_room.is_set() else None, may_wait=True)
    item = Item("visit", b"{}", NOBODY)
    queue.worker_thread = threading.get_ident()
    assert queue.put(item)
    assert not queue.put(item)

    makes_room.set()
    with ThreadPoolExecutor(1) as app:
        assert app.submit(queue.put, item).result(10)


@pytest.mark.parametrize("runs_on", ["thread", "loop"])
def test_a_call_waits_for_room_no_longer_than_it_may_and_never_where_a_loop_runs(chaos: Chaos, hasty, runs_on: str):
    chaos.refuse()
    # On a loop a wait of an hour would show.
    client = hasty(max_events=10, overflow="block", block_timeout=0.001 if runs_on == "thread" else 3600)
    session = client.create_session(id="u")

    async def app() -> None:
        track(session, *range(19))

    asyncio.run(app()) if runs_on == "loop" else track(session, *range(19))

    assert client.stats().dropped == {"queue_overflow": 10}


def test_the_bound_on_bytes_holds_too(chaos: Chaos, hasty):
    chaos.refuse()
    client = hasty(max_bytes=10_000)
    session = client.create_session(id="u")
    track(session, *range(50), text="x" * 1_000)

    stats = client.stats()

    assert stats.pending == 9, "the start, and eight events of more than a thousand bytes"
    assert stats.dropped == {"queue_overflow": 42}


def test_one_event_that_is_too_large_is_dropped_alone(chaos: Chaos, hasty):
    client = hasty(max_event_bytes=1_000)
    session = client.create_session(id="u")
    track(session, 1)
    assert not session.track_event(event="large", properties={"text": "x" * 1_000})
    track(session, 2)

    assert client.flush_sync(5).delivered == 3
    assert client.stats().dropped == {"too_large": 1}
    assert names_of(chaos, session) == ["e1", "e2"]


def test_room_that_was_taken_is_given_back(chaos: Chaos, hasty):
    client = hasty(max_events=10)
    session = client.create_session(id="u")
    for number in range(30):
        track(session, number)
        assert client.flush_sync(5)

    assert client.stats().dropped == {}
    assert names_of(chaos, session) == [f"e{number}" for number in range(30)]


# An outage loses nothing.


@pytest.mark.parametrize("fault", [Reply(503), Reply(429), Reply(then="reset"), Reply(302), Reply(408), Reply(529)])
def test_a_fault_that_passes_loses_nothing_and_keeps_the_order(chaos: Chaos, chaos_client: Client, fault: Reply):
    chaos.script(*[fault] * 6)
    sessions = [chaos_client.create_session(id=f"u{number}") for number in range(5)]
    for number in range(20):
        for session in sessions:
            track(session, number)

    result = chaos_client.flush_sync(10)

    assert (result.ok, result.delivered, result.dropped) == (True, 105, {})
    taken = [event for request in chaos.requests[6:] for event in request.json]
    for session in sessions:
        mine = [event["event"] for event in taken if event["session_id"] == session.session_id and "event" in event]
        assert mine == [f"e{number}" for number in range(20)]


def test_a_service_that_is_down_is_waited_for(chaos: Chaos, chaos_client: Client):
    chaos.refuse()
    session = chaos_client.create_session(id="u")
    track(session, *range(200))
    assert not chaos_client.flush_sync(0.2)
    assert chaos_client.stats().pending == 201

    chaos.listen()

    assert chaos_client.flush_sync(10).delivered == 201
    assert names_of(chaos, session) == [f"e{number}" for number in range(200)]


def test_while_the_service_fails_one_probe_at_a_time_is_sent_and_then_all_follow(chaos: Chaos, hasty):
    client = hasty(batch_events=1)
    chaos.script(*[Reply(503)] * 8)
    for number in range(30):
        track(client.create_session(id=f"u{number}"), number)

    assert client.flush_sync(10).ok

    attempts = Counter(request.headers["idempotency-key"] for request in chaos.requests)
    (_, of_the_probe), *others = attempts.most_common()
    # The four that were under way together failed once each, whenever they arrived; all else that failed is the probe.
    assert of_the_probe >= 6, "the same batch goes ahead as the probe"
    assert all(count <= 2 for _, count in others)
    assert attempts.total() == len(attempts) + 8


def test_a_failed_batch_is_sent_again_with_the_same_key_and_the_same_events(chaos: Chaos, chaos_client: Client):
    chaos.script(Reply(500), Reply(500))
    session = chaos_client.create_session(id="u")
    track(session, 1, 2)

    assert chaos_client.flush_sync(5)

    first, second, third = chaos.requests[:3]
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] == third.headers["idempotency-key"]
    assert first.raw == second.raw == third.raw


def test_no_request_leaves_before_the_time_that_the_service_asked_for(chaos: Chaos, hasty):
    client = hasty(retry_after_cap=1)
    chaos.script(Reply(429, {"Retry-After": "300"}))
    session = client.create_session(id="u")
    track(session, 1)
    chaos.wait_for(1)

    track(session, 2)
    result = client.flush_sync(0.3)

    assert not result
    assert len(chaos.requests) == 1
    assert client.flush_sync(10)


def test_a_stale_connection_is_replaced_at_once(chaos: Chaos, hasty):
    client = hasty(retry_base=30, retry_cap=30)
    session = client.create_session(id="u")
    for number in range(5):
        chaos.script(Reply(then="close"))
        track(session, number)
        assert client.flush_sync(10), "a backoff would have taken longer"

    assert names_of(chaos, session) == [f"e{number}" for number in range(5)]


# 401, 403, 404: pause, do not drop.


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_pauses_tells_once_and_loses_nothing(chaos: Chaos, hasty, status: int):
    told: list[DeliveryPaused] = []
    was_told = threading.Event()

    def on_error(error: DeliveryPaused) -> None:
        told.append(error)
        was_told.set()

    chaos.decide = lambda _: Reply(status, body="who are you?")
    client = hasty(on={"on_error": on_error}, pause_interval=0.01)
    session = client.create_session(id="u")
    track(session, *range(10))
    chaos.wait_for(4)
    assert was_told.wait(10)
    chaos.decide = lambda _: Reply()

    assert client.flush_sync(10).delivered == 11
    assert [(type(error), error.status, error.message) for error in told] == [(DeliveryPaused, status, "who are you?")]
    assert client.stats().dropped == {}


# 400, 413, 422: one bad event costs no other.


@pytest.mark.parametrize("status", [400, 413, 422])
def test_one_bad_event_costs_no_other(chaos: Chaos, hasty, status: int):
    told: list[EventRefused] = []
    was_told = threading.Event()

    def on_error(error: EventRefused) -> None:
        told.append(error)
        was_told.set()

    chaos.decide = lambda request: Reply(status, body="poison") if b"poison" in request.raw else Reply()
    client = hasty(on={"on_error": on_error}, linger=5)
    session = client.create_session(id="u")
    track(session, *range(20))
    session.track_event(event="poison")
    track(session, *range(20, 40))

    result = client.flush_sync(10)

    assert (result.ok, result.delivered, result.pending) == (False, 41, 0)
    assert result.dropped == client.stats().dropped == {f"rejected_{status}": 1}
    taken = [
        event["event"]
        for request in chaos.requests
        if b"poison" not in request.raw
        for event in request.json
        if "event" in event
    ]
    assert taken == [f"e{number}" for number in range(40)]
    assert was_told.wait(10)
    assert [(error.status, error.message, error.session_id) for error in told] == [
        (status, "poison", session.session_id)
    ]
    assert [(answer.status, answer.message) for answer in session.get_errors()] == [(status, "poison")]


# Flush tells the truth.


def test_flush_covers_what_was_accepted_before_it_and_is_not_extended_by_later_events(chaos: Chaos, hasty):
    gate = threading.Event()
    chaos.script(Reply(gate=gate))
    client = hasty(linger=1000)
    session = client.create_session(id="u")
    track(session, 1)
    results: list[Any] = []
    flushing = threading.Thread(target=lambda: results.append(client.flush_sync(10)))
    flushing.start()
    chaos.wait_for(1)
    track(session, 2)
    gate.set()
    flushing.join(10)

    assert [(result.ok, result.delivered, result.pending) for result in results] == [(True, 2, 0)]
    assert client.stats().pending == 1


def test_flush_on_a_server_that_never_answers_comes_back_and_says_so(chaos: Chaos, hasty):
    chaos.decide = lambda _: Reply(then="hang")
    client = hasty()
    session = client.create_session(id="u")
    track(session, 1, 2)

    result = client.flush_sync(0.3)

    assert (bool(result), result.delivered, result.pending, result.dropped) == (False, 0, 3, {})
    assert adds_up(client)


def test_flush_with_nothing_to_send_is_true_and_starts_nothing(hasty):
    before = threading.active_count()

    assert hasty().flush_sync(0)

    assert threading.active_count() == before


async def test_the_async_flush_does_not_block_its_loop(chaos: Chaos, hasty):
    gate = threading.Event()
    chaos.script(Reply(gate=gate))
    client = hasty()
    track(client.create_session(id="u"), 1)

    flushing = asyncio.ensure_future(client.flush(10))
    await asyncio.to_thread(chaos.wait_for, 1)
    assert not flushing.done()
    gate.set()

    assert (await flushing).delivered == 2


def test_a_flush_skips_the_linger(hasty):
    client = hasty(linger=1000)
    track(client.create_session(id="u"), 1)

    assert client.flush_sync(10).delivered == 2


def test_after_close_a_call_does_not_raise_and_is_counted(hasty):
    client = hasty()
    session = client.create_session(id="u")
    track(session, 1)
    assert client.close(10)

    assert not client.create_session(id="u").track_event(event="late")

    assert client.stats().dropped == {"closed": 2}
    assert adds_up(client)


def test_the_counters_add_up_at_every_moment(chaos: Chaos, hasty):
    statuses = [200, 503, 400, 200, 429, 413]
    chaos.decide = lambda _: Reply(statuses[len(chaos.requests) % len(statuses)])
    client = hasty(max_events=60, max_event_bytes=5_000)
    done = threading.Event()
    wrong: list[Any] = []

    def watch() -> None:
        while not done.is_set():
            stats = client.stats()
            if stats.pending < 0 or stats.accepted != stats.delivered + stats.pending + sum(stats.dropped.values()):
                wrong.append(stats)

    def produce(number: int) -> None:
        session = client.create_session(id=f"u{number}")
        for i in range(200):
            session.track_event(event="e", properties={"text": "x" * (10_000 if i % 50 == 0 else 10)})

    watcher = threading.Thread(target=watch)
    watcher.start()
    producers = [threading.Thread(target=produce, args=(number,)) for number in range(4)]
    for producer in producers:
        producer.start()
    for producer in producers:
        producer.join(30)
    client.flush_sync(10)
    done.set()
    watcher.join(10)

    assert not wrong
    stats = client.stats()
    assert (stats.accepted, stats.pending) == (804, 0)
    assert stats.dropped["too_large"] == 16


# A body is one of two forms.


def test_a_server_that_takes_only_single_objects_gets_them_in_order(chaos: Chaos, hasty):
    chaos.decide = lambda request: Reply(200 if isinstance(request.json, dict) else 400)
    client = hasty(linger=5)
    sessions = [client.create_session(id=f"u{number}") for number in range(3)]
    for number in range(20):
        for session in sessions:
            track(session, number)

    result = client.flush_sync(10)

    assert (result.ok, result.delivered) == (True, 63)
    taken = [request.json for request in chaos.requests if isinstance(request.json, dict)]
    for session in sessions:
        mine = [event["event"] for event in taken if event["session_id"] == session.session_id and "event" in event]
        assert mine == [f"e{number}" for number in range(20)]
    assert len(chaos.requests) < 63 + 20, "once it is known, no array is tried any more"
