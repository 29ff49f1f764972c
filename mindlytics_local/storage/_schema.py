"""
The tables, as an ordered list of changes to them. `PRAGMA user_version` says how many a file has seen.

A change may ask for a replay: then every stored event is folded into the records anew. So a record may get new
columns whenever the service learns to count something, also for what came in before.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass


class UnusableDatabase(OSError):
    """A file cannot be used as the service's database."""


@dataclass(frozen=True, slots=True)
class Change:
    """
    One step from a version to the next.

    Attributes:
        statements: What to run, in order.

        replay: Whether the records are to be made anew from the events.
    """

    statements: tuple[str, ...]
    replay: bool = False


_RECEIVED = Change(
    (
        # Numbers are never used twice, also not after a wipe: a page may still ask for what comes after one.
        """CREATE TABLE events (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            event_id TEXT NOT NULL UNIQUE,
            app_id TEXT NOT NULL,
            session_id TEXT NOT NULL,
            conversation_id TEXT,
            user_id TEXT,
            device_id TEXT,
            type TEXT NOT NULL,
            event TEXT,
            timestamp TEXT NOT NULL,
            timestamp_us INTEGER NOT NULL,
            received_us INTEGER NOT NULL,
            body TEXT NOT NULL
        )""",
        "CREATE INDEX events_by_time ON events (timestamp_us, seq)",
        "CREATE INDEX events_by_session ON events (session_id, timestamp_us, seq)",
        "CREATE INDEX events_by_conversation ON events (conversation_id, timestamp_us, seq)",
        "CREATE INDEX events_by_name ON events (event, timestamp_us, seq)",
        "CREATE INDEX events_by_user ON events (user_id, timestamp_us, seq)",
        """CREATE TABLE deliveries (
            app_id TEXT NOT NULL,
            key TEXT NOT NULL,
            first_seq INTEGER NOT NULL,
            last_seq INTEGER NOT NULL,
            received_us INTEGER NOT NULL,
            PRIMARY KEY (app_id, key)
        ) WITHOUT ROWID""",
        "CREATE INDEX deliveries_by_age ON deliveries (received_us)",
        "CREATE TABLE api_keys (digest TEXT PRIMARY KEY, created_us INTEGER NOT NULL) WITHOUT ROWID",
    )
)

_RECORDS = Change(
    (
        """CREATE TABLE sessions (
            app_id TEXT NOT NULL,
            session_id TEXT NOT NULL,
            user_id TEXT,
            device_id TEXT,
            user_key TEXT,
            started_at TEXT NOT NULL,
            started_us INTEGER NOT NULL,
            started_by TEXT NOT NULL,
            opened_us INTEGER,
            ended_at TEXT,
            ended_us INTEGER,
            attributes TEXT NOT NULL,
            PRIMARY KEY (session_id, app_id)
        )""",
        "CREATE INDEX sessions_by_start ON sessions (started_us)",
        "CREATE INDEX sessions_by_user ON sessions (user_key, started_us)",
        "CREATE INDEX sessions_by_user_id ON sessions (user_id, started_us)",
        """CREATE TABLE conversations (
            app_id TEXT NOT NULL,
            conversation_id TEXT NOT NULL,
            session_id TEXT NOT NULL,
            user_id TEXT,
            title TEXT,
            title_us INTEGER,
            started_at TEXT NOT NULL,
            started_us INTEGER NOT NULL,
            opened_us INTEGER,
            ended_at TEXT,
            ended_us INTEGER,
            ended_by TEXT,
            last_activity_at TEXT NOT NULL,
            last_activity_us INTEGER NOT NULL,
            turns INTEGER NOT NULL,
            functions INTEGER NOT NULL,
            failed INTEGER NOT NULL,
            prompt_tokens INTEGER NOT NULL,
            completion_tokens INTEGER NOT NULL,
            cost REAL,
            models TEXT NOT NULL,
            properties TEXT NOT NULL,
            PRIMARY KEY (conversation_id, app_id)
        )""",
        "CREATE INDEX conversations_by_session ON conversations (session_id, app_id, started_us)",
        "CREATE INDEX conversations_by_start ON conversations (started_us)",
        "CREATE INDEX conversations_by_activity ON conversations (last_activity_us)",
        "CREATE INDEX conversations_by_user_id ON conversations (user_id, started_us)",
        """CREATE TABLE users (
            user_key TEXT PRIMARY KEY,
            app_id TEXT NOT NULL,
            id TEXT NOT NULL,
            aliases TEXT NOT NULL,
            created_at TEXT NOT NULL,
            created_us INTEGER NOT NULL,
            traits TEXT NOT NULL
        )""",
        "CREATE INDEX users_by_creation ON users (created_us)",
        """CREATE TABLE user_names (
            app_id TEXT NOT NULL,
            kind TEXT NOT NULL,
            name TEXT NOT NULL,
            user_key TEXT NOT NULL,
            PRIMARY KEY (app_id, kind, name)
        ) WITHOUT ROWID""",
        "CREATE INDEX user_names_by_user ON user_names (user_key)",
    ),
    replay=True,
)

