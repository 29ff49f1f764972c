"""What belongs to a record and comes back inside it when `include` asks for it."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mindlytics_local._errors import Refused
from mindlytics_local.queries._collections import COLLECTIONS, Collection, Record, user
from mindlytics_local.queries._query import Query
from mindlytics_local.storage import _event_rows

_Relation = Callable[[sqlite3.Connection, Record], Any]


def _many(collection: str, time: str, *keys: str) -> _Relation:
    def related(db: sqlite3.Connection, record: Record) -> list[Record]:
        wanted = {key: record[key] for key in keys}
        return Query(COLLECTIONS[collection]).filtered(wanted).sorted({time: 1}).find(db)

    return related


def _session(db: sqlite3.Connection, record: Record) -> Record | None:
    found = _many("sessions", "started_at", "session_id", "app_id")(db, record)
    return found[0] if found else None


def _user(db: sqlite3.Connection, record: Record) -> Record | None:
    row = user_row(db, record["app_id"], record["session_id"])
    return None if row is None else user(row)


def _user_sessions(db: sqlite3.Connection, record: Record) -> list[Record]:
    rows = db.execute("SELECT * FROM sessions WHERE user_key = ? ORDER BY started_us, rowid", (record["user_id"],))
    return COLLECTIONS["sessions"].records(rows.fetchall())


def _intents(_: sqlite3.Connection, __: Record) -> list[Record]:
    # Part of the API; finding intents is the hosted service's work, so here there never are any.
    return []


_RELATIONS: Mapping[str, Mapping[str, _Relation]] = {
    "sessions": {
        "user": _user,
        "conversations": _many("conversations", "started_at", "session_id", "app_id"),
        "events": _many("events", "timestamp", "session_id", "app_id"),
        "intents": _intents,
    },
    "conversations": {
        "user": _user,
        "session": _session,
        "events": _many("events", "timestamp", "conversation_id", "app_id"),
        "intents": _intents,
    },
    "events": {"user": _user, "session": _session},
    "users": {"sessions": _user_sessions},
}


def user_row(db: sqlite3.Connection, app_id: str, session_id: str) -> sqlite3.Row | None:
    """
    The row of a session's user.

    Args:
        db: The connection.

        app_id: The project.

        session_id: The session.
    """
    row: sqlite3.Row | None = db.execute(
        "SELECT users.* FROM sessions JOIN users USING (user_key) WHERE session_id = ? AND sessions.app_id = ?",
        (session_id, app_id),
    ).fetchone()
    return row


def as_live(db: sqlite3.Connection, events: Sequence[Record]) -> list[Record]:
    """
    Events in the shape of the API document's live events.

    Args:
        db: The connection.

        events: The events.
    """
    users = {(event["app_id"], event["session_id"]) for event in events}
    rows = {session: user_row(db, *session) for session in users}
    return [_event_rows.live(event, rows[event["app_id"], event["session_id"]]) for event in events]


def check(names: Sequence[str], collection: Collection) -> None:
    """
    Raise `Refused` unless the collection has all these relations.

    Args:
        names: The relations.

        collection: The collection.
    """
    known = _RELATIONS[collection.name]
    for name in names:
        if name not in known:
            raise Refused(f"include: {collection.name} have no {name!r}; they have {', '.join(known)}")


def included(db: sqlite3.Connection, record: Record, names: Sequence[str], collection: Collection) -> Record:
    """
    A record with its relations inside.

    Args:
        db: The connection.

        record: The record, whole.

        names: The relations.

        collection: What the record is of.
    """
    return record | {name: _RELATIONS[collection.name][name](db, record) for name in names}
