"""The sessions that one client must end: when they have been idle for long, at close and at exit."""

import heapq
from collections.abc import Callable

from mindlytics_core._clock import Clock
from mindlytics_core._last_lock import LastLock, new_lock
from mindlytics_core._lifecycle import Lifecycle

#: Sessions kept open at once; beyond it the quietest end, a tenth of them together.
MOST_OPEN = 10_000


class OpenSessions:
    """
    Holds sessions from their first event to their end, also when the app has let go of them.

    Args:
        clock: Time.

        call_at: Has something called at a time of the monotonic clock.

        idle_timeout: Seconds without an event after which a session, or a conversation in it, ends.

        keep: Told whether any is open, whenever that may have changed.
    """

    def __init__(
        self,
        clock: Clock,
        call_at: Callable[[float, Callable[[], None]], None],
        idle_timeout: float,
        keep: Callable[[bool], None],
    ) -> None:
        self._clock = clock
        self._call_at = call_at
        self._idle_timeout = idle_timeout
        self._keep = keep
        self.renew()

    def renew(self) -> None:
        """Begin with none; in a forked child they are the parent's."""
        self._lock = new_lock()
        self._open: dict[Lifecycle, None] = {}
        self._timer_is_set = False
        self._is_crowded = False

    def outlive_threads(self) -> None:
        """The process ends: wait no more for threads that are frozen with the lock."""
        self._lock = LastLock(self._lock)

    def add(self, lifecycle: Lifecycle) -> None:
        """Hold a session."""
        with self._lock:
            self._open[lifecycle] = None
            # Under the lock: otherwise an end and a start at once might be told in the wrong order.
            self._keep(True)
            if lifecycle.ends_when_idle:
                self._set_timer(lifecycle.touched)
            if len(self._open) > MOST_OPEN and not self._is_crowded:
                # Later and elsewhere: the caller holds the new session's lock, and others' locks come next.
                self._is_crowded = True
                self._call_at(0.0, self._end_quietest)

    def discard(self, lifecycle: Lifecycle) -> None:
        """The session has ended."""
        with self._lock:
            self._open.pop(lifecycle, None)
            self._keep(bool(self._open))

    def end_all(self, *, named_too: bool) -> None:
        """End what this process opened; named ones may go on in another process."""
        for lifecycle in self._held():
            if named_too or not lifecycle.named:
                lifecycle.end(None, {})

    def _held(self) -> list[Lifecycle]:
        with self._lock:
            return list(self._open)

    def _end_quietest(self) -> None:
        self._is_crowded = False
        quiet = [held for held in self._held() if held.ends_when_idle and not held.is_running]
        # Several together, so that the search among all of them is rare.
        surplus = len(self._open) - MOST_OPEN + MOST_OPEN // 10
        for lifecycle in heapq.nsmallest(surplus, quiet, key=_touched):
            lifecycle.end_idle(lifecycle.touched)

    def _set_timer(self, since: float) -> None:
        if not self._timer_is_set:
            self._timer_is_set = True
            self._call_at(since + self._idle_timeout, self._sweep)

    def _sweep(self) -> None:
        now = self._clock.monotonic()
        watched = [held for held in self._held() if held.ends_when_idle]
        for lifecycle in watched:
            lifecycle.end_idle(now - self._idle_timeout)
        silent_since = {held: held.idle_from(now) for held in watched}
        # The sessions' own locks are taken before this one everywhere, so none is taken from here on.
        with self._lock:
            self._timer_is_set = False
            watched = [held for held in self._open if held.ends_when_idle]
            if watched:
                self._set_timer(min(silent_since.get(held, held.touched) for held in watched))


def _touched(lifecycle: Lifecycle) -> float:
    return lifecycle.touched
