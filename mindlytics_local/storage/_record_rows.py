"""The records in SQLite: one dataclass, one table, column by column."""

import json
import sqlite3
from dataclasses import fields
from typing import Any, TypeVar

from mindlytics_local import _json
from mindlytics_local.model._records import JSON_FIELDS, Conversation, Session, User

Record = TypeVar("Record", Session, Conversation, User)

_TABLES: dict[type, str] = {Session: "sessions", Conversation: "conversations", User: "users"}
_KEYS = {Session: "session_id, app_id", Conversation: "conversation_id, app_id", User: "user_key"}
_ALIAS, _DEVICE = "alias", "device"


def _insert(kind: type) -> str:
    names = [field.name for field in fields(kind)]
    marks = ", ".join("?" * len(names))
    changes = ", ".join(f"{name} = excluded.{name}" for name in names)
    # An update, not a replacement: a row keeps its place among those of the same moment.
    conflict = f"ON CONFLICT ({_KEYS[kind]}) DO UPDATE SET {changes}"
    return f"INSERT INTO {_TABLES[kind]} ({', '.join(names)}) VALUES ({marks}) {conflict}"  # noqa: S608  # ours


_INSERTS = {kind: _insert(kind) for kind in _TABLES}


class SQLiteRecords:
    """
    The records, seen and changed within the writer's transaction.

    Args:
        db: The writer's connection.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def session(self, app_id: str, session_id: str) -> Session | None:
        """The session, if it is known."""
        return self._one(Session, "session_id = ? AND app_id = ?", session_id, app_id)

    def conversation(self, app_id: str, conversation_id: str) -> Conversation | None:
        """The conversation, if it is known."""
        return self._one(Conversation, "conversation_id = ? AND app_id = ?", conversation_id, app_id)

    def conversations_in(self, session: Session) -> list[Conversation]:
        """The conversations of a session."""
        return self._all(Conversation, "session_id = ? AND app_id = ?", session.session_id, session.app_id)

    def user(self, user_key: str) -> User | None:
        """The user with this key."""
        return self._one(User, "user_key = ?", user_key)

    def user_named(self, app_id: str, name: str) -> User | None:
        """The user who was ever known by this id."""
        return self._user_by(app_id, _ALIAS, name)

    def user_on(self, app_id: str, device_id: str) -> User | None:
        """The user who was last seen on this device."""
        return self._user_by(app_id, _DEVICE, device_id)

    def put(self, record: Session | Conversation | User) -> None:
        """Store a record in place of the one with the same key."""
        values = [
            _json.write(value) if field.name in JSON_FIELDS else value
            for field in fields(record)
            for value in (getattr(record, field.name),)
        ]
        self._db.execute(_INSERTS[type(record)], values)
        if isinstance(record, User):
            for alias in record.aliases:
                self._name(record, _ALIAS, alias)

    def put_device(self, user: User, device_id: str) -> None:
        """Note that this device is this user's."""
        self._name(user, _DEVICE, device_id)

    def merge(self, gone: User, into: User) -> None:
        """Hand everything of one user to another and forget the first."""
        keys = (into.user_key, gone.user_key)
        self._db.execute("UPDATE sessions SET user_key = ? WHERE user_key = ?", keys)
        self._db.execute("UPDATE user_names SET user_key = ? WHERE user_key = ?", keys)
        self._db.execute("DELETE FROM users WHERE user_key = ?", (gone.user_key,))

    def _name(self, user: User, kind: str, name: str) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO user_names (app_id, kind, name, user_key) VALUES (?, ?, ?, ?)",
            (user.app_id, kind, name, user.user_key),
        )

    def _user_by(self, app_id: str, kind: str, name: str) -> User | None:
        wanted = "user_key = (SELECT user_key FROM user_names WHERE app_id = ? AND kind = ? AND name = ?)"
        return self._one(User, wanted, app_id, kind, name)

    def _one(self, kind: type[Record], where: str, *values: str) -> Record | None:
        found = self._all(kind, where, *values)
        return found[0] if found else None

    def _all(self, kind: type[Record], where: str, *values: str) -> list[Record]:
        query = f"SELECT * FROM {_TABLES[kind]} WHERE {where}"  # noqa: S608  # the names are ours, values are bound
        rows = self._db.execute(query, values)
        return [kind(**_read(row)) for row in rows]


def _read(row: sqlite3.Row) -> dict[str, Any]:
    return {name: json.loads(row[name]) if name in JSON_FIELDS else row[name] for name in row.keys()}  # noqa: SIM118  # a Row's own iteration gives values
