"""This process's own file of the spool, and what has still to be written to it."""

from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec.structs import replace

from mindlytics_core._chunks import Chunk, Damaged
from mindlytics_core._clock import Clock
from mindlytics_core._config import Delivery, Destination
from mindlytics_core._disk import Disk
from mindlytics_core._fork import FORKS
from mindlytics_core._log import Logs, record
from mindlytics_core._queue import Item, Owner
from mindlytics_core._rows import OpenFile, Row
from mindlytics_core._spool import ERRORS, SpoolFile, is_corrupt

#: How much is written at once when a disk works again.
_PIECE_BYTES = 1024 * 1024


class OwnFile:
    """
    Made with the first event, and anew when it is corrupt. Only the worker's thread uses it, except `log`.

    Args:
        directory: Where it is.

        destination: Where its events go.

        options: Its bounds, and what it must survive.

        clock: Time.

        disk: The one that it is on.

        written: Told of each row that is on disk now, and how many bytes need no place in memory any more.

        lost: Told that all is gone that was on disk alone.
    """

    def __init__(
        self,
        directory: Path,
        destination: Destination,
        options: Delivery,
        *,
        clock: Clock,
        disk: Disk,
        written: Callable[[Row, int], None],
        lost: Callable[[], None],
    ) -> None:
        self._directory = directory
        self._destination = destination
        self._options = options
        self._clock = clock
        self._disk = disk
        self._written = written
        self._lost = lost
        self._logs: Logs | None = None
        #: The file, once there is one.
        self.file: OpenFile | None = None
        #: What is in memory alone, oldest first.
        self.unwritten: dict[Row, None] = {}

    @property
    def has_work(self) -> bool:
        """Whether there is something to write or to delete."""
        return bool(self.unwritten) or (self.file is not None and bool(self.file.settled))

    def log(self, item: Item) -> Item:
        """Write an event down before the call returns. On the caller's thread."""
        if not self._disk.works:
            return item
        try:
            logs = self._logs or self._open_logs()
            return replace(item, row=logs.write(record(item.session_id, item.body)))
        except ERRORS:
            # The worker will meet the same fault, and report it.
            return item

    def add(self, rows: Iterable[Row]) -> None:
        """Write new rows, after those that are still to be written."""
        self.unwritten.update(dict.fromkeys(rows))
        self.write()

    def write(self) -> None:
        """Bring to disk what is in memory alone, the oldest first, as far as the disk takes it."""
        if not self._disk.may_be_tried:
            return
        try:
            file = self.file or self._open()
            if file.settled and not self._disk.works:
                # It may be full: what is deleted makes room, which together with new events it might not.
                self._commit(file, [])
            while self.unwritten or file.settled:
                self._commit(file, self._next_piece())
            if self._logs is not None:
                self._logs.retire()
                self._logs.delete_done()
            self._disk.worked()
        except ERRORS as error:
            self.failed(error, {row.owner for row in self.unwritten})

    def tidy(self) -> None:
        """Write what the disk did not take before, and delete what is settled."""
        if self.has_work:
            self.write()
        if self._logs is not None:
            self._logs.delete_done()

    def read(self, row: Row, file: OpenFile) -> Chunk | Damaged:
        """
        Read a row back.

        Raises:
            sqlite3.Error, OSError: The disk does not give it.
        """
        found = file.file.read(row.number - 1)
        return found[1] if found is not None and found[0] == row.number else Damaged(row.left)

    def failed(self, error: BaseException, owners: Iterable[Owner]) -> None:
        """Go on without the disk for a while; a corrupt file is not tried again, but another one at once."""
        if self.file is None or not is_corrupt(error):
            self._disk.failed(error, owners)
            return
        self._disk.failed(error, owners, retry_after=0.0)
        self.file.file.set_aside()
        self.file = None
        self._lost()

    def abandon(self) -> None:
        """In a forked child: the file is the parent's."""
        if self.file is not None:
            self.file.file.abandon()

    def close(self) -> None:
        """Let the file go: an empty one is deleted, any other waits for the next process."""
        if self._logs is not None:
            self._logs.close()
        if self.file is not None:
            self.file.file.close()
        self.file, self._logs = None, None

    def _next_piece(self) -> list[Row]:
        rows: list[Row] = []
        size = 0
        for row in self.unwritten:
            if rows and size >= _PIECE_BYTES:
                break
            rows.append(row)
            size += row.size
        return rows

    def _commit(self, file: OpenFile, rows: list[Row]) -> None:
        wall = self._clock.wall()
        chunks = [Chunk(row.items[0].session_id, [item.body for item in row.items], wall) for row in rows]
        numbers = file.file.commit(chunks, file.settled)
        file.settled = []
        for row, number in zip(rows, numbers, strict=True):
            size = row.size
            row.written(file, number)
            del self.unwritten[row]
            self._written(row, size)

    def _open(self) -> OpenFile:
        # The worker's thread, or that of the first call that logs.
        with FORKS.no_fork():
            if self.file is None:
                file = SpoolFile.create(
                    self._directory,
                    self._destination,
                    max_bytes=self._options.spool_max_bytes,
                    survive_power_loss=self._options.durability == "power",
                )
                self.file = OpenFile(file, adopted=False)
                if self._logs is not None:
                    # They hold what is still to come: whoever adopts this one must find them.
                    self._logs.follow(file.path)
            return self.file

    def _open_logs(self) -> Logs:
        with FORKS.no_fork():
            self._logs = self._logs or Logs(self._open().file.path)
            return self._logs
