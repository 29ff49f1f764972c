"""The bounded inbox between the app's threads and the worker. No lock on the producers' side."""

import itertools
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from mindlytics_core import _stats
from mindlytics_core._config import Delivery
from mindlytics_core._stats import Counter, Sum, Tally
from mindlytics_core._threads import loop_runs
from mindlytics_core.exceptions import DeliveryError

#: How long a call waits at most for the disk, when the queue in memory is full; a stall, not a wait for the network.
_DISK_TIMEOUT = 1.0
_LOOK_EVERY = 0.001
#: The share of the bounds that may come in before a worker that looks by itself is woken.
_MUCH = 20


class Owner(Protocol):
    """Who is told what became of an event: the client that accepted it."""

    def dropped(self, session_id: str, reason: str, error: DeliveryError | None) -> None:
        """One event of this session was given up."""

    def noticed(self, error: DeliveryError) -> None:
        """The state of delivery changed: paused."""


class Item(msgspec.Struct, frozen=True, gc=False):
    """One encoded event on its way; the garbage collector need not look at ten thousand of them that wait."""

    session_id: str
    body: bytes
    owner: Owner
    #: Where the spool has it, if there is one.
    row: object = None


class Queue:
    """
    Takes items from any thread, signal handler or finaliser, at once and without a lock.

    Args:
        options: The bounds.

        wake: Wakes the worker; called at most once between two calls of `before_sleep`.

        log: Writes an event down before the call returns.

        may_wait: Whether a call may wait a moment for the worker to make room, because it can: on disk.
    """

    def __init__(
        self,
        options: Delivery,
        wake: Callable[[], None],
        *,
        log: Callable[[Item], Item] | None = None,
        may_wait: bool = False,
    ) -> None:
        self._log = log
        #: Whether a call may wait a moment for the worker to make room; allowed by the worker only.
        self.may_wait = may_wait
        #: Where the worker runs, which must not wait for itself.
        self.worker_thread: int | None = None
        self._options = options
        self._wake = wake
        # SimpleQueue is re-entrant: a finaliser that runs inside put() may put again.
        self._inbox: queue.SimpleQueue[Item | Callable[[], None]] = queue.SimpleQueue()
        self.accepted = Counter()
        self.dropped = Tally()
        #: One for each event that may still come in: to take one is a single step, so the bound is exact.
        self._places = deque(itertools.repeat(None, options.max_events))
        #: Bytes in memory that are not settled.
        self._bytes = Sum()
        #: The size of the inbox, and the bytes in memory, at which the worker is woken; infinite while it is awake.
        self._wake_at: float = 1
        self._wake_at_bytes: float = math.inf

    def put(self, item: Item, *, is_counted: bool = False) -> bool:
        """
        Accept one event; False when it had to be dropped on the spot, which is counted.

        Args:
            item: The event.

            is_counted: Whether it was accepted before, and waited for its turn.
        """
        if not is_counted:
            self.accepted.raise_by_one()
        size = len(item.body)
        if size > self._options.max_event_bytes:
            return self.drop(item.owner, item.session_id, _stats.TOO_LARGE)
        held = self._reserve(size)
        if held is None and (held := self._reserve_soon(size)) is None:
            return self.drop(item.owner, item.session_id, _stats.QUEUE_OVERFLOW)
        if self._log is not None:
            item = self._log(item)
        inbox = self._inbox
        inbox.put(item)
        if inbox.qsize() >= self._wake_at or held >= self._wake_at_bytes:
            self._wake_now()
        return True

    def refuse(self, owner: Owner, session_id: str, reason: str) -> bool:
        """Count an event that passed the checks at the call but cannot be queued."""
        self.accepted.raise_by_one()
        return self.drop(owner, session_id, reason)

    def drop(self, owner: Owner, session_id: str, reason: str, error: DeliveryError | None = None) -> bool:
        """Count one accepted event as given up, and tell its owner. Always False, for the caller to return."""
        self.dropped.add(reason)
        owner.dropped(session_id, reason, error)
        return False

    def put_task(self, task: Callable[[], None]) -> None:
        """Have the worker call `task` after everything that was put before."""
        self._inbox.put(task)
        self._wake_now()

    def taken(self) -> Iterator[Item | Callable[[], None]]:
        """What came in since the last time, oldest first. For the worker."""
        take = self._inbox.get_nowait
        for _ in range(self._inbox.qsize()):
            yield take()

    def before_sleep(self, *, wake_for_one: bool) -> bool:
        """
        Arrange the next wake-up; False when something came in meanwhile. For the worker.

        Args:
            wake_for_one: Whether one event is worth waking for; otherwise only so many that they need a place soon.
                To wake a thread takes longer than all else in a call, and lets that thread run instead of the app.
        """
        options = self._options
        self._wake_at_bytes = self._bytes.total + options.max_bytes / _MUCH
        self._wake_at = 1 if wake_for_one else max(options.max_events // _MUCH, 1)
        return self._inbox.qsize() < self._wake_at

    def free(self, events: int, size: int) -> None:
        """Give the places of events back that are settled, or on disk. For the worker."""
        self._places.extend(itertools.repeat(None, events))
        self._bytes.add(-size)

    def _reserve(self, size: int) -> int | None:
        """Take a place for one event, and give the bytes that are held about then; None when there is no place."""
        try:
            self._places.pop()
        except IndexError:
            return None
        held = self._bytes.add(size)
        if held <= self._options.max_bytes:
            return held
        self.free(1, size)
        return None

    def _reserve_soon(self, size: int) -> int | None:
        """The same, after the worker was given the processor, if this call may wait."""
        timeout = self._timeout()
        if not timeout:
            return None
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self._wake_now()
            time.sleep(_LOOK_EVERY)
            if (held := self._reserve(size)) is not None:
                return held
        # A disk that hangs costs one such wait, until the worker comes back from it and allows the next.
        self.may_wait = False
        return None

    def _timeout(self) -> float:
        if self.worker_thread == threading.get_ident():
            return 0.0
        if self.may_wait:
            # It writes to disk about as fast as events are made.
            return _DISK_TIMEOUT
        return self._options.block_timeout if self._options.overflow == "block" and not loop_runs() else 0.0

    def _wake_now(self) -> None:
        self._wake_at = self._wake_at_bytes = math.inf
        self._wake()
