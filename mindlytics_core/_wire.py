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


class Wire(msgspec.Struct, omit_defaults=True):
    """
    The JSON object of one event, whatever its kind; what is None is not written.

    Attributes:
        session_id: The session.

        timestamp: When it happened.

        type: `start_session`, `end_session`, `identify`, `alias` or `track`.

        user_id: Whose event it is.

        device_id: On which device; of an identification the device's new id, if it has one.

        id: The user that a session starts with, that is identified or that becomes the primary one.

        previous_id: The other id of that user.

        event: The name of a tracked event.

        conversation_id: The conversation of a tracked event.

        properties: What is said of a tracked event.

        attributes: What is said of a session.

        traits: What is said of a user.
    """

    session_id: str
    timestamp: str
    type: str
    user_id: str | None = None
    device_id: str | None = None
    id: str | None = None
    previous_id: str | None = None
    event: str | None = None
    conversation_id: str | None = None
    properties: model.Properties | None = None
    attributes: model.Properties | None = None
    traits: model.Properties | None = None


def encode(event: model.Event) -> bytes:
    """Write one event as the JSON object that the service documents."""
    wire = _MAKERS[type(event)](event)
    try:
        body = _json(wire)
    except UnicodeEncodeError:
        return _json(_repaired(msgspec.to_builtins(wire, enc_hook=_plain)))
    # A NUL is valid JSON, but stores of text (SQLite, PostgreSQL) refuse or cut it. (One byte is quickly looked for.)
    if _ESCAPE in body and b"\\u0000" in body:
        return _json(_repaired(msgspec.to_builtins(wire, enc_hook=_plain)))
    return body


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


def _session_started(event: model.SessionStarted) -> Wire:
    user_id = event.identity.user_id
    # An id of a framework's may be longer than the service takes here; as the event's own `user_id` it is taken.
    id_ = user_id if user_id is not None and len(user_id) <= model.MAX_NAME_CHARS else None
    return _untracked(event, "start_session", id=id_, attributes=event.attributes or None)


def _session_ended(event: model.SessionEnded) -> Wire:
    return _untracked(event, "end_session", attributes=event.attributes or None)


def _identified(event: model.UserIdentified) -> Wire:
    wire = _untracked(event, "identify", id=event.id, traits=event.traits or None)
    wire.device_id = event.device_id if event.device_id is not None else wire.device_id
    return wire


def _aliased(event: model.UserAliased) -> Wire:
    return _untracked(event, "alias", id=event.id, previous_id=event.previous_id)


def _untracked(event: model.Event, type_: str, **fields: Any) -> Wire:
    identity = event.identity
    return Wire(event.session_id, event.timestamp, type_, identity.user_id, identity.device_id, **fields)


def _tracked(event: model.Tracked) -> Wire:
    return _track(event, event.name, event.properties)


def _conversation_started(event: model.ConversationStarted) -> Wire:
    return _track(event, CONVERSATION_STARTED, event.properties)


def _conversation_ended(event: model.ConversationEnded) -> Wire:
    return _track(event, CONVERSATION_ENDED, event.properties)


def _turn(event: model.Turn) -> Wire:
    properties = {**event.properties, "user": event.user, "assistant": event.assistant}
    if event.assistant_id is not None:
        properties["assistant_id"] = event.assistant_id
    if event.usage is not None:
        properties.update(event.usage.properties())
    return _track(event, CONVERSATION_TURN, properties)


def _usage_reported(event: model.UsageReported) -> Wire:
    return _track(event, CONVERSATION_USAGE, {**event.properties, **event.usage.properties()})


def _function_called(event: model.FunctionCalled) -> Wire:
    properties = {**event.properties, "name": event.name}
    details = {"args": event.args, "result": event.result, "runtime": event.runtime}
    properties.update({name: value for name, value in details.items() if value is not None})
    return _track(event, CONVERSATION_FUNCTION, properties)


def _track(event: model.Tracked | model.ConversationEvent, name: str, properties: model.Properties) -> Wire:
    identity = event.identity
    return Wire(  # by place, which is quicker: most events are of this kind
        event.session_id,
        event.timestamp,
        "track",
        identity.user_id,
        identity.device_id,
        None,
        None,
        name,
        event.conversation_id,
        properties or None,
    )


_MAKERS: dict[type[model.Event], Callable[[Any], Wire]] = {
    model.SessionStarted: _session_started,
    model.SessionEnded: _session_ended,
    model.UserIdentified: _identified,
    model.UserAliased: _aliased,
    model.Tracked: _tracked,
    model.ConversationStarted: _conversation_started,
    model.ConversationEnded: _conversation_ended,
    model.Turn: _turn,
    model.UsageReported: _usage_reported,
    model.FunctionCalled: _function_called,
}


def _repaired(value: Any) -> Any:
    """Replace what no JSON text can carry: a surrogate without its partner, and NUL."""
    if isinstance(value, str):
        joined = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return joined.replace("\0", "\ufffd")
    if isinstance(value, Mapping):
        return {_repaired(name): _repaired(item) for name, item in value.items()}
    return [_repaired(item) for item in value] if isinstance(value, list) else value
