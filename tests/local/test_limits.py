"""Bodies that are too large, and who is let in."""

import socket
from collections.abc import Iterator

import pytest
from local.builders import turn
from local.conftest import QUEUE, Project, http_client

from mindlytics_local import LocalService, start
from mindlytics_local._settings import Settings

LIMIT = Settings().max_body_bytes


@pytest.fixture(scope="module")
def locked() -> Iterator[LocalService]:
    """A service with keys."""
    with start(api_keys=["first", "second"], admin_key="root") as service:
        yield service


def test_a_body_that_is_too_large_is_refused_and_nothing_is_stored(project: Project):
    large = project.send(turn("x" * LIMIT))
    small = project.send(turn("x"))

    assert (large.status_code, small.status_code) == (413, 200)
    assert str(LIMIT) in large.text
    assert len(project.ask("events")) == 1


def test_a_body_of_unknown_length_is_stopped_while_it_is_read(project: Project):
    def endless() -> Iterator[bytes]:
        for _ in range(LIMIT // 2**20 + 2):
            yield b" " * 2**20

    assert project.http.post(QUEUE, content=endless()).status_code == 413


def test_a_body_announced_as_enormous_is_refused_unread(running: LocalService):
    host, port = running.url.removeprefix("http://").split(":")

    with socket.create_connection((host, int(port)), timeout=10) as wire:
        wire.sendall(f"POST {QUEUE} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {10**12}\r\n\r\n".encode())
        assert wire.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("key", ["", " ", "two words", "schlüssel"])
def test_a_key_that_nobody_could_send_or_everybody_does_is_none(key: str):
    for keys in ({"api_keys": [key]}, {"admin_key": key}):
        with pytest.raises(ValueError, match="a key must"):
            start(**keys)


@pytest.mark.parametrize("given", ["Bearer first", "first", "bearer second", "Bearer   second", "root"])
def test_a_known_key_is_taken_with_and_without_bearer(locked: LocalService, given: str):
    project = Project(locked.url, Authorization=given)
    with project.http:
        project.take(turn())

        assert len(project.ask("events")) == 1


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer wrong", "wrong", "firstt", "Bearer first second", "schlüssel"]
)
def test_any_other_key_is_refused_everywhere(locked: LocalService, given: str | None):
    headers = {} if given is None else {"Authorization": given.encode()}
    with http_client(locked.url, **headers) as http:
        answers = [
            http.post(QUEUE, json=[turn()]),
            http.post("/bc/v1/events/event", json=turn()),
            http.get("/bc/v1/db/events/find"),
            http.get("/bc/v1/live-events/events"),
            http.get("/bc/v1/user/list"),
            http.get("/live"),
        ]

    assert {answer.status_code for answer in answers} == {401}
    assert all("API key" in answer.text for answer in answers)


def test_the_page_and_the_health_need_no_key(locked: LocalService):
    with http_client(locked.url) as http:
        assert http.get("/").status_code == http.get("/health").status_code == 200


def test_without_keys_any_is_taken(running: LocalService):
    project = Project(running.url, Authorization="Bearer anything")
    with project.http:
        project.take(turn())


def test_wiping_and_making_keys_need_the_administrator_key():
    with start(api_keys=["key"], admin_key="root") as service:
        user, admin = Project(service.url, Authorization="key"), Project(service.url, Authorization="Bearer root")
        with user.http, admin.http:
            user.take(turn())
            refused = [user.http.get("/bc/v1/db/_cleanup"), user.http.post("/bc/v1/orgkeys")]
            made = admin.http.post("/bc/v1/orgkeys").json()
            new = Project(service.url, Authorization=f"Bearer {made['apikey']}")
            with new.http:
                new.take(turn())
                assert admin.http.get("/bc/v1/db/_cleanup").status_code == 200
                # The wipe takes what was sent, not the keys.
                assert new.ask("events") == user.ask("events") == user.ask("users") == []

    assert [answer.status_code for answer in refused] == [401, 401]
    assert made["organization_id"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "http://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:1", "Host": "localhost:1"}, 200),
        ({"Host": "rebound.example"}, 403),
        ({"Host": "localhost:3000"}, 200),
        ({"Host": "[::1]:3000"}, 200),
        ({"Host": "host.docker.internal:3000"}, 200),
    ],
    ids=str,
)
def test_pages_of_others_are_kept_away(running: LocalService, headers: dict[str, str], status: int):
    with http_client(running.url) as http:
        assert http.get("/bc/v1/db/events/count", headers=headers).status_code == status


def test_a_link_from_elsewhere_shows_the_page(running: LocalService):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    with http_client(running.url, **headers) as http:
        assert (http.get("/").status_code, http.get("/bc/v1/db/_cleanup").status_code) == (200, 403)
