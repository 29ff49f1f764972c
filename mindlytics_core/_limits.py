"""What the service has shown to take: how many events, how many bytes, arrays or only single objects."""

from mindlytics_core._batch import Batch, Doubt
from mindlytics_core._config import Delivery

#: So many batches in a row are delivered before a lowered limit is tried at twice its size again.
_TRUSTED_AFTER = 100


class Limits:
    """
    Learned from the service's answers to whole batches.

    A batch that is refused as too large may hold too many events, too many bytes, or one event that is too
    large by itself. So each refusal is a doubt, which lowers the limits until all its events are settled; then
    it is confirmed, or one event was refused alone and explains it.

    Args:
        options: The limits that are never exceeded.
    """

    def __init__(self, options: Delivery) -> None:
        self._options = options
        self._events, self._bytes = options.batch_events, options.batch_bytes
        self._doubts: list[Doubt] = []
        self._delivered_in_a_row = 0
        #: The most that was ever taken at once.
        self._proved_events = 0
        self._proved_bytes = 0
        #: Whether an array was ever taken, and whether the service takes single objects only.
        self._takes_arrays = False
        self.bare = False

    @property
    def events(self) -> int:
        """Most events in the next batch."""
        return 1 if self.bare else min([self._events, *(doubt.events for doubt in self._doubts)])

    @property
    def bytes(self) -> int:
        """Most bytes in the next batch."""
        return min([self._bytes, *(doubt.bytes for doubt in self._doubts)])

    def may_want_it_bare(self, batch: Batch) -> bool:
        """Whether a refused batch should be tried as a single object: no array was ever taken."""
        return len(batch.entries) == 1 and not batch.bare and not self._takes_arrays

    def delivered(self, batch: Batch) -> None:
        """The service took a batch."""
        if batch.bare:
            self.bare = True
        else:
            self._takes_arrays = True
        self._proved_events = max(self._proved_events, len(batch.entries))
        self._proved_bytes = max(self._proved_bytes, batch.size)
        self._settled(batch)
        self._delivered_in_a_row += 1
        if self._delivered_in_a_row >= _TRUSTED_AFTER:
            self._delivered_in_a_row = 0
            self._events = min(self._events * 2, self._options.batch_events)
            self._bytes = min(self._bytes * 2, self._options.batch_bytes)

    def too_large(self, batch: Batch) -> tuple[Doubt, ...]:
        """A batch of several was refused as too large; gives the doubts that its parts carry on."""
        count, size = len(batch.entries), batch.size
        if count <= self._proved_events and size <= self._proved_bytes:
            # What was taken once is refused now: the service has changed.
            self._proved_events = self._proved_bytes = 0
        doubt = Doubt(
            events=count // 2 if count > self._proved_events else self._options.batch_events,
            bytes=size // 2 if size > self._proved_bytes else self._options.batch_bytes,
            open=count,
        )
        self._doubts.append(doubt)
        self._delivered_in_a_row = 0
        return (*batch.doubts, doubt)

    def refused(self, batch: Batch, *, too_large: bool) -> None:
        """One event was refused alone; if as too large, it explains why larger batches with it were."""
        if too_large:
            self._doubts = [doubt for doubt in self._doubts if doubt not in batch.doubts]
        self._settled(batch)

    def _settled(self, batch: Batch) -> None:
        for doubt in batch.doubts:
            doubt.open -= len(batch.entries)
            if not doubt.open and doubt in self._doubts:
                self._doubts.remove(doubt)
                self._events = min(self._events, doubt.events)
                self._bytes = min(self._bytes, doubt.bytes)
