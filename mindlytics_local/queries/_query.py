"""One question to a collection: which records, in which order, how many, and what of each."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mindlytics_local._errors import Refused
from mindlytics_local.queries._collections import Collection, Record
from mindlytics_local.queries._filters import EVERYTHING, Clause, condition

UNORDERED = Clause("")
_DIRECTIONS: Mapping[object, str] = {1: "ASC", -1: "DESC", "asc": "ASC", "desc": "DESC"}


@dataclass(frozen=True, slots=True)
class Query:
    """
    A question.

    Attributes:
        collection: What is asked for.

        where: Which of it.

        order: SQL of the order.

        limit: How many at most; None for all.

        skip: How many to leave out first.
    """

    collection: Collection
    where: Clause = EVERYTHING
    order: Clause = UNORDERED
    limit: int | None = None
    skip: int = 0

    def rows(self, db: sqlite3.Connection) -> list[sqlite3.Row]:
        """The rows that answer it."""
        order = f"{self.order.sql}, {self.collection.order}" if self.order.sql else self.collection.order
        limit = -1 if self.limit is None else self.limit
        source = f"{self.collection.name} WHERE {self.where.sql} ORDER BY {order}"
        return db.execute(
            f"SELECT * FROM {source} LIMIT ? OFFSET ?",  # noqa: S608  # values are bound, the rest is ours
            (*self.where.params, *self.order.params, limit, self.skip),
        ).fetchall()

    def find(self, db: sqlite3.Connection) -> list[Record]:
        """The records that answer it."""
        return self.collection.records(self.rows(db))

    def first(self, db: sqlite3.Connection) -> list[Record]:
        """The first record that answers it, or nothing."""
        return replace(self, limit=1).find(db)

    def count(self, db: sqlite3.Connection) -> int:
        """How many records answer it, whatever the limit."""
        source = f"{self.collection.name} WHERE {self.where.sql}"
        query = f"SELECT count(*) FROM {source}"  # noqa: S608  # values are bound, the rest is ours
        found: int = db.execute(query, self.where.params).fetchone()[0]
        return found

    def filtered(self, wanted: object) -> "Query":
        """
        The same question about fewer records.

        Args:
            wanted: A filter that they must match as well.

        Raises:
            Refused: The filter cannot be understood.
        """
        more = condition(wanted, self.collection)
        both = Clause(f"({self.where.sql}) AND ({more.sql})", (*self.where.params, *more.params))
        return replace(self, where=more if self.where is EVERYTHING else both)

    def sorted(self, wanted: object) -> "Query":
        """
        The same question in another order.

        Args:
            wanted: `{"field": 1}` upwards, `{"field": -1}` downwards, several in order of weight.

        Raises:
            Refused: It cannot be understood.
        """
        if not isinstance(wanted, dict):
            raise Refused('sort must be a JSON object, such as {"timestamp": -1}')
        parts = [_sorted_by(name, direction, self.collection) for name, direction in wanted.items()]
        sql = ", ".join(part.sql for part in parts)
        return replace(self, order=Clause(sql, tuple(value for part in parts for value in part.params)))


def _sorted_by(name: str, direction: object, collection: Collection) -> Clause:
    if isinstance(direction, bool | list | dict) or direction not in _DIRECTIONS:
        raise Refused(f"sort: {name} must be 1 or -1")
    field = collection.field(name)
    return Clause(f"{field.sql} {_DIRECTIONS[direction]}", field.params)


def projected(record: Record, wanted: Mapping[str, Any]) -> Record:
    """
    A record with only what was asked for.

    Args:
        record: The record.

        wanted: `{"field": 1}` keeps only such fields, `{"field": 0}` leaves them out; dots lead inside.
    """
    if any(wanted.values()):
        return _kept(record, [name.split(".") for name, keep in wanted.items() if keep])
    for name in wanted:
        record = _without(record, name.split("."))
    return record


def _kept(record: Record, paths: list[list[str]]) -> Record:
    kept: Record = {}
    for root, *path in paths:
        if root not in record:
            continue
        if path and isinstance(record[root], dict):
            kept[root] = {**kept.get(root, {}), **_kept(record[root], [path])}
        elif not path:
            kept[root] = record[root]
    return kept


def _without(record: Record, path: list[str]) -> Record:
    root, *rest = path
    if root not in record:
        return record
    if not rest:
        return {name: value for name, value in record.items() if name != root}
    inner = record[root]
    return {**record, root: _without(inner, rest)} if isinstance(inner, dict) else record
