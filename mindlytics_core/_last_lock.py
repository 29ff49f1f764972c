"""What a lock becomes when the process ends: daemon threads may be frozen with it, and finalisers still come."""

import sys
import threading
from contextlib import suppress
from types import TracebackType
from typing import Protocol, cast

#: Whether the exit handlers are done: locks that are made now are last ones from the start.
EXITED = threading.Event()


class RLock(Protocol):
    """What is asked of a re-entrant lock; the type checker has no name for those."""

    def acquire(self, blocking: bool = True) -> bool:  # noqa: FBT001, FBT002  # as `threading` has it
        """Take it, or say that it cannot be had."""
        ...

    def release(self) -> None:
        """Give it back."""
        ...

    def _is_owned(self) -> bool: ...

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...


class LastLock:
    """
    Takes a lock's place after the exit handlers. While the interpreter is torn down, it waits for nobody.

    By then one thread alone runs, and those that held the lock never will again.

    Args:
        lock: What holds threads apart until then.
    """

    def __init__(self, lock: RLock) -> None:
        self._lock = lock

    def acquire(self, blocking: bool = True) -> bool:  # noqa: FBT001, FBT002  # as `threading` has it
        """Take the lock; while the interpreter is torn down, go on without it if it cannot be had."""
        return self._lock.acquire(blocking and not sys.is_finalizing())

    def release(self) -> None:
        """Give it back, if it was had."""
        with suppress(RuntimeError):
            self._lock.release()

    def _is_owned(self) -> bool:
        return self._lock._is_owned()  # noqa: SLF001  # as `threading.Condition` asks it

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def new_lock() -> RLock:
    """A re-entrant lock: a signal handler or finaliser may need it while a call of ours holds it."""
    lock = cast("RLock", threading.RLock())
    return LastLock(lock) if EXITED.is_set() else lock
