"""Closing a client more than once, and using it afterwards."""

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

from helpers import events, shape

from mindlytics_core import Client


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
