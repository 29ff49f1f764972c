"""
One file of the spool: events that wait on disk, and survive the process.

SQLite in WAL mode with one connection that keeps the file locked for as long as its process lives; so a file
that can be locked belongs to nobody alive. A row is a chunk: some events of one session, in order, one JSON
object a line. It goes when the service has settled all of them.
"""

import contextlib
import hashlib
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from mindlytics_core._chunks import Chunk, Damaged, checksum, chunked, session_bytes, unpacked
from mindlytics_core._config import Destination
from mindlytics_core._log import logs_of, records

#: A file that nobody could read any more is kept under this name, for people.
CORRUPT_SUFFIX = ".corrupt"
_SUFFIX = ".spool"
_VERSION = 2
_PAGE_BYTES = 4096
_TRIES = 8
#: Chunks that are made of a log.
_CHUNK_EVENTS = 100
_CHUNK_BYTES = 512 * 1024

_SCHEMA = """
CREATE TABLE meta (endpoint TEXT NOT NULL, project_id TEXT NOT NULL);
CREATE TABLE chunk (
    seq INTEGER PRIMARY KEY, session TEXT NOT NULL, n INTEGER NOT NULL, crc INTEGER NOT NULL,
    written REAL NOT NULL, events BLOB NOT NULL
);
"""
#: By way of bytes: a session's id may be no UTF-8.
_WRITE = "INSERT INTO chunk (session, n, crc, written, events) VALUES (CAST(? AS TEXT), ?, ?, ?, ?)"
#: In a bent row each field is of its own kind all the same, or nothing.
_READ = """
SELECT seq, CAST(session AS BLOB), CAST(n AS INTEGER), CAST(crc AS INTEGER), CAST(written AS REAL),
    CAST(events AS BLOB)
FROM chunk WHERE seq > ? ORDER BY seq LIMIT 1
"""

#: Whatever a file can do to its user. (What SQLite says of a bent one may be no UTF-8.)
ERRORS = (sqlite3.Error, OSError, UnicodeDecodeError)


class Holding(NamedTuple):
    """What a file holds."""

    endpoint: str
    project_id: str
    chunks: int
    events: int


def prefix(destination: Destination) -> str:
    """
    The beginning of the names of a destination's files.

    The key is no part of it: a new key for the same project takes over what the old one left.
    """
    return hashlib.sha256(f"{destination.endpoint}\0{destination.project_id}".encode()).hexdigest()[:16] + "-"


def files(directory: Path, of: str = "") -> list[Path]:
    """The spool's files in a directory, those that were left longest first."""
    found = [(_changed_at(path), path) for path in directory.glob(f"{of}*{_SUFFIX}")]
    return [path for _, path in sorted(found)]


def _changed_at(path: Path) -> int:
    # It may be deleted at any moment by the process that it belongs to.
    with contextlib.suppress(OSError):
        return path.stat().st_mtime_ns
    return 0


