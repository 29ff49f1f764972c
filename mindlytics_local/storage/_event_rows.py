"""Events in the database, and as the service gives them back."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from mindlytics_local._timestamps import Timestamp, timestamp_text
from mindlytics_local.model._live_events import NAMES, properties_of
from mindlytics_local.model._received_events import ReceivedEvent, user_named_by
from mindlytics_local.model._records import ORGANIZATION

_INSERT = """
    INSERT INTO events (
        event_id, app_id, session_id, conversation_id, user_id, device_id, type, event,
        timestamp, timestamp_us, received_us, body
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def insert(db: sqlite3.Connection, received: ReceivedEvent, user_id: str | None) -> int:
    """
    Store one event, and give its number.

    Args:
        db: The writer's connection.

        received: The event.

        user_id: The app's id of its user: its own, or its session's.
    """
    values = (
        received.event_id,
        received.app_id,
        received.session_id,
        received.conversation_id,
        user_id,
        received.device_id,
        received.type,
        received.event,
        received.at.text,
        received.at.us,
        received.received_at.us,
        received.body,
    )
    return db.execute(_INSERT, values).lastrowid or 0


def seq_of(db: sqlite3.Connection, received: ReceivedEvent) -> int | None:
    """
    The number of an event that was stored before; None for a new one.

    Args:
        db: The connection.

        received: The event.
    """
    if "event_id" not in received.data:
        return None
    row = db.execute("SELECT seq FROM events WHERE event_id = ? AND app_id = ?", (received.event_id, received.app_id))
    found: tuple[int] | None = row.fetchone()
    return None if found is None else found[0]


def in_order(db: sqlite3.Connection) -> Iterator[tuple[int, ReceivedEvent]]:
    """Every stored event in order of received, as it arrived, with its number."""
    for row in db.execute("SELECT * FROM events ORDER BY seq"):
        data = json.loads(row["body"])
        received = ReceivedEvent(
            event_id=row["event_id"],
            app_id=row["app_id"],
            session_id=row["session_id"],
            conversation_id=row["conversation_id"],
            user_id=user_named_by(data),
            device_id=row["device_id"],
            type=row["type"],
            event=row["event"],
            at=Timestamp(row["timestamp_us"], row["timestamp"]),
            received_at=Timestamp(row["received_us"], timestamp_text(row["received_us"])),
            data=data,
            body=row["body"],
        )
        yield row["seq"], received


def numbered(db: sqlite3.Connection, seqs: range) -> list[dict[str, Any]]:
    """
    Stored events by number.

    Args:
        db: The connection.

        seqs: Their numbers.
    """
    between = (seqs[0], seqs[-1]) if seqs else (0, -1)
    return records(db.execute("SELECT * FROM events WHERE seq BETWEEN ? AND ? ORDER BY seq", between).fetchall())


def records(rows: Sequence[sqlite3.Row]) -> list[dict[str, Any]]:
    """Rows as the service gives them back: what was sent, and beside it what the service added."""
    return [_record(row) for row in rows]


def live(record: dict[str, Any], user: sqlite3.Row | None) -> dict[str, Any]:
    """
    A stored event in the shape of the API document's live events, where everything that happens has a name.

    Args:
        record: The event, as `records` gives it.

        user: The row of its session's user.
    """
    optional = {"conversation_id": record.get("conversation_id"), "properties": properties_of(record["type"], record)}
    told = {name: value for name, value in optional.items() if value is not None}
    return {
        "organization_id": ORGANIZATION,
        "app_id": record["app_id"],
        "session_id": record["session_id"],
        "user_id": record.get("user_id") or (user["id"] if user is not None else ""),
        "event_id": record["event_id"],
        "timestamp": record["timestamp"],
        "event": record.get("event") or NAMES[record["type"]],
        **told,
        "user_traits": json.loads(user["traits"]) if user is not None else {},
    }


def _record(row: sqlite3.Row) -> dict[str, Any]:
    added = {
        "seq": row["seq"],
        "event_id": row["event_id"],
        "organization_id": ORGANIZATION,
        "app_id": row["app_id"],
        "timestamp": row["timestamp"],
        "received_at": timestamp_text(row["received_us"]),
    }
    known = {"user_id": row["user_id"]} if row["user_id"] is not None else {}
    sent: dict[str, Any] = json.loads(row["body"])
    return {**known, **sent, **added}
