"""
The database: one writer, several readers, and a write that has returned can be read.

Only the writer ever writes or checkpoints, and it closes last. That is what keeps a WAL database safe on the SQLite
versions whose WAL reset two connections could race in (up to 3.51.2).
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mindlytics_local.model._apply import apply_event
from mindlytics_local.model._live_events import Outcome
from mindlytics_local.model._received_events import ReceivedEvent
from mindlytics_local.storage import _deliveries, _event_rows, _hourly_figures, _word_index
from mindlytics_local.storage._record_rows import SQLiteRecords
from mindlytics_local.storage._schema import WIPE, UnusableDatabase, migrate
from mindlytics_local.storage._threads import DatabaseThreads

Result = TypeVar("Result")

_READERS = 4
_BUSY_SECONDS = 5.0
#: For files of a gigabyte: 64 MiB of cache a connection, and reading through the system's own.
_LARGE = ("PRAGMA cache_size = -65536", "PRAGMA mmap_size = 2147483648")


@dataclass(frozen=True, slots=True)
class Added:
    """
    What became of a delivery.

    Attributes:
        seqs: The numbers of its events in the store.

        outcomes: What each of them did; nothing for a delivery that had been stored before.
    """

    seqs: range
    outcomes: tuple[Outcome, ...] = ()


class Store:
    """
    Events, and the records that are kept of them.

    Args:
        path: The SQLite file; it is made if it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer = DatabaseThreads("mindlytics-local-write", 1, self._connect_writer)
        self._readers = DatabaseThreads("mindlytics-local-read", _READERS, self._connect_reader)

    def open(self) -> None:
        """
        Open the file and bring its tables up to date.

        Raises:
            UnusableDatabase: It cannot be opened, is no database, or a newer version wrote it.
        """
        self._writer.start()
        try:
            self._writer.submit(_migrate).result()
        except (sqlite3.Error, UnusableDatabase) as error:
            self._writer.close()
            raise UnusableDatabase(f"cannot use {self.path} as database: {error}") from error
        self._readers.start()

    def close(self) -> None:
        """Finish what was asked for and close the file."""
        self._readers.close()
        self._writer.close()

    async def add(self, events: Sequence[ReceivedEvent], delivery: str | None = None) -> Added:
        """
        Store events and bring the records up to date, all or nothing; on return both are committed.

        Args:
            events: The events; at least one.

            delivery: The sender's key of this delivery; one seen before is not stored again.
        """
        return await self.write(lambda db: _add(db, events, delivery))

    async def wipe(self) -> None:
        """Forget every event and record."""
        await self.write(_wipe)

    async def read(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """
        Run a query.

        Args:
            work: Is given a connection that cannot write.
        """
        return await asyncio.wrap_future(self._readers.submit(work))

    async def write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """
        Run something in a transaction of its own; on return it is committed.

        Args:
            work: Is given the writer's connection.
        """
        return await asyncio.wrap_future(self._writer.submit(lambda db: _in_transaction(db, work)))

    def _connect_writer(self) -> sqlite3.Connection:
        return _connect(self.path, "PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", *_LARGE)

    def _connect_reader(self) -> sqlite3.Connection:
        return _connect(self.path, "PRAGMA query_only = 1", "PRAGMA wal_autocheckpoint = 0", *_LARGE)


def _connect(path: Path, *pragmas: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    db.row_factory = sqlite3.Row
    try:
        for pragma in pragmas:
            db.execute(pragma)
    except BaseException:
        db.close()
        raise
    return db


def _in_transaction(db: sqlite3.Connection, work: Callable[[sqlite3.Connection], Result]) -> Result:
    db.execute("BEGIN IMMEDIATE")
    try:
        result = work(db)
        db.execute("COMMIT")
    except BaseException:
        # A full disk has rolled back by itself.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return result


def _add(db: sqlite3.Connection, events: Sequence[ReceivedEvent], delivery: str | None) -> Added:
    app_id, received_at = events[0].app_id, events[0].received_at
    if delivery is not None and (stored := _deliveries.find(db, app_id, delivery)) is not None:
        return Added(stored)
    records = SQLiteRecords(db)
    outcomes: list[Outcome] = []
    seqs = range(0)
    for received in events:
        known = _event_rows.seq_of(db, received)
        if known is not None:
            # It was sent before, under an id of its own. Where nothing is new, it is what can be read back.
            seqs = seqs if outcomes else range(known, known + 1)
            continue
        outcome = apply_event(received, records)
        seq = _event_rows.insert(db, received, received.user_id or outcome.session.user_id)
        _note(db, seq, received)
        seqs = range(seqs.start if outcomes else seq, seq + 1)
        outcomes.append(outcome)
    if delivery is not None and seqs:
        _deliveries.remember(db, app_id, delivery, seqs, received_at)
    return Added(seqs, tuple(outcomes))


def _note(db: sqlite3.Connection, seq: int, received: ReceivedEvent) -> None:
    _word_index.index(db, seq, received)
    _hourly_figures.count(db, received)


def _wipe(db: sqlite3.Connection) -> None:
    for statement in WIPE:
        db.execute(statement)


def _migrate(db: sqlite3.Connection) -> None:
    migrate(db, _replay)


def _replay(db: sqlite3.Connection) -> None:
    records = SQLiteRecords(db)
    for seq, received in _event_rows.in_order(db):
        apply_event(received, records)
        _note(db, seq, received)
