"""Flush, told truthfully: what becomes of the events that were accepted before it."""

import asyncio
import concurrent.futures
import contextlib
import math
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from mindlytics_core._stats import FlushResult

if TYPE_CHECKING:
    from mindlytics_core._batch import Entry


class Ticket:
    """
    Follows the events that are unsettled when somebody flushes. Written by the worker's thread only.

    What is settled before the worker comes to open it was accepted before the flush too, or in that very moment.
    """

    def __init__(self) -> None:
        #: Done when every event is settled.
        self.done: Future[None] = Future()
        self._upto: float = math.inf
        self._pending: int | None = None
        self._delivered = 0
        self._dropped: dict[str, int] = {}

    def open(self, upto: int, pending: int) -> None:
        """
        Follow the events one by one from here on.

        Args:
            upto: The last event's number.

            pending: How many up to there are unsettled.
        """
        self._upto, self._pending = upto, pending
        self._close_if_settled()

    def delivered(self, entries: "Sequence[Entry]") -> None:
        """Note that the service took these events."""
        # Below 0: a dead process's event, which no flush of this one has accepted.
        count = sum([0 < entry.number <= self._upto for entry in entries])
        self._delivered += count
        self._settle(count)

    def dropped(self, number: float, reason: str) -> None:
        """Note that one event was given up; one without a number yet is given an infinite one."""
        if 0 < number <= self._upto:
            self._dropped[reason] = self._dropped.get(reason, 0) + 1
            self._settle(1)

    def result(self, *, unopened: int, beyond: int = 0) -> FlushResult:
        """
        What has become of the events so far.

        Args:
            unopened: What to call pending when the worker has not yet come to open the ticket.

            beyond: How many events never came to the worker: the app's code still looks at them.
        """
        pending = unopened if self._pending is None else self._pending + beyond
        ok = not pending and not self._dropped
        return FlushResult(ok, self._delivered, pending, dict(self._dropped))

    def _settle(self, count: int) -> None:
        if self._pending is not None:
            self._pending -= count
            self._close_if_settled()

    def _close_if_settled(self) -> None:
        if not self._pending and not self.done.done():
            self.done.set_result(None)


async def await_all(waited_for: Sequence[Future[None]], timeout: float) -> None:
    """Wait on any running loop, also trio's, until all of them are done, or for `timeout` seconds."""
    deadline = time.monotonic() + timeout
    for done in waited_for:
        await _await_done(done, max(deadline - time.monotonic(), 0.0))


def wait_for_all(waited_for: Sequence[Future[None]], timeout: float) -> None:
    """Block until all of them are done, or for `timeout` seconds; not where nobody is left to do it."""
    if waited_for and not sys.is_finalizing():
        concurrent.futures.wait(waited_for, max(timeout, 0.0))


async def _await_done(done: Future[None], timeout: float) -> None:
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        await _await_on_trio(done, timeout, trio)
        return
    is_done = asyncio.Event()
    _then(done, asyncio.get_running_loop().call_soon_threadsafe, is_done.set)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await is_done.wait()


async def _await_on_trio(done: Future[None], timeout: float, trio: Any) -> None:
    is_done = trio.Event()
    _then(done, trio.lowlevel.current_trio_token().run_sync_soon, is_done.set)
    with trio.move_on_after(timeout):
        await is_done.wait()


def _then(done: Future[None], call_soon: Callable[[Callable[[], None]], object], ring: Callable[[], None]) -> None:
    def call(_: object) -> None:
        # The loop may be long gone when it is done at last.
        with contextlib.suppress(RuntimeError):
            call_soon(ring)

    done.add_done_callback(call)
