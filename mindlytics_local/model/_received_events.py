"""From a request's body to checked events; either all of them are fit to be stored or none is."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mindlytics_core import _shapes, _wire
from mindlytics_core.exceptions import InvalidArgument
from mindlytics_local import _json
from mindlytics_local._errors import Refused
from mindlytics_local._timestamps import Timestamp, now, parse_timestamp

START_SESSION, END_SESSION, IDENTIFY, ALIAS, TRACK = "start_session", "end_session", "identify", "alias", "track"

_ID_CHARS = 200

#: What each path under `/events/event/` takes: a type, and for `track` the event's name where it is fixed.
KINDS: Mapping[str, tuple[str, str | None]] = {
    "start-session": (START_SESSION, None),
    "end-session": (END_SESSION, None),
    "identify": (IDENTIFY, None),
    "alias": (ALIAS, None),
    "track": (TRACK, None),
    "start-conversation": (TRACK, _wire.CONVERSATION_STARTED),
    "end-conversation": (TRACK, _wire.CONVERSATION_ENDED),
    "conversation-turn": (TRACK, _wire.CONVERSATION_TURN),
    "conversation-usage": (TRACK, _wire.CONVERSATION_USAGE),
    "conversation-function": (TRACK, _wire.CONVERSATION_FUNCTION),
}


class RefusedEvent(Refused):
    """
    One event among those that were sent cannot be taken.

    Args:
        text: What is wrong with it.

        session_id: The session that it names; empty if it names none.
    """

    def __init__(self, text: str, session_id: str) -> None:
        super().__init__(text)
        self.session_id = session_id


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """
    One checked event on its way into the store.

    Attributes:
        event_id: The id that the app gave it, else one of the service's own.

        app_id: The project that sent it; empty when the request named none.

        session_id: The session it belongs to.

        conversation_id: The conversation it belongs to, if any.

        user_id: The app's id of the user, if the event names one.

        device_id: The device, if the event names one.

        type: The wire's `type`.

        event: The name of a `track` event.

        at: When it happened; when it was received, if it does not say.

        received_at: When it was received.

        data: The event as it was sent.

        body: The same as JSON text.
    """

    event_id: str
    app_id: str
    session_id: str
    conversation_id: str | None
    user_id: str | None
    device_id: str | None
    type: str
    event: str | None
    at: Timestamp
    received_at: Timestamp
    data: Mapping[str, Any]
    body: str


def read_several(body: bytes, app_id: str) -> list[ReceivedEvent]:
    """
    Read an array of events, or one bare event.

    Args:
        body: The request's body.

        app_id: The project that the request named.

    Raises:
        Refused: At least one event cannot be taken; the text names its index and fault.
    """
    sent = _json.read(body, "the body")
    received_at = now()
    return [
        _read(item, app_id, received_at, f"event {index}")
        for index, item in enumerate(sent if isinstance(sent, list) else [sent])
    ]


def read_single(body: bytes, app_id: str, kind: str | None) -> ReceivedEvent:
    """
    Read one event.

    Args:
        body: The request's body.

        app_id: The project that the request named.

        kind: The last part of the path, where it names a kind of event.

    Raises:
        Refused: It cannot be taken, or is of another kind than the path says.
    """
    received = _read(_json.read(body, "the body"), app_id, now(), "event")
    if kind is not None:
        _check_kind(received, kind)
    return received


def _check_kind(received: ReceivedEvent, kind: str) -> None:
    wanted, name = KINDS[kind]
    if received.type != wanted:
        raise RefusedEvent(f"event: {kind} takes the type {wanted!r}, not {received.type!r}", received.session_id)
    if name is not None and received.event != name:
        raise RefusedEvent(f"event: {kind} takes the event {name!r}", received.session_id)


def _read(item: object, app_id: str, received_at: Timestamp, where: str) -> ReceivedEvent:
    try:
        data: Mapping[str, Any] = _shapes.check(item)
        _check_id(data)
        at = parse_timestamp(data["timestamp"]) if "timestamp" in data else received_at
        body = _json.write(item)
    except (InvalidArgument, ValueError) as error:
        raise RefusedEvent(f"{where}: {plain(error)}", _session_in(item)) from None
    return ReceivedEvent(
        event_id=data.get("event_id") or uuid.uuid4().hex,
        app_id=app_id,
        session_id=data["session_id"],
        conversation_id=data.get("conversation_id"),
        user_id=user_named_by(data),
        device_id=data.get("device_id"),
        type=data["type"],
        event=data.get("event"),
        at=at,
        received_at=received_at,
        data=data,
        body=body,
    )


def _check_id(data: Mapping[str, Any]) -> None:
    if "event_id" in data and not (isinstance(data["event_id"], str) and 1 <= len(data["event_id"]) <= _ID_CHARS):
        raise ValueError(f"event_id must be a text of 1 to {_ID_CHARS} characters")


def _session_in(item: object) -> str:
    named = item.get("session_id") if isinstance(item, dict) else None
    return named if isinstance(named, str) else ""


def plain(error: Exception) -> str:
    """An error's text without what the checking library puts before it."""
    return str(error).replace("Value error, ", "")


def user_named_by(data: Mapping[str, Any]) -> str | None:
    """
    The user that an event names.

    Args:
        data: The event; its `id` is a user in every type but `track`, where it may be anything.
    """
    own: str | None = data.get("id") if data["type"] != TRACK else None
    return own or data.get("user_id")
