"""
Where events wait between the queue and the lanes, when there is a spool: on disk, whatever else.

What comes in is written first. While the lanes have room it goes on to them at once; otherwise it stays on disk
alone, and is read back in order, a little ahead of what is being sent. What dead processes left behind comes
before everything of this process's own. When the disk fails, events go on through memory, as without a spool,
and the disk is tried again.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mindlytics_core import _stats
from mindlytics_core._config import Delivery, Destination
from mindlytics_core._fork import FORKS
from mindlytics_core._log import Log, Logs, record
from mindlytics_core._queue import Item, Owner
from mindlytics_core._reports import Reports
from mindlytics_core._spool import ERRORS, Chunk, Damaged, SpoolFile, chunked, files, is_corrupt, prefix, set_aside
from mindlytics_core.exceptions import SpoolFailed

#: How far the disk is read ahead of the lanes.
_AHEAD_BYTES = 1024 * 1024
#: How long a disk that failed is left alone, and how often the files of dead processes are looked for.
_RETRY_AFTER = 5.0
_LOOK_EVERY = 60.0
#: How many of them are open at once.
_MOST_ADOPTED = 8

#: Nobody of this process is told about a dead process's events.
_NOBODY = Reports(None, None)


class Row:
    """A chunk on disk, and how many of its events are not settled."""

    __slots__ = ("file", "left", "number")

    def __init__(self, file: "OpenFile", number: int, left: int) -> None:
        self.file = file
        self.number = number
        self.left = left


class OpenFile:
    """A file of the spool in use: this process's own, or one that it has adopted."""

    def __init__(self, file: SpoolFile, *, adopted: bool) -> None:
        self.file = file
        self.adopted = adopted
        #: The last chunk that was read back.
        self.read_to = 0
        self.is_read = False
        #: Chunks with events in the lanes, and those of them that may be deleted.
        self.unsettled = 0
        self.settled: list[int] = []


