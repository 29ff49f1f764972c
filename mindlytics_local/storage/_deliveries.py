"""Which deliveries have been stored, so that one that is sent again is not stored twice."""

import sqlite3

from mindlytics_local._timestamps import Timestamp

#: How long a delivery's key is remembered, in microseconds: a day; a client gives up or restarts long before.
_REMEMBERED_US = 24 * 3600 * 1_000_000


def find(db: sqlite3.Connection, app_id: str, key: str) -> range | None:
    """
    The events of a delivery that was stored before.

    Args:
        db: The connection.

        app_id: The project that sent it.

        key: The key that it was sent with.
    """
    row = db.execute(
        "SELECT first_seq, last_seq FROM deliveries WHERE app_id = ? AND key = ?", (app_id, key)
    ).fetchone()
    return None if row is None else range(row["first_seq"], row["last_seq"] + 1)


def remember(db: sqlite3.Connection, app_id: str, key: str, seqs: range, received_at: Timestamp) -> None:
    """
    Note a delivery, and forget those that are too old to come again.

    Args:
        db: The writer's connection.

        app_id: The project that sent it.

        key: The key that it was sent with.

        seqs: The numbers of its events.

        received_at: When it came.
    """
    db.execute(
        "INSERT INTO deliveries (app_id, key, first_seq, last_seq, received_us) VALUES (?, ?, ?, ?, ?)",
        (app_id, key, seqs[0], seqs[-1], received_at.us),
    )
    db.execute("DELETE FROM deliveries WHERE received_us < ?", (received_at.us - _REMEMBERED_US,))
