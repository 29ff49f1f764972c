"""The vendor's own SDK and this client, running the same program, leave the same at the live local service."""

import functools
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from helpers import Service, get

from mindlytics_local import LocalService

pytestmark = pytest.mark.vendor

PROGRAM = Path(__file__).parent / "programs/public_sdk.py"
#: What this client says and the public SDK leaves to the service to find out.
SAID_BY_US_ONLY = {"Conversation Started", "Conversation Ended"}


@pytest.fixture(scope="module")
def both(vendor_python: Path, mindlytics_server: LocalService) -> dict[str, tuple[Service, Any]]:
    """What each SDK left, and what its program said."""
    return {
        "theirs": ran(vendor_python, "mlsdk", mindlytics_server),
        "ours": ran(Path(sys.executable), "mindlytics_core", mindlytics_server),
    }


def ran(python: Path, sdk: str, server: LocalService) -> tuple[Service, Any]:
    service = Service(server.url, f"{sdk}-{uuid.uuid4().hex}")
    finished = subprocess.run(
        [python, PROGRAM, sdk],
        env={**os.environ, **service.environment()},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr
    return service, json.loads(finished.stdout)


def found(service: Service, collection: str, **query: str) -> list[dict[str, Any]]:
    return get(service, f"/bc/v1/db/{collection}/find", filter="{}", **query)


def same(record: dict[str, Any], *names: str) -> dict[str, Any]:
    """A record's fields of these names, with times as instants and anonymous ids as what they are."""
    return {name: plain(record.get(name) or None) for name in names}


@functools.singledispatch
def plain(value: Any) -> Any:
    return value


@plain.register
def _(value: str) -> Any:
    if re.match(r"\d{4}-\d\d-\d\dT", value):
        return datetime.fromisoformat(value)
    return "ml_…" if value.startswith("ml_") else value


@plain.register
def _(value: list) -> Any:  # type: ignore[type-arg]
    return [plain(item) for item in value]


@plain.register
def _(value: dict) -> Any:  # type: ignore[type-arg]
    return {name: plain(item) for name, item in value.items()}


def sessions(service: Service) -> Any:
    names = ("session_id", "user_id", "device_id", "started_at", "started_by", "ended_at", "attributes")
    return [
        same(session, *names) | {"aliases": plain(session["user"]["aliases"])}
        for session in found(service, "sessions", include='["user"]')
    ]


def conversations(service: Service) -> Any:
    names = ("conversation_id", "session_id", "user_id", "title", "started_at", "last_activity_at", "turns")
    names += ("functions", "failed", "prompt_tokens", "completion_tokens", "cost", "models", "properties")
    return [
        same(conversation, *names) | {"is_ended": conversation["ended_at"] is not None}
        for conversation in found(service, "conversations")
    ]


def users(service: Service) -> Any:
    return [same(user, "id", "aliases", "traits") for user in found(service, "users")]


def events(service: Service) -> Any:
    names = ("type", "event", "session_id", "conversation_id", "user_id", "device_id", "timestamp", "properties")
    names += ("attributes", "traits", "id", "previous_id")
    return [
        same(event, *names)
        for event in found(service, "events")
        if event.get("event") not in SAID_BY_US_ONLY or event.get("properties")
    ]


@pytest.mark.parametrize("what", [sessions, conversations, users, events], ids=lambda what: what.__name__)
def test_both_leave_the_same(both: dict[str, tuple[Service, Any]], what: Callable[[Service], Any]):
    theirs, ours = what(both["theirs"][0]), what(both["ours"][0])

    assert theirs
    assert ours == theirs


def test_both_programs_saw_the_same(both: dict[str, tuple[Service, Any]]):
    assert both["ours"][1] == both["theirs"][1]
    assert both["ours"][1]["heard"] == ["Session Started", "Opened", "Session Ended"]


def test_ends_that_nobody_sent_are_the_one_difference_and_carry_the_last_turn(
    both: dict[str, tuple[Service, Any]],
):
    ends = {
        whose: {c["conversation_id"]: (c["ended_by"], plain(c["ended_at"])) for c in found(service, "conversations")}
        for whose, (service, _) in both.items()
    }
    last = {c["conversation_id"]: plain(c["last_activity_at"]) for c in found(both["ours"][0], "conversations")}

    left_to_the_session = [name for name, (by, _) in ends["theirs"].items() if by == "session"]
    assert sorted(left_to_the_session) == ["chat", "one"]
    assert {name: ends["ours"][name] for name in left_to_the_session} == {
        name: ("event", last[name]) for name in left_to_the_session
    }
