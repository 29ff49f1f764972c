"""
An append-only log, for events that must be on disk before the call returns.

The caller writes; the worker moves what was written into the spool's file, where it can be deleted piece by
piece, and then deletes the log. So a log lives for one linger.
"""

import contextlib
import os
import struct
import zlib
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from mindlytics_core._stats import Counter

_HEAD = struct.Struct(">III")
_SUFFIX = ".log"


def record(session_id: str, body: bytes) -> bytes:
    """One event as it stands in the log."""
    session = session_id.encode(errors="surrogatepass")
    return _HEAD.pack(len(session), len(body), zlib.crc32(body, zlib.crc32(session))) + session + body


def records(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The events of a log, up to one that its process could not finish."""
    at = 0
    while at + _HEAD.size <= len(data):
        session_size, body_size, crc = _HEAD.unpack_from(data, at)
        middle = at + _HEAD.size + session_size
        session, body = data[at + _HEAD.size : middle], data[middle : middle + body_size]
        if len(body) < body_size or zlib.crc32(body, zlib.crc32(session)) != crc:
            return
        yield session.decode(errors="surrogatepass"), body
        at = middle + body_size


def logs_of(spool: Path) -> list[Path]:
    """The logs that belong to a file of the spool, the oldest first."""
    return sorted(spool.parent.glob(f"{spool.stem}.*{_SUFFIX}"))


def give(logs: list[Path], spool: Path) -> None:
    """
    Have logs belong to another file of the spool.

    Raises:
        OSError: The disk does not do it.
    """
    for path in logs:
        path.rename(_name(spool, path))


def _name(spool: Path, log: Path) -> Path:
    number = log.name.rsplit(".", 2)[1]
    return spool.with_name(f"{spool.stem}.{number}{_SUFFIX}")


class Log:
    """One log. Any number of threads write to it; the worker retires it."""

    def __init__(self, spool: Path, number: int) -> None:
        self._path = spool.with_name(f"{spool.stem}.{number:012}{_SUFFIX}")
        # Opened for appending, each write is one step for the system: no lock.
        self._file = FileIO(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "w")
        #: How many calls have begun to write, and how many of their events the worker has.
        self.begun = Counter()
        self.taken = Counter()

    def write(self, data: bytes) -> None:
        """
        Append one record.

        Raises:
            OSError: It did not fit.
            ValueError: The log was closed.
        """
        if self._file.write(data) != len(data):
            raise OSError("the log could not be written")

    def is_done(self) -> bool:
        """Whether the worker has every event of it, provided that nobody begins to write any more."""
        return self.begun.value() == self.taken.value()

    def follow(self, spool: Path) -> None:
        """Belong to another file of the spool from now on."""
        with contextlib.suppress(OSError):
            self._path = self._path.rename(_name(spool, self._path))

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    def delete(self) -> None:
        """What it holds is in the spool's file, or delivered."""
        self.close()
        with contextlib.suppress(OSError):
            self._path.unlink()


class Logs:
    """
    The logs of one file of the spool: one is written, others wait for their last event to reach the worker.

    Args:
        spool: The file.
    """

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._number = 0
        self._current = Log(spool, 0)
        self._retired: list[Log] = []
        self._is_closed = False

    def write(self, data: bytes) -> Log:
        """
        Append one record, and give the log that it is in. On the caller's thread.

        Raises:
            OSError: It did not fit, or the logs are closed.
        """
        while not self._is_closed:
            log = self._current
            # Before anything else: a log whose counts agree may be deleted.
            log.begun.raise_by_one()
            try:
                log.write(data)
            except ValueError:
                continue
            except OSError:
                log.taken.raise_by_one()
                raise
            if log is self._current:
                return log
            # It was retired meanwhile, perhaps before this event was counted.
            log.taken.raise_by_one()
        raise OSError("the logs are closed")

    def follow(self, spool: Path) -> None:
        """Belong to another file of the spool: the one so far is corrupt."""
        self._spool = spool
        for log in [*self._retired, self._current]:
            log.follow(spool)

    def retire(self) -> None:
        """
        Begin another log, so that this one can come to its end.

        Raises:
            OSError: It cannot be made; this one goes on.
        """
        if self._current.begun.value():
            self._number += 1
            fresh = Log(self._spool, self._number)
            self._retired.append(self._current)
            self._current = fresh

    def delete_done(self) -> None:
        """Delete the logs whose events are all in the spool's file."""
        for log in [log for log in self._retired if log.is_done()]:
            self._retired.remove(log)
            log.delete()

    def close(self) -> None:
        """Delete what is done; what is not stays for who adopts the file."""
        self._is_closed = True
        self._retired.append(self._current)
        self.delete_done()
        for log in self._retired:
            log.close()
