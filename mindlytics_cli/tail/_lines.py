"""One live event as one line for a person. No character of it can move the terminal's cursor."""

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

from mindlytics_cli._plain import plain
from mindlytics_core import MLEvent

_USER_CHARS = 16
#: Ids that were made in one process differ at their ends.
_ID_CHARS = 8
_NAME_CHARS = 12
_SHORT = {
    "Conversation Started": "started",
    "Conversation Turn": "turn",
    "Conversation Function": "function",
    "Conversation Usage": "usage",
    "Conversation Ended": "ended",
    "Conversation Summary": "summary",
    "Session Started": "session",
    "Session Ended": "session end",
    "Turn Failed": "FAILED",
}


def line(event: MLEvent, *, zone: tzinfo | None, now: datetime, columns: int | None = None) -> str:
    """
    Write one event.

    Args:
        event: The event.

        zone: The zone of the times; None for the machine's own.

        now: The time now; another day's events get their date.

        columns: Most characters; None for no limit.
    """
    user = f"{_cut(plain(event.user_id or '-'), _USER_CHARS):{_USER_CHARS}}"
    conversation = f"{plain(event.conversation_id or '-')[-_ID_CHARS:]:{_ID_CHARS}}"
    name = f"{_SHORT.get(event.event, plain(event.event)):{_NAME_CHARS}}"
    said = plain(_said(event.event, event.properties or {}))
    whole = f"{_time(event.timestamp, zone, now)}  {user}  {conversation}  {name}  {said}".rstrip()
    return whole if columns is None else _cut(whole, columns)


def _time(timestamp: str, zone: tzinfo | None, now: datetime) -> str:
    try:
        at = datetime.fromisoformat(timestamp).astimezone(zone)
    except (ValueError, OverflowError):
        return plain(timestamp)
    return f"{at:%H:%M:%S}" if at.date() == now.astimezone(zone).date() else f"{at:%Y-%m-%d %H:%M:%S}"


def _said(name: str, carried: Mapping[str, Any]) -> str:
    if name == "Conversation Turn":
        return f"“{carried.get('user', '')}” → “{carried.get('assistant', '')}”{_figures(carried)}"
    if name == "Turn Failed":
        return f"“{carried.get('user', '')}” → {carried.get('error', '')}{_figures(carried)}"
    if name == "Conversation Function":
        runtime = f"  {carried['runtime']} ms" if "runtime" in carried else ""
        return f"{carried.get('name', '')}({carried.get('args', '')}) → {carried.get('result', '')}{runtime}"
    if name == "Conversation Usage":
        return _figures(carried).strip()
    return "  ".join(f"{key}={value}" for key, value in carried.items())


def _figures(carried: Mapping[str, Any]) -> str:
    tokens = [str(carried[name]) for name in ("prompt_tokens", "completion_tokens") if name in carried]
    parts = [str(carried["model"])] if "model" in carried else []
    parts += [f"{' + '.join(tokens)} tokens"] if tokens else []
    parts += [f"cost {carried['cost']}"] if "cost" in carried else []
    parts += [f"{carried['latency_ms']} ms"] if "latency_ms" in carried else []
    return f"  {', '.join(parts)}" if parts else ""


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
