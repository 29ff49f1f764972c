"""Figures over time, kept by the hour while events arrive: a chart of a large file is as quick as of a small one."""

import math
import sqlite3
from typing import Any

from mindlytics_core import _wire
from mindlytics_local._timestamps import timestamp_text
from mindlytics_local.model._projections import TURN_FAILED, amount
from mindlytics_local.model._received_events import ReceivedEvent

HOUR_US = 3600 * 1_000_000
_COUNTED = {_wire.CONVERSATION_TURN, _wire.CONVERSATION_USAGE, TURN_FAILED}
#: Latencies are counted in classes, each this much wider than the one before: within 5 % is near enough for a chart.
_CLASS_GROWTH = 1.1

_COUNT = """
    INSERT INTO hours (app_id, hour, model, turns, failed, prompt_tokens, completion_tokens,
        unpriced_prompt_tokens, unpriced_completion_tokens, cost) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (app_id, hour, model) DO UPDATE SET
        turns = turns + excluded.turns, failed = failed + excluded.failed,
        prompt_tokens = prompt_tokens + excluded.prompt_tokens,
        completion_tokens = completion_tokens + excluded.completion_tokens,
        unpriced_prompt_tokens = unpriced_prompt_tokens + excluded.unpriced_prompt_tokens,
        unpriced_completion_tokens = unpriced_completion_tokens + excluded.unpriced_completion_tokens,
        cost = cost + excluded.cost
"""
_COUNT_LATENCY = """
    INSERT INTO latencies (app_id, hour, class, turns) VALUES (?, ?, ?, 1)
    ON CONFLICT (app_id, hour, class) DO UPDATE SET turns = turns + 1
"""


def count(db: sqlite3.Connection, received: ReceivedEvent) -> None:
    """
    Add one event to the figures of its hour.

    Args:
        db: The writer's connection.

        received: The event.
    """
    if received.event not in _COUNTED:
        return
    said, hour = received.data.get("properties", {}), received.at.us // HOUR_US
    is_turn, cost = received.event == _wire.CONVERSATION_TURN, amount(said.get("cost"))
    tokens = [int(amount(said.get(name)) or 0) for name in ("prompt_tokens", "completion_tokens")]
    unpriced = tokens if cost is None else [0, 0]
    model = said.get("model") if isinstance(said.get("model"), str) else ""
    values = (is_turn, received.event == TURN_FAILED, *tokens, *unpriced, cost or 0.0)
    db.execute(_COUNT, (received.app_id, hour, model, *values))
    latency = amount(said.get("latency_ms"))
    if is_turn and latency is not None:
        db.execute(_COUNT_LATENCY, (received.app_id, hour, latency_class(latency)))


def latency_class(latency_ms: float) -> int:
    """
    The class that a latency is counted in.

    Args:
        latency_ms: The latency, in milliseconds.
    """
    return round(math.log(max(latency_ms, 1.0), _CLASS_GROWTH))


def between(db: sqlite3.Connection, project: str, first_us: int, last_us: int) -> dict[str, Any]:
    """
    The figures of a stretch of time, by the hour.

    Args:
        db: The connection.

        project: The project; empty for all of them.

        first_us: Where it begins, in microseconds since 1970.

        last_us: Where it ends, likewise.
    """
    mine = "(? = '' OR app_id = ?)"
    hours = (project, project, first_us // HOUR_US, last_us // HOUR_US)
    by_model = f"SELECT * FROM hours WHERE {mine} AND hour BETWEEN ? AND ? ORDER BY hour"  # noqa: S608  # ours
    by_class = f"SELECT hour, class, sum(turns) AS turns FROM latencies WHERE {mine} AND hour BETWEEN ? AND ? GROUP BY hour, class"  # noqa: E501, S608
    started = f"""SELECT started_us / {HOUR_US} AS hour, count(*) AS conversations FROM conversations
        WHERE {mine} AND started_us BETWEEN ? AND ? GROUP BY hour"""  # noqa: S608  # ours
    return {
        "hours": [_at_hour(row, without="app_id") for row in db.execute(by_model, hours)],
        "latencies": [
            {"at": _hour(row["hour"]), "latency_ms": _CLASS_GROWTH ** row["class"], "turns": row["turns"]}
            for row in db.execute(by_class, hours)
        ],
        "conversations": [_at_hour(row) for row in db.execute(started, (project, project, first_us, last_us))],
    }


def _at_hour(row: sqlite3.Row, *, without: str = "") -> dict[str, Any]:
    return {"at": _hour(row["hour"])} | {name: row[name] for name in row.keys() if name not in {"hour", without}}  # noqa: SIM118


def _hour(number: int) -> str:
    return timestamp_text(number * HOUR_US)
