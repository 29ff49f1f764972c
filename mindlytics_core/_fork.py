"""What a fork must not cut in half."""

# It hooks forks too: where that happens while one waits, its lock is released without being held. So it comes early.
import concurrent.futures.thread  # noqa: F401
from collections.abc import Iterator
from contextlib import contextmanager

from mindlytics_core._last_lock import LastLock, new_lock


class ForkGuard:
    """
    Held while a thread does something that a fork must wait for, such as an import that comes late.

    A module that is half imported when another thread forks stays so in the child for ever, and whoever
    imports it there waits for ever; the same goes for SQLite's own locks. So a fork waits for the end of it.
    """

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """In a forked child: the fork has waited, so nobody holds it."""
        self._lock = new_lock()

    def outlive_threads(self) -> None:
        """The process ends: wait no more for threads that are frozen with it."""
        self._lock = LastLock(self._lock)

    def hold(self) -> None:
        """Wait for what is in progress, and let nothing else begin before `let_go`."""
        self._lock.acquire()

    def let_go(self) -> None:
        """The fork is done."""
        self._lock.release()

    @contextmanager
    def no_fork(self) -> Iterator[None]:
        """Keep forks waiting during the block."""
        with self._lock:
            yield


#: The process's own.
FORKS = ForkGuard()
