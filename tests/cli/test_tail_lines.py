"""Live events as lines for a person."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindlytics_cli.tail._lines import line
from mindlytics_core import MLEvent

NOW = datetime(2025, 1, 31, 18, tzinfo=UTC)


def shown(event: str, columns: int | None = None, timestamp: str = "2025-01-31T12:00:05Z", **carried: Any) -> str:
    told = MLEvent(
        session_id="s",
        user_id="jjacob",
        conversation_id="0123456789abcdef",
        timestamp=timestamp,
        event=event,
        properties=carried,
    )
    return line(told, zone=UTC, now=NOW, columns=columns)


@pytest.mark.parametrize(
    ("name", "carried", "said"),
    [
        (
            "Conversation Turn",
            {"user": "Hi", "assistant": "Hello!", "model": "m", "prompt_tokens": 3, "completion_tokens": 2},
            "turn          “Hi” → “Hello!”  m, 3 + 2 tokens",
        ),
        ("Conversation Turn", {"user": "Hi", "assistant": "", "latency_ms": 7}, "turn          “Hi” → “”  7 ms"),
        ("Turn Failed", {"user": "Hi", "error": "TimeoutError"}, "FAILED        “Hi” → TimeoutError"),
        (
            "Conversation Function",
            {"name": "f", "args": "{}", "result": "ok", "runtime": 12},
            "function      f({}) → ok  12 ms",
        ),
        ("Conversation Usage", {"cost": 0.5}, "usage         cost 0.5"),
        ("Session Ended", {}, "session end"),
        ("Own Event", {"a": 1, "b": True}, "Own Event     a=1  b=True"),
    ],
)
def test_each_kind_of_event_is_one_line(name: str, carried: dict[str, Any], said: str):
    assert shown(name, **carried) == f"12:00:05  jjacob            89abcdef  {said}"


def test_another_day_s_event_has_its_date():
    assert shown("x", timestamp="2024-12-24T12:00:00+01:00").startswith("2024-12-24 11:00:00  ")


def test_a_line_is_cut_to_the_terminal():
    assert shown("Conversation Turn", 60, user="x" * 100).endswith("  “xxxxxx…")
    assert len(shown("Conversation Turn", 60, user="x" * 100)) == 60


@given(st.text(), st.text())
def test_nobody_s_words_can_move_the_cursor_or_begin_another_line(words: str, name: str):
    assert shown(name, user=words, timestamp=words or "x").isprintable()


def test_an_escape_sequence_is_only_text():
    assert "\x1b" not in shown("Conversation Turn", user="\x1b[2J\r\n\u202eevil", assistant="")
