"""Events as a client would send them, with no more in them than a test needs."""

from typing import Any

Event = dict[str, Any]

SESSION, CONVERSATION = "s1", "c1"


def at(minute: int, second: int = 0) -> str:
    """A moment within one hour."""
    return f"2025-03-01T12:{minute:02}:{second:02}+00:00"


def start_session(**fields: Any) -> Event:
    return {"type": "start_session", "session_id": SESSION, **fields}


def end_session(**fields: Any) -> Event:
    return {"type": "end_session", "session_id": SESSION, **fields}


def identify(**fields: Any) -> Event:
    return {"type": "identify", "session_id": SESSION, **fields}


def alias(**fields: Any) -> Event:
    return {"type": "alias", "session_id": SESSION, **fields}


def track(event: str, properties: dict[str, Any] | None = None, **fields: Any) -> Event:
    told = {} if properties is None else {"properties": properties}
    return {"type": "track", "session_id": SESSION, "event": event, **told, **fields}


def started(properties: dict[str, Any] | None = None, **fields: Any) -> Event:
    return track("Conversation Started", properties, **{"conversation_id": CONVERSATION, **fields})


def ended(properties: dict[str, Any] | None = None, **fields: Any) -> Event:
    return track("Conversation Ended", properties, **{"conversation_id": CONVERSATION, **fields})


def turn(user: str = "Hello", assistant: str = "Hi", **fields: Any) -> Event:
    """A turn; fields of an event stay outside, everything else becomes a property."""
    return _inside("Conversation Turn", {"user": user, "assistant": assistant}, fields)


def usage(**fields: Any) -> Event:
    return _inside("Conversation Usage", {}, fields)


def function(name: str, **fields: Any) -> Event:
    return _inside("Conversation Function", {"name": name}, fields)


def failed(**fields: Any) -> Event:
    return _inside("Turn Failed", {"error": "TimeoutError"}, fields)


def _inside(event: str, properties: dict[str, Any], fields: dict[str, Any]) -> Event:
    own = {"conversation_id", "session_id", "user_id", "device_id", "timestamp"}
    outside = {name: value for name, value in fields.items() if name in own}
    inside = {name: value for name, value in fields.items() if name not in own}
    return track(event, {**properties, **inside}, **{"conversation_id": CONVERSATION, **outside})