_EVENT_COLUMNS = (
    "seq, event_id, app_id, session_id, conversation_id, user_id, device_id, type, event,"
    " timestamp, timestamp_us, received_us, body"
)

#: Ids of events are those of the app where it gives one, so they are unique within a project only. A table's
#: constraint cannot be changed, so the events move.
_IDS_OF_PROJECTS = Change(
    (
        """CREATE TABLE moved (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            event_id TEXT NOT NULL,
            app_id TEXT NOT NULL,
            session_id TEXT NOT NULL,
            conversation_id TEXT,
            user_id TEXT,
            device_id TEXT,
            type TEXT NOT NULL,
            event TEXT,
            timestamp TEXT NOT NULL,
            timestamp_us INTEGER NOT NULL,
            received_us INTEGER NOT NULL,
            body TEXT NOT NULL,
            UNIQUE (event_id, app_id)
        )""",
        f"INSERT INTO moved ({_EVENT_COLUMNS}) SELECT {_EVENT_COLUMNS} FROM events ORDER BY seq",  # noqa: S608  # ours
        "DROP TABLE events",
        "ALTER TABLE moved RENAME TO events",
        "CREATE INDEX events_by_time ON events (timestamp_us, seq)",
        "CREATE INDEX events_by_session ON events (session_id, timestamp_us, seq)",
        "CREATE INDEX events_by_conversation ON events (conversation_id, timestamp_us, seq)",
        "CREATE INDEX events_by_name ON events (event, timestamp_us, seq)",
        "CREATE INDEX events_by_user ON events (user_id, timestamp_us, seq)",
    )
)

_FIGURES_AND_WORDS = Change(
    (
        "DELETE FROM sessions",
        "DELETE FROM conversations",
        "DELETE FROM users",
        "DELETE FROM user_names",
        "ALTER TABLE conversations ADD COLUMN event_names TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE conversations ADD COLUMN unpriced_tokens TEXT NOT NULL DEFAULT '{}'",
        "CREATE VIRTUAL TABLE texts USING fts5 (said, content = '', tokenize = 'unicode61 remove_diacritics 2')",
        """CREATE TABLE hours (
            app_id TEXT NOT NULL,
            hour INTEGER NOT NULL,
            model TEXT NOT NULL,
            turns INTEGER NOT NULL,
            failed INTEGER NOT NULL,
            prompt_tokens INTEGER NOT NULL,
            completion_tokens INTEGER NOT NULL,
            unpriced_prompt_tokens INTEGER NOT NULL,
            unpriced_completion_tokens INTEGER NOT NULL,
            cost REAL NOT NULL,
            PRIMARY KEY (app_id, hour, model)
        ) WITHOUT ROWID""",
        """CREATE TABLE latencies (
            app_id TEXT NOT NULL,
            hour INTEGER NOT NULL,
            class INTEGER NOT NULL,
            turns INTEGER NOT NULL,
            PRIMARY KEY (app_id, hour, class)
        ) WITHOUT ROWID""",
    ),
    replay=True,
)

_USERS_BY_ANY_ID = Change(("CREATE INDEX user_names_by_name ON user_names (name)",))

CHANGES: tuple[Change, ...] = (_RECEIVED, _RECORDS, _IDS_OF_PROJECTS, _FIGURES_AND_WORDS, _USERS_BY_ANY_ID)
VERSION = len(CHANGES)

#: Everything that a wipe empties; keys stay, or the client that wiped would lock itself out.
WIPE = (
    "DELETE FROM events",
    "DELETE FROM deliveries",
    "DELETE FROM sessions",
    "DELETE FROM conversations",
    "DELETE FROM users",
    "DELETE FROM user_names",
    "DELETE FROM hours",
    "DELETE FROM latencies",
    "INSERT INTO texts (texts) VALUES ('delete-all')",
)


def migrate(db: sqlite3.Connection, replay: Callable[[sqlite3.Connection], None]) -> None:
    """
    Bring a file's tables up to date, all in one transaction.

    Args:
        db: The writer's connection.

        replay: Folds every stored event into the records.

    Raises:
        UnusableDatabase: A newer version of the service has written it.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        _apply(db, replay)
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _apply(db: sqlite3.Connection, replay: Callable[[sqlite3.Connection], None]) -> None:
    found: int = db.execute("PRAGMA user_version").fetchone()[0]
    if found > VERSION:
        raise UnusableDatabase(f"it has schema {found}, this version knows schemas up to {VERSION}; update mindlytics")
    for change in CHANGES[found:]:
        for statement in change.statements:
            db.execute(statement)
    if any(change.replay for change in CHANGES[found:]):
        replay(db)
    # A pragma takes no parameters; the figure is ours.
    db.execute(f"PRAGMA user_version = {VERSION}")
