"""Events that travel together."""

from collections.abc import Sequence

import msgspec

from mindlytics_core._queue import Item


class Entry(msgspec.Struct, frozen=True, gc=False):
    """An item with its place in the order of arrival and the time when it came in."""

    number: int
    came_at: float
    item: Item


class Batch:
    """
    Events that travel together until they are delivered or split.

    Args:
        entries: The events, each session's in order.

        key: Names this very set of events; the same on every attempt.

        order: Its place among all batches; a part's is its whole's, and which part it is.

        bare: Whether it is one event in the form of a single object instead of an array.

        doubts: Refusals as too large of batches that this one was split from.
    """

    __slots__ = ("bare", "doubts", "entries", "key", "order", "sessions", "size")

    def __init__(
        self,
        entries: Sequence[Entry],
        key: str,
        order: tuple[int, ...],
        *,
        bare: bool = False,
        doubts: "tuple[Doubt, ...]" = (),
    ) -> None:
        self.entries = entries
        self.key = key
        self.order = order
        self.bare = bare
        self.doubts = doubts
        self.sessions = frozenset([entry.item.session_id for entry in self.entries])
        #: Bytes of the events, without the array's own.
        self.size = sum([len(entry.item.body) for entry in self.entries])

    def body(self) -> bytes:
        """The JSON array that the service documents, or its single-object form."""
        if self.bare:
            return self.entries[0].item.body
        return b"[" + b",".join([entry.item.body for entry in self.entries]) + b"]"


class Doubt(msgspec.Struct, eq=False):
    """
    A batch was refused as too large, and it is not yet known whether for its size or for one event in it.

    Attributes:
        events: Half of its events.

        bytes: Half of its bytes.

        open: How many of its events are not settled.
    """

    events: int
    bytes: int
    open: int
