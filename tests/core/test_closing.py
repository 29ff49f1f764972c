"""Closing a client more than once, and using it afterwards."""

import functools
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from chaos import Chaos
from helpers import events, shape

from mindlytics_core import Client
from mindlytics_core._process import PROCESS
from mindlytics_core._queue import Item
from mindlytics_core._transport import HTTPTransport


def test_a_client_that_is_closed_twice_leaves_the_others_theirs(new_client: Callable[..., Client], service: Any):
    closed, other = new_client(), new_client()
    closed.close()
    assert closed.close()

    other.create_session(id="ann").track_event(event="Paid")

    assert other.flush_sync()
    assert shape(events(service)) == ["start_session", "Paid"]


def test_a_closed_client_that_is_used_all_the_same_is_not_kept():
    def use(client: Client) -> list[weakref.ref[Any]]:
        client.close()
        client.create_session(id="ann").track_event(event="late")
        client.exchange("Hi", continue_within=60).finish("late")
        assert client.stats().dropped == {"closed": 5}
        return [weakref.ref(client), weakref.ref(client._book)]

    before = set(threading.enumerate())
    kept = use(Client("key", "closed", "http://closed.invalid"))
    gc.collect()

    assert [reference() for reference in kept] == [None, None]
    assert not set(threading.enumerate()) - before


def test_what_comes_in_while_a_released_worker_winds_down_or_later_is_delivered(
    chaos: Chaos, hasty, monkeypatch: pytest.MonkeyPatch
):
    client = hasty()
    client.create_session(id="ann").track_event(event="in time")
    worker, aclose = client._book.worker, HTTPTransport.aclose
    late = [
        functools.partial(worker.queue.put, Item("s", b'{"type":"track","event":"%b"}' % name, client._reports))
        for name in (b"one", b"two")
    ]

    async def put_and_close(transport: HTTPTransport) -> None:
        # A call that has seen the client open, and comes in last of all.
        if late:
            late.pop(0)()
            assert worker in PROCESS.workers()
        await aclose(transport)

    monkeypatch.setattr(HTTPTransport, "aclose", put_and_close)
    assert client.close(10)

    chaos.wait_until(lambda: {"one", "two"} <= set(shape(chaos.events())))
    worker._runner.join(10)
    assert worker not in PROCESS.workers()
    worker.queue.put(Item("s", b'{"type":"track","event":"three"}', client._reports))
    chaos.wait_until(lambda: "three" in shape(chaos.events()))
    assert client.stats().accepted == client.stats().delivered + client.stats().pending
