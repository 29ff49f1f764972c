"""Sends events no faster than the service takes them, and knows of each whether it did."""

import threading
import time
from collections.abc import Callable

from mindlytics_core import Client, Delivery, DeliveryError, DeliveryPaused, Event

#: Events and bytes after which a record is the last until all have arrived: also what a killed import may send twice.
MOST_EVENTS = 500
_MOST_BYTES = 8 * 1024 * 1024
#: How long one look at the queue takes, in seconds; between two, an interruption is noticed.
_LOOK = 0.5
#: How long, after an interruption, a service that is answering may go on, in seconds; each answer begins it anew.
_GRACE = 2.0
#: How long the reasons of refused events may take to arrive after the refusals themselves, in seconds.
_REASONS_WITHIN = 2.0

#: An import is not an app that must go on: what is on its way when it stops is sent by the next run.
DELIVERY = Delivery(linger=0.05, exit_timeout=0.0)


class Stopped(Exception):
    """The import cannot go on; the text says why and what to do."""


class Sender:
    """
    One import's way to the service.

    Args:
        new_client: Makes the client, with the options given to it.

        patience: Seconds without any progress after which the import gives up.

        interrupted: Whether somebody wants it to end.
    """

    def __init__(
        self, new_client: Callable[..., Client], *, patience: float, interrupted: Callable[[], bool] = lambda: False
    ) -> None:
        self._changed = threading.Condition()
        self._paused: DeliveryPaused | None = None
        self._refused: list[DeliveryError] = []
        self._patience = patience
        self._interrupted = interrupted
        self._client = new_client(on_error=self._note, delivery=DELIVERY)
        #: Events on their way.
        self.waiting = 0
        self._bytes = 0
        #: Events that were given up, and all reasons for it.
        self.dropped = 0
        self.reasons = ""
        #: How many of them `take_refused` has told of.
        self._told = 0
        #: Events that the service took.
        self.delivered = 0

    @property
    def destination(self) -> tuple[str, str]:
        """The service's address and the project."""
        known = self._client.config.destination
        return known.endpoint, known.project_id

    @property
    def is_disabled(self) -> bool:
        """Whether the environment switches all sending off."""
        return self._client.config.disabled

    def put(self, event: Event, size: int) -> bool:
        """
        Send one event, after waiting for room if there is none; False when the queue will never take it.

        Args:
            event: The event.

            size: About how many bytes it takes.

        Raises:
            Stopped: The service does not take any.
        """
        # Twice what is enough: where a record ends, the importer settles by itself and notes down how far it came.
        if self.waiting >= 2 * MOST_EVENTS or self._bytes >= 2 * _MOST_BYTES:
            self.settle()
        self.waiting += 1
        self._bytes += size
        return bool(self._client.record(event))

    @property
    def is_full(self) -> bool:
        """Whether enough is on its way to wait for it."""
        return self.waiting >= MOST_EVENTS or self._bytes >= _MOST_BYTES

    def settle(self) -> None:
        """
        Wait until the service has taken or refused everything.

        Raises:
            Stopped: It does neither.
        """
        before, last = self._client.stats().pending, time.monotonic()
        while pending := self._client.flush_sync(_LOOK).pending:
            if pending < before:
                before, last = pending, time.monotonic()
            self._check(time.monotonic() - last)
        stats = self._client.stats()
        self.delivered = stats.delivered
        self.dropped = sum(stats.dropped.values())
        self.reasons = ", ".join(stats.dropped)
        self.waiting = self._bytes = 0

    def take_refused(self) -> list[DeliveryError]:
        """What the service said to the events that it refused since the last call; after `settle`."""
        with self._changed:
            # The reasons come through a thread of their own.
            self._changed.wait_for(lambda: len(self._refused) >= self.dropped - self._told, _REASONS_WITHIN)
            refused, self._refused = self._refused, []
            self._told = self.dropped
            return refused

    def close(self) -> None:
        """Let go of the service."""
        self._client.close(0.0)

    def _check(self, silent: float) -> None:
        if self._paused is not None:
            raise Stopped(f"the service refuses everything ({self._paused}); `mindlytics doctor` says what to do")
        if self._interrupted() and silent > _GRACE:
            raise Stopped("interrupted")
        if silent > self._patience:
            raise Stopped(f"the service took nothing for {silent:.0f} s; `mindlytics doctor` says what is wrong")

    def _note(self, error: DeliveryError) -> None:
        with self._changed:
            if isinstance(error, DeliveryPaused):
                self._paused = error
            else:
                self._refused.append(error)
            self._changed.notify_all()
