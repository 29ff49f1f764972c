"""What dead processes have left in the spool: found, taken over, and delivered at a pace that spares the service."""

from collections import deque
from collections.abc import Callable
from pathlib import Path

from mindlytics_core import _stats
from mindlytics_core._chunks import Damaged
from mindlytics_core._clock import Clock
from mindlytics_core._config import Delivery, Destination
from mindlytics_core._disk import NOBODY, Disk
from mindlytics_core._log import give, logs_of
from mindlytics_core._queue import Item
from mindlytics_core._rows import OpenFile
from mindlytics_core._spool import ERRORS, SpoolFile, files, is_corrupt, prefix, set_aside
from mindlytics_core.exceptions import SpoolFailed

#: How often the files of dead processes are looked for, and how many of them are open at once.
_LOOK_EVERY = 60.0
_MOST_OPEN = 8
#: Between two batches' worth of events: a service that was down has everybody's at once.
_PAUSE = 0.1


class Adopted:
    """
    The files of dead processes of one destination.

    Args:
        directory: Where they are.

        destination: Where their events go.

        options: How much a batch is, and how old an event may be.

        clock: Time.

        disk: The one that they are on.

        drop: Told of each event that is given up, and why.
    """

    def __init__(
        self,
        directory: Path,
        destination: Destination,
        options: Delivery,
        *,
        clock: Clock,
        disk: Disk,
        drop: Callable[[Item, str], None],
    ) -> None:
        self._directory = directory
        self._destination = destination
        self._options = options
        self._clock = clock
        self._disk = disk
        self._drop = drop
        self._files: deque[OpenFile] = deque()
        #: Events that were read so far, and those of them that are not settled.
        self.events = 0
        self.pending = 0
        #: When to look for files; 0 for with the next turn.
        self._look_at = 0.0
        #: When to read on, and what was read since the last pause.
        self._read_at = 0.0
        self._read_events = 0
        self._read_bytes = 0
        #: Whether the last attempt to read met a pause.
        self._pauses = False
        self._in_a_hurry = False

    @property
    def has_any(self) -> bool:
        """Whether anything of a dead process is not settled yet, or has not been looked for."""
        return bool(self._files) or not self._look_at

    @property
    def is_unread(self) -> bool:
        """Whether some of it has not been read yet: this process's own events come behind it."""
        return any(not file.is_read for file in self._files)

    @property
    def next_due(self) -> float:
        """When there is something to read, or to look for."""
        # Without a pause, what is unread waits for room in the lanes, and nobody needs to be woken for that.
        return min(self._read_at, self._look_at) if self._pauses else self._look_at

    @property
    def has_settled(self) -> bool:
        """Whether there is something to delete."""
        return any(file.settled for file in self._files)

    def hurry(self) -> None:
        """Somebody waits for what is here now: no pauses until it is gone."""
        self._in_a_hurry = self.has_any

    def look_again(self) -> None:
        """Look for files with the next turn."""
        self._look_at = 0.0

    def look(self, own: OpenFile | None) -> None:
        """Take over files that nobody alive has, if it is time to. Before `read`, once a turn."""
        self._pauses = False
        if self._look_at > self._clock.monotonic():
            return
        self._look_at = self._clock.monotonic() + _LOOK_EVERY
        mine = {open_file.file.path for open_file in [*self._files, *([own] if own else [])]}
        for path in files(self._directory, prefix(self._destination)):
            if len(self._files) >= _MOST_OPEN:
                return
            if path not in mine:
                self._adopt(path)
        self._in_a_hurry = self._in_a_hurry and bool(self._files)

    def read(self) -> list[Item] | None:
        """The next events; None when there are none, or none yet."""
        file = next((file for file in self._files if not file.is_read), None)
        if file is None or not self._may_read():
            return None
        try:
            found = file.file.read(file.read_to)
        except ERRORS as error:
            self.failed(error, file)
            return []
        if found is None:
            file.is_read = True
            return []
        file.read_to, chunk = found
        count = chunk.claimed if isinstance(chunk, Damaged) else len(chunk.bodies)
        self.events += count
        if isinstance(chunk, Damaged):
            return self._give_up(file, count, _stats.SPOOL_CORRUPT)
        if chunk.written < self._clock.wall() - self._options.spool_max_age:
            return self._give_up(file, count, _stats.EXPIRED)
        self.pending += count
        self._read_events += count
        self._read_bytes += sum(map(len, chunk.bodies))
        row = file.row(file.read_to, count, NOBODY)
        return [Item(chunk.session_id, body, NOBODY, row) for body in chunk.bodies]

    def tidy(self) -> None:
        """Delete what is settled, and close what is empty."""
        for file in list(self._files):
            if file.settled and self._disk.may_be_tried:
                try:
                    file.file.commit((), file.settled)
                    file.settled = []
                except ERRORS as error:
                    self.failed(error, file)
            if file.is_read and not file.unsettled and not file.settled:
                self._let_go(file)

    def failed(self, error: BaseException, file: OpenFile) -> None:
        """A file cannot be read or written; a corrupt one is not tried again, any other is by who comes next."""
        file.is_read = True
        if is_corrupt(error):
            # That says nothing about the disk, on which this process's events go on.
            _report_unreadable(error)
            file.file.set_aside()
            self._files.remove(file)
        else:
            self._disk.failed(error, ())

    def abandon(self) -> None:
        """In a forked child: the files are the parent's."""
        for file in self._files:
            file.file.abandon()

    def close(self) -> None:
        """Let the files go: empty ones are deleted, the others wait for the next process."""
        for file in self._files:
            file.file.close()
        self._files.clear()

    def _adopt(self, path: Path) -> None:
        try:
            file = SpoolFile.adopt(path)
            if file is not None:
                file.absorb_logs()
                self._files.append(OpenFile(file, adopted=True))
        except ERRORS as error:
            _report_unreadable(error)
            if is_corrupt(error):
                set_aside(path)
                self._rescue_logs(path)

    def _rescue_logs(self, corrupt: Path) -> None:
        """What is in a corrupt file's logs is whole: it moves to a file of its own."""
        logs = logs_of(corrupt)
        if not logs:
            return
        try:
            file = SpoolFile.create(
                self._directory,
                self._destination,
                max_bytes=self._options.spool_max_bytes,
                survive_power_loss=self._options.durability == "power",
            )
            give(logs, file.path)
            file.absorb_logs()
            self._files.append(OpenFile(file, adopted=True))
        except ERRORS as error:
            self._disk.failed(error, ())

    def _may_read(self) -> bool:
        now = self._clock.monotonic()
        if self._in_a_hurry:
            return True
        if self._read_events >= self._options.batch_events or self._read_bytes >= self._options.batch_bytes:
            self._read_events = self._read_bytes = 0
            self._read_at = now + _PAUSE
        self._pauses = now < self._read_at
        return not self._pauses

    def _give_up(self, file: OpenFile, count: int, reason: str) -> list[Item]:
        file.settled.append(file.read_to)
        for _ in range(count):
            self._drop(Item("", b"", NOBODY), reason)
        return []

    def _let_go(self, file: OpenFile) -> None:
        if len(self._files) == _MOST_OPEN:
            # There may be more of them.
            self._look_at = 0.0
        self._files.remove(file)
        file.file.close()


def _report_unreadable(error: BaseException) -> None:
    NOBODY.noticed(SpoolFailed(f"{type(error).__name__}: a file of a dead process is not readable"))
