"""The live stream: what is stored is seen, and nobody who watches holds anything up."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from local.builders import turn
from local.conftest import Project, http_client

from mindlytics_local import LocalService, start
from mindlytics_local.live._broadcast import Broadcast


def messages(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    kind = ""
    for line in lines:
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, json.loads(line.removeprefix("data: "))


def test_a_new_event_reaches_whoever_watches(project: Project):
    with project.http.stream("GET", "/live") as answer:
        lines = answer.iter_lines()
        assert next(lines) == ": watching"
        assert answer.headers["content-type"].startswith("text/event-stream")

        project.take(turn("one"), turn("two"))
        project.http.post("/bc/v1/events/event", json=turn("three"))

        seen = messages(lines)
        events = [next(seen) for _ in range(3)]
        assert [(kind, event["properties"]["user"]) for kind, event in events] == [
            ("event", "one"),
            ("event", "two"),
            ("event", "three"),
        ]
        assert [event for _, event in events] == project.ask("events")


def test_a_delivery_that_comes_again_is_not_shown_again(project: Project):
    with project.http.stream("GET", "/live") as answer:
        lines = answer.iter_lines()
        next(lines)
        project.send(turn("one"), key="k")
        project.send(turn("one"), key="k")
        project.send(turn("two"))

        seen = messages(lines)
        assert [next(seen)[1]["properties"]["user"] for _ in range(2)] == ["one", "two"]


def test_a_wipe_tells_whoever_watches_to_look_again():
    with (
        start() as service,
        http_client(service.url) as http,
        http.stream("GET", "/live") as answer,
    ):
        lines = answer.iter_lines()
        next(lines)
        http.get("/bc/v1/db/_cleanup")

        assert next(messages(lines)) == ("missed", {})


def test_stopping_ends_open_streams():
    service = start()
    with http_client(service.url) as http, http.stream("GET", "/live") as answer:
        lines = answer.iter_lines()
        next(lines)

        service.stop()

        assert [line for line in lines if line] == []


def test_stopping_does_not_wait_for_those_who_do_not_read():
    with start() as service:
        project = Project(service.url)
        with project.http, project.http.stream("GET", "/live") as answer:
            lines = answer.iter_lines()
            assert next(lines) == ": watching"
            # More than the sockets between the two can hold, so that the service has to wait to send.
            for _ in range(20):
                project.take(turn("x" * 1_000_000))

            service.stop()


async def test_a_watcher_who_leaves_is_forgotten():
    live = Broadcast()
    stream = live.stream()
    await anext(stream)
    assert live.pages == 1

    await stream.aclose()

    assert live.pages == 0


async def test_a_slow_watcher_is_told_once_that_it_has_missed_something(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mindlytics_local.live._subscriber._BEHIND_CHARS", 1000)
    live = Broadcast()
    stream = live.stream()
    await anext(stream)

    for seq in range(2000):
        live.show([{"seq": seq}])
    live.close()

    received = [message async for message in stream]
    assert received[-1].startswith("event: missed")
    assert sum(map(len, received[:-1])) <= 1000
    assert all("event: event" in message for message in received[:-1])


async def test_a_watcher_who_has_caught_up_is_told_everything_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mindlytics_local.live._subscriber._BEHIND_CHARS", 60)
    live = Broadcast()
    stream = live.stream()
    await anext(stream)

    for seq in range(10):
        live.show([{"seq": seq}])
        assert f"id: {seq}" in await anext(stream)
    await stream.aclose()


async def test_a_stream_that_comes_after_the_end_is_empty():
    live = Broadcast()
    live.close()

    assert [message async for message in live.stream()] == []


async def test_silence_is_broken_by_a_sign_of_life(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mindlytics_local.live._broadcast._SIGN_OF_LIFE_SECONDS", 0.001)
    stream = Broadcast().stream()
    await anext(stream)

    assert await anext(stream) == ": still here\n\n"
    await stream.aclose()


def test_the_service_is_of_use_to_several_at_once(running: LocalService, project: Project):
    with project.http.stream("GET", "/live") as one, project.http.stream("GET", "/live") as other:
        first, second = one.iter_lines(), other.iter_lines()
        next(first)
        next(second)

        project.take(turn("both"))

        assert next(messages(first)) == next(messages(second))
    assert running.url
