"""Closing a client more than once."""

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