class Store:
    """
    The spool of one destination, as the worker sees it. Only the worker's thread uses it, except `log`.

    Args:
        directory: Where its files are.

        destination: Where the events go.

        options: Bounds, and what must survive what.

        now: The monotonic clock.

        drop: Told of each event that is given up, and why.

        lost: Told how many spilled events of this process the disk has lost.
    """

    def __init__(
        self,
        directory: Path,
        destination: Destination,
        options: Delivery,
        *,
        now: Callable[[], float],
        drop: Callable[[Item, str], None],
        lost: Callable[[int, Owner], None],
    ) -> None:
        self.directory = directory
        self._destination = destination
        self._options = options
        self._now = now
        self._drop = drop
        self._lost = lost
        self._own: OpenFile | None = None
        self._logs: Logs | None = None
        self._adopted: deque[OpenFile] = deque()
        #: What is not in the lanes, in order: a chunk on disk, or an event that the disk did not take.
        self._backlog: deque[tuple[int, int, Owner] | Item] = deque()
        self._backlog_bytes = 0
        #: Events of this process that are not in the lanes.
        self.backlog_events = 0
        #: Events of dead processes that were read so far, and those of them that are not settled.
        self.adopted_events = 0
        self.adopted_pending = 0
        #: Pending events that would survive a kill now, adopted ones too.
        self.on_disk = 0
        #: Until when the disk is left alone; 0 while it works.
        self._broken_until = 0.0
        self._look_at = 0.0

    @property
    def works(self) -> bool:
        """Whether the disk takes events, so that memory does not bound them."""
        return not self._broken_until

    def waiting(self) -> tuple[int, int]:
        """How many events of this process are not in the lanes, and how many of those in there are adopted ones."""
        return self.backlog_events, self.adopted_pending

    def look_again(self) -> None:
        """Look for what dead processes have left with the next turn."""
        self._look_at = 0.0

    @property
    def has_adopted(self) -> bool:
        """Whether anything of a dead process is not settled yet."""
        return bool(self._adopted) or not self._look_at

    def next_due(self) -> float | None:
        """When the disk is to be tried again for events that wait; None for never."""
        if not self._look_at:
            return self._now()
        waits = self._backlog or any(file.settled for file in self._files())
        return self._broken_until if waits and self._broken_until > self._now() else None

    def log(self, item: Item) -> Item:
        """Write an event down before the call returns. On the caller's thread."""
        if not self.works:
            return item
        try:
            logs = self._logs or self._open_logs()
            return item._replace(row=logs.write(record(item.session_id, item.body)))
        except ERRORS:
            # The worker will meet the same fault, and report it.
            return item

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
        with FORKS.no_fork():
            written = self._write(items)
        size = sum(len(item.body) for item in items)
        has_room = held_events + len(items) <= self._options.max_events and held_bytes + size <= self._options.max_bytes
        if has_room and not self._backlog and not self._unread():
            return self._as_items(items, written)
        self._put_behind(items, written, held_bytes)
        return []

    def read_back(self, held_bytes: int) -> Iterator[Item]:
        """What the lanes have room for again, adopted events first."""
        self._look_for_the_dead()
        while held_bytes < _AHEAD_BYTES:
            with FORKS.no_fork():
                found = self._next_items()
            if found is None:
                return
            held_bytes += sum(len(item.body) for item in found)
            yield from found

    def settled(self, item: Item) -> None:
        """An event was delivered or refused; its chunk goes with the last of it."""
        row = item.row
        if not isinstance(row, Row):
            return
        row.left -= 1
        self.on_disk -= 1
        if row.file.adopted:
            self.adopted_pending -= 1
        if not row.left:
            row.file.unsettled -= 1
            row.file.settled.append(row.number)

    def tidy(self) -> None:
        """Delete what is settled. Called once a turn, after everything else."""
        with FORKS.no_fork():
            self._delete_settled()

    def abandon(self) -> None:
        """In a forked child: the files are the parent's."""
        for open_file in self._files():
            open_file.file.abandon()

    def close(self) -> None:
        """Let the files go: empty ones are deleted, the others wait for the next process."""
        with FORKS.no_fork():
            self._delete_settled()
            if self._logs is not None:
                self._logs.close()
            for open_file in self._files():
                open_file.file.close()
            self._own, self._logs = None, None
            self._adopted.clear()

    def _write(self, items: Sequence[Item]) -> list[tuple[list[int], int]] | None:
        """Each chunk's places among the items and its number, or None when the disk does not take them."""
        numbers = self._commit_new(items)
        logs = {item.row for item in items if isinstance(item.row, Log)}
        for item in items:
            if isinstance(item.row, Log):
                item.row.taken.raise_by_one()
        if self._logs is not None and logs:
            self._logs.retire()
            self._logs.delete_done()
        return numbers

    def _commit_new(self, items: Sequence[Item]) -> list[tuple[list[int], int]] | None:
        if self._broken_until > self._now():
            return None
        places = list(
            chunked(
                ((item.session_id, item.body) for item in items), self._options.batch_events, self._options.batch_bytes
            )
        )
        chunks = [Chunk(items[at[0]].session_id, [items[place].body for place in at]) for at in places]
        try:
            own = self._own or self._open_own()
            numbers = own.file.commit(chunks, own.settled)
            own.settled = []
            self.on_disk += len(items)
        except ERRORS as error:
            self._failed(error, self._own, {item.owner for item in items})
            return None
        if self._broken_until:
            self._broken_until = 0.0
        return list(zip(places, numbers, strict=True))

    def _open_own(self) -> OpenFile:
        with FORKS.no_fork():
            if self._own is None:
                power = self._options.durability == "power"
                file = SpoolFile.create(
                    self.directory,
                    self._destination,
                    max_bytes=self._options.spool_max_bytes,
                    survive_power_loss=power,
                )
                self._own = OpenFile(file, adopted=False)
            return self._own

    def _open_logs(self) -> Logs:
        with FORKS.no_fork():
            self._logs = self._logs or Logs(self._open_own().file.path)
            return self._logs

    def _as_items(self, items: Sequence[Item], written: list[tuple[list[int], int]] | None) -> list[Item]:
        rows: dict[int, Row | None] = {}
        for places, number in written or ():
            rows.update(dict.fromkeys(places, self._row(self._own, number, len(places))))
        return [item._replace(row=rows.get(place)) for place, item in enumerate(items)]

    def _put_behind(self, items: Sequence[Item], written: list[tuple[list[int], int]] | None, held_bytes: int) -> None:
        if written is not None:
            self._backlog.extend((number, len(places), items[places[0]].owner) for places, number in written)
            self.backlog_events += len(items)
            return
        for item in items:
            if held_bytes + self._backlog_bytes + len(item.body) > self._options.max_bytes:
                self._drop(item, _stats.SPOOL_FULL)
                continue
            self._backlog.append(item._replace(row=None))
            self._backlog_bytes += len(item.body)
            self.backlog_events += 1

    def _row(self, file: "OpenFile | None", number: int, count: int) -> Row | None:
        if file is None:
            return None
        file.unsettled += 1
        return Row(file, number, count)

    def _files(self) -> list[OpenFile]:
        return [*self._adopted, *([self._own] if self._own else [])]

    def _unread(self) -> bool:
        return any(not file.is_read for file in self._adopted)

    def _next_items(self) -> list[Item] | None:
        """The next events that are not in the lanes yet; None when there are none."""
        for file in self._adopted:
            if not file.is_read:
                return self._read_adopted(file)
        if not self._backlog:
            return None
        first = self._backlog.popleft()
        if isinstance(first, Item):
            self.backlog_events -= 1
            self._backlog_bytes -= len(first.body)
            return [first]
        number, count, owner = first
        self.backlog_events -= count
        return self._read_own(number, count, owner)

    def _read_own(self, number: int, count: int, owner: Owner) -> list[Item] | None:
        found: tuple[int, Chunk | Damaged] | None = None
        try:
            if self._own is not None:
                found = self._own.file.read(number - 1)
        except ERRORS as error:
            self._failed(error, self._own, {owner})
            if not is_corrupt(error):
                self._backlog.appendleft((number, count, owner))
                self.backlog_events += count
                return None
        if found is None or found[0] != number or isinstance(found[1], Damaged):
            if self._own is not None and found is not None and found[0] == number:
                self._own.settled.append(number)
            self.on_disk -= count
            self._lost(count, owner)
            return []
        chunk = found[1]
        row = self._row(self._own, number, count)
        return [Item(chunk.session_id, body, owner, row) for body in chunk.bodies]

    def _read_adopted(self, file: OpenFile) -> list[Item]:
        try:
            found = file.file.read(file.read_to)
        except ERRORS as error:
            self._failed(error, file, set())
            found = None
        if found is None:
            file.is_read = True
            return []
        file.read_to, chunk = found
        if isinstance(chunk, Damaged):
            self.adopted_events += chunk.claimed
            file.settled.append(file.read_to)
            for _ in range(chunk.claimed):
                self._drop(Item("", b"", _NOBODY), _stats.SPOOL_CORRUPT)
            return []
        self.adopted_events += len(chunk.bodies)
        self.adopted_pending += len(chunk.bodies)
        self.on_disk += len(chunk.bodies)
        row = self._row(file, file.read_to, len(chunk.bodies))
        return [Item(chunk.session_id, body, _NOBODY, row) for body in chunk.bodies]

    def _look_for_the_dead(self) -> None:
        if self._look_at > self._now():
            return
        self._look_at = self._now() + _LOOK_EVERY
        mine = {open_file.file.path for open_file in self._files()}
        with FORKS.no_fork():
            for path in files(self.directory, prefix(self._destination)):
                if len(self._adopted) >= _MOST_ADOPTED:
                    return
                if path not in mine:
                    self._adopt(path)

    def _adopt(self, path: Path) -> None:
        try:
            file = SpoolFile.adopt(path)
            if file is not None:
                file.absorb_logs()
                self._adopted.append(OpenFile(file, adopted=True))
        except ERRORS as error:
            if is_corrupt(error):
                set_aside(path)
            _NOBODY.noticed(SpoolFailed(f"{type(error).__name__}: a file of a dead process is not readable"))

    def _delete_settled(self) -> None:
        for open_file in self._files():
            if not open_file.settled or self._broken_until > self._now():
                continue
            try:
                open_file.file.commit((), open_file.settled)
                open_file.settled = []
            except ERRORS as error:
                self._failed(error, open_file, set())
        for open_file in [file for file in self._adopted if file.is_read and not file.unsettled and not file.settled]:
            self._adopted.remove(open_file)
            open_file.file.close()
            # There may be more than were taken on at once.
            self._look_at = 0.0

    def _failed(self, error: BaseException, open_file: OpenFile | None, owners: set[Owner]) -> None:
        """Go on without the disk for a while; a corrupt file is not tried again."""
        is_new = not self._broken_until
        self._broken_until = self._now() + _RETRY_AFTER
        if open_file is not None and is_corrupt(error):
            open_file.file.set_aside()
            open_file.is_read, open_file.settled = True, []
            # Another file may well work.
            self._broken_until = self._now()
            if open_file is self._own:
                self._own, self._logs = None, None
                self._lose_backlog()
            else:
                self._adopted.remove(open_file)
        if is_new:
            for owner in owners or {_NOBODY}:
                owner.noticed(SpoolFailed(f"{type(error).__name__}: {error}"))

    def _lose_backlog(self) -> None:
        """What was in a corrupt file alone is gone; what is in memory, in the lanes too, is not."""
        gone: Counter[Owner] = Counter()
        kept: deque[tuple[int, int, Owner] | Item] = deque()
        for entry in self._backlog:
            if isinstance(entry, Item):
                kept.append(entry)
            else:
                gone[entry[2]] += entry[1]
        self._backlog = kept
        for owner, count in gone.items():
            self.backlog_events -= count
            self.on_disk -= count
            self._lost(count, owner)


def is_adopted(item: Item) -> bool:
    """Whether an event was left behind by a dead process."""
    return isinstance(item.row, Row) and item.row.file.adopted


def is_on_disk(item: Item) -> bool:
    """Whether an event's chunk is in the spool, so that it takes no place in the queue."""
    return isinstance(item.row, Row)
