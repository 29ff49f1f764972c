"""What the store knows about each chunk and each file in use."""

from typing import TYPE_CHECKING

from mindlytics_core._log import Log
from mindlytics_core._queue import Item, Owner

if TYPE_CHECKING:
    from mindlytics_core._spool import SpoolFile


class OpenFile:
    """A file of the spool in use: this process's own, or one that it has adopted."""

    def __init__(self, file: "SpoolFile", *, adopted: bool) -> None:
        self.file = file
        self.adopted = adopted
        #: The last chunk that was read back, and whether it was the very last.
        self.read_to = 0
        self.is_read = False
        #: How many chunks have events in the lanes, and those of them that may be deleted.
        self.unsettled = 0
        self.settled: list[int] = []

    def row(self, number: int, count: int, owner: Owner) -> "Row":
        """One of its chunks, on its way into the lanes."""
        self.unsettled += 1
        return Row(owner, file=self, number=number, left=count)

    def settle(self, number: int) -> None:
        """All events of a chunk are settled."""
        self.unsettled -= 1
        self.settled.append(number)


class Row:
    """
    Some events of one session in order, which go to disk and from there together.

    Attributes:
        owner: Who is told what becomes of them.

        file: Where they are; None while they are in memory alone.

        number: The chunk's number there.

        left: How many of them are not settled.

        items: Those, while they are in memory alone.

        is_behind: Whether they still have to go to the lanes.
    """

    __slots__ = ("file", "is_behind", "items", "left", "number", "owner")

    def __init__(
        self,
        owner: Owner,
        *,
        file: OpenFile | None = None,
        number: int = 0,
        left: int = 0,
        items: list[Item] | None = None,
    ) -> None:
        self.owner = owner
        self.file = file
        self.number = number
        self.items = items or []
        self.left = left or len(self.items)
        self.is_behind = False

    @property
    def size(self) -> int:
        """Bytes of the events that are in memory alone."""
        return sum([len(item.body) for item in self.items])

    def written(self, file: OpenFile, number: int) -> None:
        """The events are on disk."""
        self.file, self.number = file, number
        file.unsettled += 1
        for item in self.items:
            release_log(item)
        self.items = []

    def forget(self, item: Item) -> None:
        """One event that is in memory alone is settled, or given up."""
        at = next(place for place, mine in enumerate(self.items) if mine.body == item.body)
        release_log(self.items.pop(at))
        self.left -= 1


def release_log(item: Item) -> None:
    """An event no longer needs its line in a log."""
    if isinstance(item.row, Log):
        item.row.taken.raise_by_one()


def is_adopted(item: Item) -> bool:
    """Whether an event was left behind by a dead process."""
    return isinstance(item.row, Row) and item.row.file is not None and item.row.file.adopted


def is_on_disk(item: Item) -> bool:
    """Whether an event's chunk is in the spool, so that it takes no place in the queue."""
    return isinstance(item.row, Row) and item.row.file is not None
