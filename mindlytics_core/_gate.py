"""Whether requests may leave now: the one backoff and pause of a destination."""

from collections.abc import Callable

from mindlytics_core import _retry
from mindlytics_core._batch import Batch
from mindlytics_core._config import Delivery
from mindlytics_core._retry import Answer


class Gate:
    """
    Open, closed until a time, or with one probe on its way.

    Args:
        options: The waits.

        random: Gives a number from 0 to 1, for jitter.
    """

    def __init__(self, options: Delivery, random: Callable[[], float]) -> None:
        self._options = options
        self._random = random
        self._failures = 0
        #: The service asked for no request before this time.
        self._asked_until = 0.0
        #: None while it is open.
        self.closed_until: float | None = None
        #: Whether the service refuses everything, until it takes something again.
        self.paused = False
        #: The one batch that went ahead while the gate is closed.
        self.probe: Batch | None = None

    def allows(self, now: float) -> bool:
        """Whether a request may leave now."""
        if self.closed_until is None:
            return True
        return self.probe is None and now >= self.closed_until

    def passed(self, batch: Batch) -> None:
        """A batch leaves; through a closed gate it is the probe."""
        if self.closed_until is not None:
            self.probe = batch

    def answered(self, batch: Batch, now: float) -> None:
        """
        The service dealt with a batch.

        Only a probe opens a closed gate: one that left before it closed says nothing about now. And not even
        a probe cuts short what the service asked for in another answer.
        """
        if self.probe is batch:
            self.probe = None
            self.paused = False
            self._failures = 0
            self.closed_until = self._asked_until if self._asked_until > now else None

    def failed(self, batch: Batch, answer: Answer, now: float, *, paused: bool) -> bool:
        """Close, or stay closed for longer; True when this is the start of a pause."""
        options, starts_pause = self._options, paused and not self.paused
        # Several batches may fail of one cause; only the first of them and each probe count.
        if self.probe is batch or self.closed_until is None:
            self._failures += 1
        if self.probe is batch:
            self.probe = None
        if paused:
            self.paused, wait = True, options.pause_interval
        else:
            wait = _retry.backoff(self._failures, options.retry_base, options.retry_cap, self._random)
        self._asked_until = max(self._asked_until, now + answer.retry_after)
        self.closed_until = max(self.closed_until or 0.0, self._asked_until, now + wait)
        return starts_pause

    def hurry(self, *, last_chance: bool) -> None:
        """
        Let a probe go now that would have gone later, though not before the time that the service asked for.

        Args:
            last_chance: Also through a backoff, not only through a pause.
        """
        if self.closed_until is not None and (self.paused or last_chance):
            self._failures = 0
            self.closed_until = self._asked_until