class SpoolFile:
    """
    An open file. Made by `create` or `adopt`; whatever goes wrong is a `sqlite3.Error` or an `OSError`.

    Args:
        path: The file.

        connection: To it, with the file locked.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection

    @classmethod
    def create(
        cls, directory: Path, destination: Destination, *, max_bytes: int, survive_power_loss: bool
    ) -> "SpoolFile":
        """
        Begin a file of this process's own.

        Args:
            directory: Where; made if it does not exist, for its owner alone.

            destination: Where its events go.

            max_bytes: The file's largest size.

            survive_power_loss: Whether each commit waits for the disk.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        failure: Exception = OSError("no file of the spool could be made")
        for _ in range(_TRIES):
            path = directory / f"{prefix(destination)}{secrets.token_hex(6)}{_SUFFIX}"
            connection = _connect(path)
            try:
                connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
                _lock(connection)
                connection.execute(f"PRAGMA synchronous={'FULL' if survive_power_loss else 'NORMAL'}")
                connection.execute(f"PRAGMA max_page_count={max(max_bytes // _PAGE_BYTES, 8)}")
                connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={_VERSION}; COMMIT")
                connection.execute("INSERT INTO meta VALUES (?, ?)", (destination.endpoint, destination.project_id))
                path.chmod(0o600)
            except (sqlite3.Error, OSError) as error:
                failure = error
            else:
                # Between the making and the locking somebody may have taken it for a dead process's, and deleted it.
                if path.exists():
                    return cls(path, connection)
            connection.close()
            _remove(path)
        raise failure

    @classmethod
    def adopt(cls, path: Path) -> "SpoolFile | None":
        """
        Take over a file of a process that has died; None while it lives.

        Raises:
            sqlite3.DatabaseError, UnicodeDecodeError: The file is corrupt.
        """
        connection = _connect(path)
        try:
            _lock(connection)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version != _VERSION:
                if not version:
                    # Its process died before it had written anything; or will see that it is gone, and make another.
                    _remove(path)
                connection.close()
                return None
        except sqlite3.OperationalError:
            connection.close()
            return None
        except (sqlite3.Error, UnicodeDecodeError):
            connection.close()
            raise
        return cls(path, connection)

    def commit(self, new: Iterable[Chunk], settled: Iterable[int]) -> list[int]:
        """
        Write chunks and delete settled ones, all or nothing.

        Returns:
            The new chunks' numbers; later ones are larger.
        """
        numbers: list[int] = []
        cursor = self.connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        try:
            cursor.executemany("DELETE FROM chunk WHERE seq = ?", ((number,) for number in settled))
            for chunk in new:
                packed = chunk.packed()
                crc = checksum(chunk.session_id, packed)
                cursor.execute(_WRITE, (session_bytes(chunk.session_id), len(chunk.bodies), crc, chunk.written, packed))
                numbers.append(cursor.lastrowid or 0)
            cursor.execute("COMMIT")
        except BaseException:
            # A failure of the disk may have rolled back already.
            with contextlib.suppress(sqlite3.Error):
                cursor.execute("ROLLBACK")
            raise
        return numbers

    def read(self, after: int) -> tuple[int, Chunk | Damaged] | None:
        """The next chunk after a number, with its own."""
        row = self.connection.execute(_READ, (after,)).fetchone()
        if row is None:
            return None
        number, *fields = row
        if number <= after:
            # Whoever goes on from there comes here again, for ever.
            raise sqlite3.DatabaseError("the rows are out of order")
        return number, unpacked(*fields)

    def absorb_logs(self) -> None:
        """Move the events of its dead process's logs into the file."""
        for path in logs_of(self.path):
            pairs = list(records(path.read_bytes()))
            parts = chunked(pairs, _CHUNK_EVENTS, _CHUNK_BYTES)
            written = path.stat().st_mtime
            self.commit((Chunk(pairs[part[0]][0], [pairs[place][1] for place in part], written) for part in parts), ())
            path.unlink()

    def holding(self) -> Holding:
        """What is in it."""
        endpoint, project_id = self.connection.execute("SELECT endpoint, project_id FROM meta").fetchone()
        chunks, events = self.connection.execute("SELECT count(*), coalesce(sum(n), 0) FROM chunk").fetchone()
        return Holding(endpoint, project_id, chunks, events)

    def chunks(self) -> Iterator[Chunk | Damaged]:
        """Everything in it, in order."""
        at = 0
        while (found := self.read(at)) is not None:
            at, chunk = found
            yield chunk

    def close(self) -> None:
        """Let it go; an empty one is deleted, any other waits for who comes next."""
        with contextlib.suppress(sqlite3.Error):
            is_empty = self.connection.execute("SELECT 1 FROM chunk LIMIT 1").fetchone() is None
            if is_empty:
                # Before the lock goes: afterwards it may be somebody else's.
                _remove(self.path)
        self.connection.close()
        if not self.path.exists():
            _remove(self.path)

    def abandon(self) -> None:
        """In a forked child: never close the parent's connection, not even when the child ends."""
        import ctypes  # noqa: PLC0415  # hundredths of a second that only a forked child with a spool needs

        # Closing would write the WAL back and delete it under the parent's hands. SQLite: How To Corrupt, § 2.6.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.connection))

    def set_aside(self) -> None:
        """Close a corrupt file, and keep it for people under another name."""
        with contextlib.suppress(sqlite3.Error):
            self.connection.close()
        set_aside(self.path)


def set_aside(path: Path) -> None:
    """Keep a corrupt file for people under another name."""
    with contextlib.suppress(OSError):
        path.rename(path.with_name(path.name + CORRUPT_SUFFIX))
    _remove(path)


def is_corrupt(error: BaseException) -> bool:
    """Whether the file itself is broken, and not the disk full or the file locked."""
    broken = (sqlite3.DatabaseError, UnicodeDecodeError)
    return isinstance(error, broken) and not isinstance(error, sqlite3.OperationalError)


def _connect(path: Path) -> sqlite3.Connection:
    # Only one thread at a time uses it; at exit that may be another one than before.
    return sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)


def _lock(connection: sqlite3.Connection) -> None:
    # In this order: so the WAL's index stays in this process's memory, and the first access locks the file.
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("COMMIT")


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(OSError):
            path.with_name(path.name + suffix).unlink()
