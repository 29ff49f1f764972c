"""Live events: what the service makes of a session is heard, and whatever happens to the WebSocket holds up nobody."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chaos import Chaos, Reply, Request
from helpers import Service, events, shape
from websockets.sync.server import ServerConnection, serve

from mindlytics_core import Client, Delivery, DeliveryError, MLEvent, RequestFailed, Session, live
from mindlytics_core._callbacks import CALLBACKS

ASKED = {"user": "Where is my order?", "assistant": "On its way."}
HEARD = [
    "Session Started",
    "Conversation Started",
    "Conversation Turn",
    "Conversation Ended",
    "Conversation Summary",
    "Session Ended",
]


class Ear:
    """Collects what callbacks are given."""

    def __init__(self) -> None:
        self.heard: list[MLEvent] = []
        self.errors: list[DeliveryError] = []
        self._changed = threading.Condition()

    def on_event(self, event: MLEvent) -> None:
        with self._changed:
            self.heard.append(event)
            self._changed.notify_all()

    def on_error(self, error: DeliveryError) -> None:
        with self._changed:
            self.errors.append(error)
            self._changed.notify_all()

    def wait(self, condition: Callable[[], object]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, 10)

    @property
    def names(self) -> list[str]:
        return [event.event for event in self.heard]


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_RETRY_BASE", 0.01)
    monkeypatch.setattr(live, "_RETRY_CAP", 0.02)


class Script:
    """A WebSocket server whose connections are handled one after the other by what it is given."""

    def __init__(self) -> None:
        self.handlers: list[Callable[[ServerConnection], None]] = []
        self.connections = 0
        self.server = serve(self._handle, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self.server.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def _handle(self, connection: ServerConnection) -> None:
        self.connections += 1
        if self.handlers:
            self.handlers.pop(0)(connection)

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()


@pytest.fixture
def script() -> Iterator[Script]:
    running = Script()
    yield running
    running.stop()


@pytest.fixture
def scripted(chaos: Chaos, script: Script, new_client: Callable[..., Client]) -> Client:
    """A client of a server that takes everything, with a scripted WebSocket."""
    chaos.decide = lambda _: Reply(body='{"authorization_key": "k"}')
    return new_client(server_endpoint=chaos.url, wss_endpoint=script.url)


def message(name: str, session_id: str = "s", **more: str) -> str:
    return MLEvent(session_id=session_id, timestamp="2020-01-01T00:00:00Z", event=name, **more).model_dump_json(
        exclude_none=True
    )


async def test_a_whole_session_is_heard_and_leaving_waits_for_its_end(client: Client, ear: Ear):
    async with client.create_session(id="jjacob", on_event=ear.on_event, on_error=ear.on_error) as session:
        await session.track_conversation_turn(**ASKED)

    assert ear.names == HEARD
    assert ear.errors == []
    assert {event.session_id for event in ear.heard} == {session.session_id}
    (turn,) = [event for event in ear.heard if event.event == "Conversation Turn"]
    assert turn.properties == ASKED


def test_a_whole_session_is_heard_without_any_loop(client: Client, ear: Ear):
    with client.create_session(id="jjacob", on_event=ear.on_event) as session:
        session.track_conversation_turn(**ASKED)

    assert ear.names == HEARD


def test_a_session_without_a_block_is_heard_from_its_first_event_on(client: Client, ear: Ear):
    session = client.create_session(id="jjacob", on_event=ear.on_event)
    session.track_conversation_turn(**ASKED)
    assert session.flush_sync()

    assert ear.names == HEARD


async def test_on_a_loop_it_is_too(client: Client, ear: Ear):
    session = client.create_session(id="jjacob", on_event=ear.on_event)
    await session.track_conversation_turn(**ASKED)
    assert await session.flush_and_continue()
    await session.end_session()
    assert await session.flush()

    assert ear.names == HEARD


async def test_sessions_that_are_flushed_at_once_do_not_let_go_of_each_other_s_events(client: Client):
    async def visit(number: int) -> list[str]:
        ear = Ear()
        session = client.create_session(id=f"user {number}", on_event=ear.on_event)
        await session.track_conversation_turn(**ASKED)
        await session.flush()
        return ear.names

    assert await asyncio.gather(*map(visit, range(10))) == [HEARD] * 10


def test_events_wait_for_the_connection_as_long_as_was_allowed(
    chaos: Chaos, new_client: Callable[..., Client], ear: Ear
):
    arrived = threading.Event()

    def decide(asked: Request) -> Reply:
        if "realtime" in asked.path:
            return Reply(then="hang")
        arrived.set()
        return Reply()

    chaos.decide = decide
    client = new_client(server_endpoint=chaos.url)
    session = client.create_session(id="jjacob", on_event=ear.on_event, listen_timeout=0.05)
    session.track_event(event="Opened")

    assert arrived.wait(10)


def test_a_program_without_a_loop_listens_and_stops_too(client: Client, ear: Ear):
    client.start_listening_sync(on_event=ear.on_event, on_error=ear.on_error)
    session = client.create_session(session_id="visit", id="jjacob")
    own = Ear()
    session.start_listening_sync(on_event=own.on_event)
    session.track_event(event="Opened")
    session.end_session()
    assert client.flush_sync()
    session.stop_listening_sync()
    assert own.names == ["Session Started", "Opened", "Session Ended"]
    ear.wait(lambda: ear.names == own.names)
    client.stop_listening_sync()
    client.create_session(id="jane").track_event(event="Unheard")
    assert client.flush_sync()

    assert ear.names == own.names


def test_a_refused_project_listener_raises_without_a_loop_too(chaos: Chaos, chaos_client: Client, ear: Ear):
    chaos.script(Reply(403, body="no such key"))

    with pytest.raises(RequestFailed, match="no such key"):
        chaos_client.start_listening_sync(on_event=ear.on_event)


async def test_a_sync_block_does_not_hold_up_the_loop_of_its_callbacks(client: Client):
    over = asyncio.Event()

    async def on_event(event: MLEvent) -> None:
        if event.event == "Session Ended":
            over.set()

    session = client.create_session(id="jjacob", on_event=on_event, listen_timeout=3600)
    await session.start_listening()
    with session:
        session.track_conversation_turn(**ASKED)

    await asyncio.wait_for(over.wait(), 10)


async def test_coroutine_callbacks_run_on_the_app_s_own_loop(client: Client):
    heard: list[str] = []
    over = asyncio.Event()
    home = asyncio.get_running_loop()

    async def on_event(event: MLEvent) -> None:
        assert asyncio.get_running_loop() is home
        heard.append(event.event)
        if event.event == "Session Ended":
            over.set()

    async with client.create_session(id="jjacob", on_event=on_event) as session:
        await session.track_conversation_turn(**ASKED)

    await asyncio.wait_for(over.wait(), 10)
    assert heard == HEARD


def test_a_coroutine_callback_whose_loop_has_gone_is_called_all_the_same(client: Client, ear: Ear):
    async def on_event(event: MLEvent) -> None:
        ear.on_event(event)

    async def made_on_a_loop() -> Session:
        return client.create_session(id="jjacob", on_event=on_event)

    with asyncio.run(made_on_a_loop()) as session:
        session.track_conversation_turn(**ASKED)

    assert ear.names == HEARD


async def test_flush_after_the_end_waits_for_it_too(client: Client, ear: Ear):
    session = client.create_session(session_id="named", id="jjacob", on_event=ear.on_event)
    await session.start_listening(session_id="named")
    await session.track_conversation_turn(**ASKED)
    await session.end_session()
    assert await session.flush()

    assert ear.names == HEARD


async def test_the_project_s_events_are_heard_until_listening_stops(client: Client, ear: Ear):
    await client.start_listening(on_event=ear.on_event, on_error=ear.on_error)
    for user in ("ann", "bob"):
        client.create_session(id=user).track_event(event=f"Hello {user}")
    await client.flush()
    await asyncio.to_thread(ear.wait, lambda: {"Hello ann", "Hello bob"} <= set(ear.names))
    await client.stop_listening()
    before = len(ear.heard)
    client.create_session(id="cleo").track_event(event="Hello cleo")
    await client.flush()

    assert len(ear.heard) == before
    await client.stop_listening()


async def test_a_refused_project_listener_raises(chaos: Chaos, chaos_client: Client, ear: Ear):
    chaos.script(Reply(403, body="no such key"))

    with pytest.raises(RequestFailed, match="no such key") as raised:
        await chaos_client.start_listening(on_event=ear.on_event)

    assert raised.value.status == 403


def closed_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"ws://127.0.0.1:{free.getsockname()[1]}"


async def test_a_refused_connection_holds_up_no_call_and_no_leaving(
    new_client: Callable[..., Client], service: Service, ear: Ear
):
    client = new_client(wss_endpoint=closed_port())
    # Whatever is waited for is waited for an hour.
    async with client.create_session(
        id="jjacob", on_event=ear.on_event, on_error=ear.on_error, listen_timeout=3600
    ) as session:
        session.track_conversation_turn(**ASKED)

    assert shape(events(service))[-1] == "end_session"
    await asyncio.to_thread(ear.wait, lambda: ear.errors)
    assert [type(error) for error in ear.errors] == [RequestFailed]  # one outage, told once


async def test_a_key_that_never_comes_holds_up_nothing_but_entering_for_as_long_as_was_allowed(
    chaos: Chaos, new_client: Callable[..., Client], ear: Ear
):
    chaos.decide = lambda asked: Reply(then="hang") if "realtime" in asked.path else Reply()
    client = new_client(server_endpoint=chaos.url)
    async with client.create_session(id="jjacob", on_event=ear.on_event, listen_timeout=0.05) as session:
        for _ in range(100):
            session.track_event(event="Opened")

    assert client.stats().delivered == 102


async def test_an_end_that_never_comes_is_waited_for_as_long_as_was_allowed(scripted: Client, script: Script, ear: Ear):
    release = threading.Event()
    script.handlers.append(lambda _: release.wait(10))
    async with scripted.create_session(id="jjacob", on_event=ear.on_event, listen_timeout=0.2) as session:
        session.track_event(event="Opened")
    release.set()

    assert ear.heard == []


def test_a_lost_connection_is_made_again(scripted: Client, script: Script, ear: Ear):
    script.handlers += [
        lambda connection: connection.send(message("first")),
        lambda connection: connection.socket.close(),
        lambda connection: (connection.send(message("second")), ear.wait(lambda: "second" in ear.names)),
    ]
    session = scripted.create_session(session_id="s", id="jjacob", on_event=ear.on_event, on_error=ear.on_error)
    session.track_event(event="Opened")

    ear.wait(lambda: ear.names == ["first", "second"])
    assert script.connections == 3


def test_faults_of_processing_and_what_nobody_can_read_go_to_on_error(scripted: Client, script: Script, ear: Ear):
    fault = '{"session_id":"s","timestamp":"t","event":"MLError","properties":{"error_message":"too odd"}}'
    said = [fault, "no JSON", '{"event": "half"}', message("fine", unknown="field")]
    script.handlers.append(lambda connection: ([connection.send(text) for text in said], ear.wait(lambda: ear.heard)))
    with scripted.create_session(
        session_id="s", id="jjacob", on_event=ear.on_event, on_error=ear.on_error, listen_timeout=0.1
    ) as session:
        session.track_event(event="Opened")
        ear.wait(lambda: ear.heard)

    assert ear.names == ["fine"]
    assert [error.message for error in ear.errors][:3] == ["too odd"] + 2 * ["a live event could not be read"]
    assert ear.errors[0].session_id == "s"


async def test_a_callback_that_raises_is_survived(client: Client, ear: Ear):
    def on_event(event: MLEvent) -> None:
        ear.on_event(event)
        raise ZeroDivisionError

    async with client.create_session(id="jjacob", on_event=on_event) as session:
        session.track_conversation_turn(**ASKED)

    assert ear.names == HEARD


async def test_a_callback_that_blocks_stalls_no_delivery(client: Client, service: Service, ear: Ear):
    release, blocked = threading.Event(), threading.Event()

    def on_event(event: MLEvent) -> None:
        blocked.set()
        release.wait(10)
        ear.on_event(event)

    session = client.create_session(id="jjacob", on_event=on_event, listen_timeout=10)
    async with session:
        session.track_conversation_turn(**ASKED)
        assert await asyncio.to_thread(blocked.wait, 10)
        session.track_event(event="while it blocks")
        assert await session.flush_and_continue()
        assert "while it blocks" in shape(events(service))
        release.set()

    assert ear.names[-1] == "Session Ended"


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_callback_may_flush_and_close_its_own_session(client: Client, kind: str):
    results: list[Any] = []
    done = threading.Event()
    session = client.create_session(id="jjacob", listen_timeout=60)

    def on_event(event: MLEvent) -> None:
        if event.event == "Conversation Turn":
            results.append(session.flush_sync())
            done.set()

    async def on_event_async(event: MLEvent) -> None:
        if event.event == "Conversation Turn":
            results.append(await session.flush())
            done.set()

    await session.start_listening(on_event=on_event if kind == "sync" else on_event_async)
    session.track_conversation_turn(**ASKED)

    assert await asyncio.to_thread(done.wait, 20)
    assert all(results)
    await session.flush()


def test_a_slow_callback_makes_the_connection_wait_and_not_the_memory(
    scripted: Client, script: Script, ear: Ear, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(live, "_MOST_WAITING", 3)
    waiting: list[int] = []

    def flood(connection: ServerConnection) -> None:
        for number in range(200):
            connection.send(message(str(number)))
        ear.wait(lambda: len(ear.heard) == 200)

    def on_event(event: MLEvent) -> None:
        waiting.append(CALLBACKS._waiting.qsize())
        ear.on_event(event)

    script.handlers.append(flood)
    session = scripted.create_session(session_id="s", id="jjacob", on_event=on_event)
    session.track_event(event="Opened")
    ear.wait(lambda: len(ear.heard) == 200)

    assert [int(name) for name in ear.names] == list(range(200))
    assert max(waiting) <= 2 * 3  # each with the note that it is done


def test_nothing_listens_where_everything_is_switched_off(
    monkeypatch: pytest.MonkeyPatch, chaos: Chaos, new_client: Callable[..., Client], ear: Ear
):
    monkeypatch.setenv("MLSDK_DISABLED", "1")
    client = new_client(server_endpoint=chaos.url)
    with client.create_session(id="jjacob", on_event=ear.on_event) as session:
        session.track_event(event="Opened")
    asyncio.run(client.start_listening(on_event=ear.on_event))

    assert chaos.requests == []


def test_no_connection_is_made_without_callbacks(chaos: Chaos, new_client: Callable[..., Client]):
    client = new_client(server_endpoint=chaos.url, delivery=Delivery(linger=0.01))
    with client.create_session(id="jjacob") as session:
        session.track_event(event="Opened")

    assert not [asked for asked in chaos.requests if "realtime" in asked.path]


def test_closing_the_client_stops_every_connection(scripted: Client, script: Script, ear: Ear):
    there, gone = threading.Event(), threading.Event()

    def until_closed(connection: ServerConnection) -> None:
        there.set()
        for _ in connection:
            pass
        gone.set()

    script.handlers.append(until_closed)
    session = scripted.create_session(session_id="s", id="jjacob", on_event=ear.on_event)
    session.track_event(event="Opened")
    assert there.wait(10)
    scripted.close()

    assert gone.wait(10)
