"""Live events on a WebSocket: what the API document promises to whoever listens."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from local.builders import at, end_session, ended, function, identify, start_session, started, track, turn
from local.conftest import QUEUE, Project, http_client
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from mindlytics_local import LocalService, start


class Listener:
    """A listener of one session, or of everything in a project."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    def next(self) -> dict[str, Any]:
        received: dict[str, Any] = json.loads(self._connection.recv(timeout=10))
        return received

    def until(self, name: str) -> list[dict[str, Any]]:
        """Everything up to the event of this name."""
        heard = [self.next()]
        while heard[-1]["event"] != name:
            heard.append(self.next())
        return heard


@contextmanager
def listening(service: LocalService, project: Project, **params: str) -> Iterator[Listener]:
    key = project.http.get("/bc/v1/live-events/realtime", params=params).json()["authorization_key"]
    with connect(service.live_url, additional_headers={"Authorization": f"Bearer {key}"}) as connection:
        yield Listener(connection)


def names(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in events]


def test_a_whole_session_is_heard_in_order(running: LocalService, project: Project):
    with listening(running, project) as listener:
        project.take(start_session(id="u1"), started(), function("find"), turn(), ended(), end_session())
        heard = listener.until("Session Ended")

    assert names(heard) == [
        "Session Started",
        "Conversation Started",
        "Conversation Function",
        "Conversation Turn",
        "Conversation Ended",
        "Conversation Summary",
        "Session Ended",
    ]
    assert {event["session_id"] for event in heard} == {"s1"}
    assert {event["user_id"] for event in heard} == {"u1"}
    assert len({event["event_id"] for event in heard}) == len(heard)


def test_what_nobody_sent_but_happened_is_derived_and_says_from_what(running: LocalService, project: Project):
    with listening(running, project) as listener:
        project.take(
            turn(timestamp=at(1), model="m", prompt_tokens=3, completion_tokens=2), end_session(timestamp=at(2))
        )
        heard = listener.until("Session Ended")

    assert names(heard) == [
        "Session Started",
        "Conversation Started",
        "Conversation Turn",
        "Conversation Ended",
        "Conversation Summary",
        "Session Ended",
    ]
    sent, end = heard[2]["event_id"], heard[5]["event_id"]
    assert [event.get("origin_event_id") for event in heard] == [sent, sent, None, end, end, None]
    assert "conversation_id" not in heard[0]
    assert heard[4]["properties"] == {
        "started_at": at(1),
        "duration_ms": 60_000,
        "turns": 1,
        "functions": 0,
        "failed": 0,
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "models": ["m"],
    }


def test_a_conversation_is_summed_up_once(running: LocalService, project: Project):
    with listening(running, project) as listener:
        project.take(turn(), ended(), ended(), end_session())
        heard = listener.until("Session Ended")

    assert names(heard).count("Conversation Summary") == 1


def test_traits_and_attributes_are_told(running: LocalService, project: Project):
    with listening(running, project) as listener:
        project.take(start_session(id="u1", attributes={"channel": "web"}), identify(traits={"plan": "pro"}))
        first, second = listener.next(), listener.next()

    assert (first["event"], first["properties"]) == ("Session Started", {"channel": "web"})
    assert (second["event"], second["properties"]) == ("User Identified", {"plan": "pro"})
    assert second["user_traits"] == {"plan": "pro"}


def test_a_listener_of_one_session_hears_no_other(running: LocalService, project: Project):
    with listening(running, project, session_id="mine") as listener:
        project.take(track("e", session_id="theirs"), track("mine", session_id="mine"))

        assert names([listener.next(), listener.next()]) == ["Session Started", "mine"]


def test_a_listener_hears_its_own_project_only(running: LocalService, project: Project):
    other = Project(running.url)
    with other.http, listening(running, project) as listener:
        other.take(track("theirs"))
        project.take(track("ours"))

        assert listener.until("ours")[0]["app_id"] == project.id


def test_a_refused_event_is_heard_as_a_fault(running: LocalService, project: Project):
    with listening(running, project, session_id="s1") as listener:
        refused = project.send(track("Conversation Turn", {"user": "no answer"}, conversation_id="c1"))
        heard = listener.next()

    assert refused.status_code == 400
    assert (heard["event"], heard["session_id"]) == ("MLError", "s1")
    assert heard["properties"] == {"error_message": refused.text}


def test_a_delivery_that_comes_again_is_not_heard_again(running: LocalService, project: Project):
    with listening(running, project) as listener:
        project.send(track("one"), key="k")
        project.send(track("one"), key="k")
        project.send(track("two"))

        assert names(listener.until("two")) == ["Session Started", "one", "two"]


@pytest.mark.parametrize("key", [None, "Bearer", "Bearer wrong"])
def test_a_websocket_needs_a_key_that_was_given_out(running: LocalService, key: str | None):
    headers = {} if key is None else {"Authorization": key}

    with pytest.raises(InvalidStatus, match="403"), connect(running.live_url, additional_headers=headers):
        pass


def test_a_websocket_from_a_page_of_somebody_else_is_refused(running: LocalService, project: Project):
    key = project.http.get("/bc/v1/live-events/realtime").json()["authorization_key"]
    headers = {"Authorization": f"Bearer {key}", "Sec-Fetch-Site": "cross-site"}

    with pytest.raises(InvalidStatus, match="403"), connect(running.live_url, additional_headers=headers):
        pass


def test_a_key_to_listen_needs_a_key_of_the_service():
    with start(api_keys=["first"]) as service, http_client(service.url) as http:
        assert http.get("/bc/v1/live-events/realtime").status_code == 401
        given = http.get("/bc/v1/live-events/realtime", headers={"Authorization": "first"})

    assert given.status_code == 200


def test_stopping_ends_open_websockets():
    service = start()
    project = Project(service.url)
    with project.http, listening(service, project) as listener:
        service.stop()

        with pytest.raises(ConnectionClosed):
            listener.next()


def free_port(prefix: str) -> int:
    for port in range(int(f"{prefix}0"), int(f"{prefix}9")):
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port + 1000))
            except OSError:
                continue
            return port
    pytest.skip("no free port 300x")


def test_a_service_on_300x_has_its_websocket_on_400x_as_well():
    port = free_port("300")
    with start(port=port) as service:
        project = Project(service.url)
        assert service.live_url == f"ws://127.0.0.1:{port + 1000}"
        assert service.taken_port is None
        with project.http, listening(service, project) as listener:
            project.take(track("heard"))
            assert listener.next()["event"] == "Session Started"


def test_a_taken_port_400x_is_named_and_the_websocket_is_on_the_other():
    port = free_port("300")
    with socket.create_server(("127.0.0.1", port + 1000)), start(port=port) as service:
        project = Project(service.url)
        assert service.taken_port == port + 1000
        with project.http, listening(service, project) as listener:
            project.http.post(QUEUE, json=track("heard"))
            assert listener.next()["event"] == "Session Started"
