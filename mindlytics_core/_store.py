"""
Where events wait between the queue and the lanes, when there is a spool: on disk, whatever else.

What comes in is written first. While the lanes have room it goes on to them at once; otherwise it stays on disk
alone, and is read back in order, a little ahead of what is being sent. What dead processes left behind comes
before everything of this process's own. When the disk fails, events go on through memory, as without a spool,
and are written when it works again.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from mindlytics_core import _refused, _stats
from mindlytics_core._adopted import Adopted
from mindlytics_core._chunks import Damaged, chunked
from mindlytics_core._clock import Clock, iso
from mindlytics_core._config import Delivery, Destination
from mindlytics_core._disk import Disk
from mindlytics_core._fork import FORKS
from mindlytics_core._own_file import OwnFile
from mindlytics_core._queue import Item, Owner
from mindlytics_core._rows import OpenFile, Row
from mindlytics_core._spool import ERRORS, is_corrupt, prefix

#: How far the disk is read ahead of the lanes.
_AHEAD_BYTES = 1024 * 1024


class Store:
    """
    The spool of one destination, as the worker sees it. Only the worker's thread uses it, except `log`.

    Args:
        directory: Where its files are.

        destination: Where the events go.

        options: Bounds, and what must survive what.

        clock: Time.

        drop: Told of each event that is given up, and why.

        lost: Told how many of this process's events the disk alone had, and has no more, and why.

        freed: Told how many events, and bytes, need no place in memory any more.
    """

    def __init__(
        self,
        directory: Path,
        destination: Destination,
        options: Delivery,
        *,
        clock: Clock,
        drop: Callable[[Item, str], None],
        lost: Callable[[int, Owner, str], None],
        freed: Callable[[int, int], None],
    ) -> None:
        self._directory = directory
        self._destination = destination
        self._prefix = prefix(destination)
        self._options = options
        self._clock = clock
        self._drop = drop
        self._lost = lost
        self._freed = freed
        self._disk = Disk(clock.monotonic)
        self._own = OwnFile(
            directory,
            destination,
            options,
            clock=clock,
            disk=self._disk,
            written=self._written,
            lost=self._lose_backlog,
        )
        self._adopted = Adopted(directory, destination, options, clock=clock, disk=self._disk, drop=drop)
        #: What is not in the lanes yet, oldest first; how many events; and the bytes of those in memory alone.
        self._backlog: deque[Row] = deque()
        self._backlog_events = 0
        self._backlog_bytes = 0
        #: This process's pending events that would survive a kill now.
        self._on_disk = 0

    is_spool = True

    @property
    def works(self) -> bool:
        """Whether the disk takes events, so that memory does not bound them."""
        return self._disk.works

    @property
    def on_disk(self) -> int:
        """Pending events that would survive a kill now, adopted ones too."""
        return self._on_disk + self._adopted.pending

    @property
    def adopted_events(self) -> int:
        """Events of dead processes that were read so far."""
        return self._adopted.events

    @property
    def has_adopted(self) -> bool:
        """Whether anything of a dead process is not settled yet."""
        return self._adopted.has_any

    def waiting(self) -> tuple[int, int]:
        """How many events of this process are not in the lanes, and how many of those in there are adopted ones."""
        return self._backlog_events, self._adopted.pending

    def hurry(self) -> None:
        """Somebody waits for what is here now."""
        self._adopted.hurry()

    def look_again(self) -> None:
        """Look for what dead processes have left with the next turn."""
        self._adopted.look_again()

    def next_due(self) -> float:
        """When there is something to do, if nothing else happens."""
        if (self._own.has_work or self._adopted.has_settled) and not self._disk.works:
            return min(self._disk.next_try, self._adopted.next_due)
        return self._adopted.next_due

    def log(self, item: Item) -> Item:
        """Write an event down before the call returns. On the caller's thread."""
        return self._own.log(item)

    def take(self, items: Sequence[Item], held_events: int, held_bytes: int) -> list[Item]:
        """
        Write new events to disk, and give those that may go to the lanes at once.

        Args:
            items: The events, oldest first.

            held_events: What is in the lanes.

            held_bytes: Its bytes.
        """
        if not items:
            return []
        size = sum([len(item.body) for item in items])
        has_room = held_events + len(items) <= self._options.max_events and held_bytes + size <= self._options.max_bytes
        goes_on = has_room and not self._backlog and not self._adopted.is_unread
        rows = self._rows(items)
        with FORKS.no_fork():
            self._own.add(rows.values())
        if goes_on:
            return [replace(item, row=rows[place]) for place, item in enumerate(items)]
        self._put_behind(dict.fromkeys(rows.values()), held_bytes)
        return []

    def read_back(self, held_bytes: int) -> Iterator[Item]:
        """What the lanes have room for again, adopted events first."""
        with FORKS.no_fork():
            self._adopted.look(self._own.file)
        while held_bytes < _AHEAD_BYTES:
            with FORKS.no_fork():
                found = self._adopted.read() if self._adopted.is_unread else self._read_own()
            if found is None:
                return
            held_bytes += sum([len(item.body) for item in found])
            yield from found

    def settled(self, items: Sequence[Item]) -> None:
        """Events were delivered or given up; a chunk goes with the last of its own."""
        for item in items:
            self._settled(item)

    def _settled(self, item: Item) -> None:
        row = item.row
        if not isinstance(row, Row):
            return
        if row.file is None:
            row.forget(item)
            if not row.left:
                del self._own.unwritten[row]
            return
        row.left -= 1
        if row.file.adopted:
            self._adopted.pending -= 1
        else:
            self._on_disk -= 1
        if not row.left:
            row.file.settle(row.number)

    def keep_refused(self, item: Item, status: int, message: str) -> None:
        """Keep an event that the service refused, for people."""
        at = iso(self._clock.wall())
        try:
            _refused.keep(self._directory, self._prefix, at=at, status=status, message=message, body=item.body)
        except OSError as error:
            self._disk.failed(error, {item.owner})

    def tidy(self) -> None:
        """Write what the disk did not take before, and delete what is settled. Once a turn, after everything else."""
        with FORKS.no_fork():
            self._own.tidy()
            self._adopted.tidy()

    def abandon(self) -> None:
        """In a forked child: the files are the parent's."""
        self._adopted.abandon()
        self._own.abandon()

    def close(self) -> None:
        """Let the files go: empty ones are deleted, the others wait for the next process."""
        # The last chance for what is in memory alone.
        self._disk.try_now()
        self.tidy()
        with FORKS.no_fork():
            self._adopted.close()
            self._own.close()

    def _rows(self, items: Sequence[Item]) -> dict[int, Row]:
        """The row of each place among the items."""
        pairs = ((item.session_id, item.body) for item in items)
        rows: dict[int, Row] = {}
        for places in chunked(pairs, self._options.batch_events, self._options.batch_bytes):
            mine = [items[place] for place in places]
            rows.update(dict.fromkeys(places, Row(mine[0].owner, items=mine)))
        return rows

    def _written(self, row: Row, size: int) -> None:
        """A row is on disk, and needs no place in memory."""
        self._on_disk += row.left
        self._freed(row.left, size)
        if row.is_behind:
            self._backlog_bytes -= size

    def _put_behind(self, rows: dict[Row, None], held_bytes: int) -> None:
        """What is in memory alone counts against its bound, which the lanes have their share of."""
        for row in rows:
            for item in list(row.items):
                if held_bytes + self._backlog_bytes + len(item.body) <= self._options.max_bytes:
                    self._backlog_bytes += len(item.body)
                    continue
                row.forget(item)
                self._drop(item, _stats.SPOOL_FULL)
            if not row.left:
                del self._own.unwritten[row]
                continue
            row.is_behind = True
            self._backlog.append(row)
            self._backlog_events += row.left

    def _read_own(self) -> list[Item] | None:
        """The next events of this process that are not in the lanes yet; None when there are none."""
        if not self._backlog:
            return None
        row = self._backlog[0]
        if row.file is None:
            items, self._backlog_bytes = row.items, self._backlog_bytes - row.size
        else:
            try:
                items = self._read_row(row, row.file)
            except ERRORS as error:
                # If it is corrupt, all that it alone had is lost now; if not, it is tried again.
                self._own.failed(error, {row.owner})
                return [] if is_corrupt(error) else None
        self._backlog.popleft()
        self._backlog_events -= row.left
        row.is_behind = False
        return [replace(item, row=row) for item in items]

    def _read_row(self, row: Row, file: OpenFile) -> list[Item]:
        chunk = self._own.read(row, file)
        if isinstance(chunk, Damaged):
            return self._lose(row, file, _stats.SPOOL_CORRUPT)
        if chunk.written < self._clock.wall() - self._options.spool_max_age:
            return self._lose(row, file, _stats.EXPIRED)
        return [Item(chunk.session_id, body, row.owner) for body in chunk.bodies]

    def _lose(self, row: Row, file: OpenFile, reason: str) -> list[Item]:
        file.settle(row.number)
        self._on_disk -= row.left
        self._lost(row.left, row.owner, reason)
        return []

    def _lose_backlog(self) -> None:
        """What was in a corrupt file alone is gone; what is in memory, in the lanes too, is not."""
        gone: Counter[Owner] = Counter()
        for row in self._backlog:
            if row.file is not None:
                gone[row.owner] += row.left
        self._backlog = deque(row for row in self._backlog if row.file is None)
        for owner, count in gone.items():
            self._backlog_events -= count
            self._on_disk -= count
            self._lost(count, owner, _stats.SPOOL_CORRUPT)
