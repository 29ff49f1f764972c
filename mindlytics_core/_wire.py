"""Events as the service's documented JSON. Source: the Mindlytics API document, `/bc/v1/events/*`."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from mindlytics_core import _model as model
from mindlytics_core.exceptions import InvalidArgument

QUEUE_PATH = "/bc/v1/events/queue"

CONVERSATION_STARTED = "Conversation Started"
CONVERSATION_ENDED = "Conversation Ended"
CONVERSATION_TURN = "Conversation Turn"
CONVERSATION_USAGE = "Conversation Usage"
CONVERSATION_FUNCTION = "Conversation Function"


_ESCAPE = ord("\\")


def encode(event: model.Event) -> bytes:
    """Write one event as the JSON object that the service documents."""
    wire = to_wire(event)
    try:
        body = _json(wire)
    except UnicodeEncodeError:
        return _json(_repaired(wire))
    # A NUL is valid JSON, but stores of text (SQLite, PostgreSQL) refuse or cut it. (One byte is quickly looked for.)
    return _json(_repaired(wire)) if _ESCAPE in body and b"\\u0000" in body else body


def write(data: Mapping[str, Any]) -> bytes:
    """
    Write any JSON object.

    Raises:
        InvalidArgument: It holds what JSON cannot.
    """
    try:
        return _json(_repaired(dict(data)))
    except (TypeError, ValueError):
        raise InvalidArgument("the data cannot be written as JSON") from None


def to_wire(event: model.Event) -> dict[str, Any]:
    """Give one event as the dictionary that the service documents."""
    identity = event.identity
    wire: dict[str, Any] = {"session_id": event.session_id, "timestamp": event.timestamp}
    if identity.user_id is not None:
        wire["user_id"] = identity.user_id
    if identity.device_id is not None:
        wire["device_id"] = identity.device_id
    _WRITERS[type(event)](wire, event)
    return wire


def _plain(value: object) -> object:
    """What a subclass of text or of a number, such as NumPy's, holds."""
    if isinstance(value, str):
        return str.__str__(value)
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON")


_ENCODER = msgspec.json.Encoder(enc_hook=_plain)
#: Space to write into; one for each call that is under way at the same moment, also in a signal handler.
_buffers: deque[bytearray] = deque()
_LARGEST_BUFFER = 64 * 1024


def _json(wire: object) -> bytes:
    """Write into used space and copy: what an encoder has grown by itself keeps half as much again."""
    try:
        buffer = _buffers.pop()
    except IndexError:
        buffer = bytearray()
    _ENCODER.encode_into(wire, buffer)
    body = bytes(buffer)
    if len(buffer) < _LARGEST_BUFFER:
        _buffers.append(buffer)
    return body


def _write_session_started(wire: dict[str, Any], event: model.SessionStarted) -> None:
    wire["type"] = "start_session"
    user_id = event.identity.user_id
    # An id of a framework's may be longer than the service takes here; as the event's own `user_id` it is taken.
    if user_id is not None and len(user_id) <= model.MAX_NAME_CHARS:
        wire["id"] = user_id
    if event.attributes:
        wire["attributes"] = event.attributes


def _write_session_ended(wire: dict[str, Any], event: model.SessionEnded) -> None:
    wire["type"] = "end_session"
    if event.attributes:
        wire["attributes"] = event.attributes


def _write_identified(wire: dict[str, Any], event: model.UserIdentified) -> None:
    wire["type"] = "identify"
    if event.id is not None:
        wire["id"] = event.id
    if event.device_id is not None:
        wire["device_id"] = event.device_id
    if event.traits:
        wire["traits"] = event.traits


def _write_aliased(wire: dict[str, Any], event: model.UserAliased) -> None:
    wire["type"] = "alias"
    wire["id"] = event.id
    wire["previous_id"] = event.previous_id


def _write_tracked(wire: dict[str, Any], event: model.Tracked) -> None:
    _write_track(wire, event.name, event.conversation_id, event.properties)


def _write_conversation_started(wire: dict[str, Any], event: model.ConversationStarted) -> None:
    _write_track(wire, CONVERSATION_STARTED, event.conversation_id, event.properties)


def _write_conversation_ended(wire: dict[str, Any], event: model.ConversationEnded) -> None:
    _write_track(wire, CONVERSATION_ENDED, event.conversation_id, event.properties)


def _write_turn(wire: dict[str, Any], event: model.Turn) -> None:
    properties = {**event.properties, "user": event.user, "assistant": event.assistant}
    if event.assistant_id is not None:
        properties["assistant_id"] = event.assistant_id
    if event.usage is not None:
        properties.update(event.usage.properties())
    _write_track(wire, CONVERSATION_TURN, event.conversation_id, properties)


def _write_usage(wire: dict[str, Any], event: model.UsageReported) -> None:
    _write_track(wire, CONVERSATION_USAGE, event.conversation_id, {**event.properties, **event.usage.properties()})


def _write_function(wire: dict[str, Any], event: model.FunctionCalled) -> None:
    properties = {**event.properties, "name": event.name}
    details = {"args": event.args, "result": event.result, "runtime": event.runtime}
    properties.update({name: value for name, value in details.items() if value is not None})
    _write_track(wire, CONVERSATION_FUNCTION, event.conversation_id, properties)


def _write_track(wire: dict[str, Any], name: str, conversation_id: str | None, properties: model.Properties) -> None:
    wire["type"] = "track"
    wire["event"] = name
    if conversation_id is not None:
        wire["conversation_id"] = conversation_id
    if properties:
        wire["properties"] = properties


_WRITERS: dict[type[model.Event], Callable[[dict[str, Any], Any], None]] = {
    model.SessionStarted: _write_session_started,
    model.SessionEnded: _write_session_ended,
    model.UserIdentified: _write_identified,
    model.UserAliased: _write_aliased,
    model.Tracked: _write_tracked,
    model.ConversationStarted: _write_conversation_started,
    model.ConversationEnded: _write_conversation_ended,
    model.Turn: _write_turn,
    model.UsageReported: _write_usage,
    model.FunctionCalled: _write_function,
}


def _repaired(value: Any) -> Any:
    """Replace what no JSON text can carry: a surrogate without its partner, and NUL."""
    if isinstance(value, str):
        joined = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return joined.replace("\0", "\ufffd")
    if isinstance(value, Mapping):
        return {_repaired(name): _repaired(item) for name, item in value.items()}
    return [_repaired(item) for item in value] if isinstance(value, list) else value
