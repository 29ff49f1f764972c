"""The sessions that one client must end: when they have been idle for long, at close and at exit."""

import threading
from collections.abc import Callable

from mindlytics_core._clock import Clock
from mindlytics_core._lifecycle import Lifecycle


class OpenSessions:
    """
    Holds sessions from their first event to their end, also when the app has let go of them.

    Args:
        clock: Time.

        call_at: Has something called at a time of the monotonic clock.

        idle_timeout: Seconds without an event after which a session ends.
    """

    def __init__(self, clock: Clock, call_at: Callable[[float, Callable[[], None]], None], idle_timeout: float) -> None:
        self._clock = clock
        self._call_at = call_at
        self._idle_timeout = idle_timeout
        self.renew()

    def renew(self) -> None:
        """Begin with none; in a forked child they are the parent's."""
        self._lock = threading.RLock()
        self._open: dict[Lifecycle, None] = {}
        self._timer_is_set = False

    def __bool__(self) -> bool:
        return bool(self._open)

    def add(self, lifecycle: Lifecycle) -> None:
        """Hold a session."""
        with self._lock:
            self._open[lifecycle] = None
            if lifecycle.ends_when_idle:
                self._set_timer(lifecycle.touched)

    def discard(self, lifecycle: Lifecycle) -> None:
        """The session has ended."""
        with self._lock:
            self._open.pop(lifecycle, None)

    def end_all(self, *, named_too: bool) -> None:
        """End what this process opened; named ones may go on in another process."""
        for lifecycle in list(self._open):
            if named_too or not lifecycle.named:
                lifecycle.end(None, {})

    def _set_timer(self, since: float) -> None:
        if not self._timer_is_set:
            self._timer_is_set = True
            self._call_at(since + self._idle_timeout, self._sweep)

    def _sweep(self) -> None:
        with self._lock:
            self._timer_is_set = False
            idle_since = self._clock.monotonic() - self._idle_timeout
            watched = [lifecycle for lifecycle in self._open if lifecycle.ends_when_idle]
            for lifecycle in watched:
                if lifecycle.touched <= idle_since:
                    lifecycle.end(None, {})
            busy = [lifecycle.touched for lifecycle in self._open if lifecycle.ends_when_idle]
            if busy:
                self._set_timer(min(busy))
