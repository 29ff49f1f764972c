"""Whether the spool's disk can be used, and who is told when it cannot."""

from collections.abc import Callable, Iterable

from mindlytics_core._queue import Owner
from mindlytics_core._reports import Reports
from mindlytics_core.exceptions import SpoolFailed

#: How long a disk that failed is left alone.
_RETRY_AFTER = 5.0

#: Nobody of this process is told about a dead process's events.
NOBODY = Reports(None, None)


class Disk:
    """
    Works, or is left alone for a while.

    Args:
        now: The monotonic clock.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._broken_until: float | None = None

    @property
    def works(self) -> bool:
        """Whether it has not failed since it last did what it was asked."""
        return self._broken_until is None

    @property
    def may_be_tried(self) -> bool:
        """Whether to use it now."""
        return self._broken_until is None or self._broken_until <= self._now()

    @property
    def next_try(self) -> float:
        """When to use it again."""
        return self._broken_until or self._now()

    def failed(self, error: BaseException, owners: Iterable[Owner], *, retry_after: float = _RETRY_AFTER) -> None:
        """It did not do what it was asked; told once until it works again."""
        if self._broken_until is None:
            for owner in set(owners) or {NOBODY}:
                owner.noticed(SpoolFailed(f"{type(error).__name__}: {error}"))
        self._broken_until = self._now() + retry_after

    def try_now(self) -> None:
        """Do not leave it alone any longer."""
        if self._broken_until is not None:
            self._broken_until = self._now()

    def worked(self) -> None:
        """It did."""
        self._broken_until = None
