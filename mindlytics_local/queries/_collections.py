"""What can be asked for: the collections of `/bc/v1/db`, their fields, and how a row of each is given back."""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mindlytics_local._errors import Refused
from mindlytics_local.model._records import JSON_FIELDS, ORGANIZATION
from mindlytics_local.storage import _event_rows
from mindlytics_local.storage._word_index import FOUND_EVENTS

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """
    How a field is reached in SQL.

    Attributes:
        sql: The expression.

        params: What is bound in it.

        time: Whether it is a point in time, in microseconds.

        many: Whether it is a JSON list, of which any item may match.
    """

    sql: str
    params: tuple[str, ...] = ()
    time: bool = False
    many: bool = False


@dataclass(frozen=True, slots=True)
class Collection:
    """
    One collection.

    Attributes:
        name: What it is called in the path; also its table.

        fields: Its plain fields.

        trees: Columns that hold JSON objects; `name.key` looks into them.

        order: How it is sorted when nobody says; also what makes any other order definite.

        records: Turns rows into what is given back.

        text: Condition with one bound value: what the index of words is to be asked.

        person: Condition with one value, bound wherever it has a mark: any id that a user was ever known by.

        body: Column with the whole event as JSON, in which every other field is looked up.
    """

    name: str
    fields: Mapping[str, Field]
    trees: frozenset[str]
    order: str
    records: Callable[[Sequence[sqlite3.Row]], list[Record]]
    text: str | None = None
    person: str | None = None
    body: str | None = None

    def field(self, name: str) -> Field:
        """
        Find a field.

        Args:
            name: Its name; dots lead into `properties`, `attributes` and `traits`.

        Raises:
            Refused: There is no such field.
        """
        if name in self.fields:
            return self.fields[name]
        root, *path = name.split(".")
        if self.body is not None:
            return _in_json(self.body, [root, *path])
        if root in self.trees and path:
            return _in_json(root, path)
        known = ", ".join([*self.fields, *(f"{tree}.<name>" for tree in sorted(self.trees))])
        raise Refused(f"{self.name} have no field {name!r}; they have {known}")


def _in_json(column: str, path: list[str]) -> Field:
    if any(not part or '"' in part for part in path):
        raise Refused(f"a field's name has parts between its dots, and no quotes: {'.'.join(path)!r}")
    return Field(f"json_extract({column}, ?)", ("$" + "".join(f'."{part}"' for part in path),))


def _plain(*names: str) -> dict[str, Field]:
    return {name: Field(name) for name in names}


def _times(**columns: str) -> dict[str, Field]:
    return {name: Field(column, time=True) for name, column in columns.items()}


def _sessions(rows: Sequence[sqlite3.Row]) -> list[Record]:
    return [_given(row, without={"started_us", "opened_us", "ended_us", "user_key"}) for row in rows]


def _conversations(rows: Sequence[sqlite3.Row]) -> list[Record]:
    hidden = {"started_us", "opened_us", "ended_us", "title_us", "last_activity_us"}
    return [_given(row, without=hidden) for row in rows]


def _users(rows: Sequence[sqlite3.Row]) -> list[Record]:
    return [user(row) for row in rows]


def user(row: sqlite3.Row) -> Record:
    """A user as the API document shows one: `user_id` is the service's own, `id` is the one to show."""
    return {"user_id": row["user_key"], **_given(row, without={"user_key", "created_us"})}


def _given(row: sqlite3.Row, *, without: set[str]) -> Record:
    shown = {
        name: json.loads(row[name]) if name in JSON_FIELDS else row[name]
        for name in row.keys()  # noqa: SIM118  # a Row's own iteration gives values
        if name not in without
    }
    return {"organization_id": ORGANIZATION, **shown}


_KEYS = "SELECT user_key FROM user_names WHERE kind = 'alias' AND name = ?"
#: Under any of their ids; what nobody named belongs to whoever its session's device was. The plus keeps SQLite from
#: walking all that nobody named: the user's sessions are fewer.
_OF_USER = f"""
    (user_id, app_id) IN (SELECT name, app_id FROM user_names WHERE kind = 'alias' AND user_key IN ({_KEYS}))
    OR +user_id IS NULL AND (session_id, app_id) IN (
        SELECT session_id, app_id FROM sessions WHERE user_key IN ({_KEYS}))
"""  # noqa: S608  # ours
_SAID = f"seq IN (SELECT rowid FROM texts WHERE texts MATCH ? ORDER BY rowid DESC LIMIT {FOUND_EVENTS})"  # noqa: S608


def _all() -> dict[str, Collection]:
    sessions = Collection(
        "sessions",
        _plain("app_id", "session_id", "user_id", "device_id", "started_by")
        | _times(started_at="started_us", ended_at="ended_us"),
        frozenset({"attributes"}),
        "started_us, rowid",
        _sessions,
    )
    conversations = Collection(
        "conversations",
        _plain("app_id", "conversation_id", "session_id", "user_id", "title", "ended_by", "turns", "functions")
        | _plain("failed", "prompt_tokens", "completion_tokens", "cost")
        | _times(started_at="started_us", ended_at="ended_us", last_activity_at="last_activity_us")
        | {"models": Field("models", many=True), "event_names": Field("event_names", many=True)},
        frozenset({"properties"}),
        "started_us, rowid",
        _conversations,
        text=f"(conversation_id, app_id) IN (SELECT conversation_id, app_id FROM events WHERE {_SAID})",  # noqa: S608
        person=_OF_USER,
    )
    events = Collection(
        "events",
        _plain("seq", "event_id", "app_id", "session_id", "conversation_id", "user_id", "device_id", "type", "event")
        | _times(timestamp="timestamp_us", received_at="received_us"),
        frozenset(),
        "seq",
        _event_rows.records,
        text=_SAID,
        body="body",
    )
    users = Collection(
        "users",
        {"user_id": Field("user_key"), "aliases": Field("aliases", many=True)}
        | _plain("app_id", "id")
        | _times(created_at="created_us"),
        frozenset({"traits"}),
        "created_us, rowid",
        _users,
    )
    return {collection.name: collection for collection in (sessions, conversations, events, users)}


COLLECTIONS = _all()


def collection_named(name: str) -> Collection:
    """
    Find a collection.

    Args:
        name: Its name.

    Raises:
        Refused: There is no such collection.
    """
    if name not in COLLECTIONS:
        raise Refused(f"there is no collection {name!r}; there are {', '.join(COLLECTIONS)}")
    return COLLECTIONS[name]
