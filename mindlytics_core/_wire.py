"""
Events as the service's documented JSON, both ways.

The only place that knows the wire's names. Source: the Mindlytics API document, `/bc/v1/events/*`.
The shapes below are what `encode` writes and what a receiver checks with `parse`.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NotRequired, TypeAlias

import pydantic_core
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    with_config,
)
from typing_extensions import TypedDict

from mindlytics_core import _model as model
from mindlytics_core.exceptions import InvalidArgument

QUEUE_PATH = "/bc/v1/events/queue"

CONVERSATION_STARTED = "Conversation Started"
CONVERSATION_ENDED = "Conversation Ended"
CONVERSATION_TURN = "Conversation Turn"
CONVERSATION_USAGE = "Conversation Usage"
CONVERSATION_FUNCTION = "Conversation Function"

Id: TypeAlias = Annotated[str, StringConstraints(min_length=1)]
Name: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=model.MAX_NAME_CHARS)]
Flat: TypeAlias = dict[str, str | bool | int | float]


class Common(TypedDict):
    """The fields of every event; one that is not set is left out, never null."""

    session_id: Id
    timestamp: NotRequired[Id]
    user_id: NotRequired[Id]
    device_id: NotRequired[Id]


@with_config(ConfigDict(extra="allow"))
class StartSession(Common):
    """A session starts; `id` is its user."""

    type: Literal["start_session"]
    id: NotRequired[Name]
    attributes: NotRequired[Flat]


@with_config(ConfigDict(extra="allow"))
class EndSession(Common):
    """A session ends."""

    type: Literal["end_session"]
    attributes: NotRequired[Flat]


@with_config(ConfigDict(extra="allow"))
class Identify(Common):
    """The session's user gets an id or traits."""

    type: Literal["identify"]
    id: NotRequired[Name]
    traits: NotRequired[Flat]


@with_config(ConfigDict(extra="allow"))
class Alias(Common):
    """Two ids are one user."""

    type: Literal["alias"]
    id: Name
    previous_id: Name


@with_config(ConfigDict(extra="allow"))
class Track(Common):
    """Everything else: custom events, and all that happens in a conversation."""

    type: Literal["track"]
    event: Name
    conversation_id: NotRequired[Id]
    properties: NotRequired[Flat]


#: What each conversation event must carry: any one of these groups of properties, with their types.
_NUMBER = (int, float)
_REQUIRED: dict[str, list[dict[str, type | tuple[type, ...]]]] = {
    CONVERSATION_STARTED: [{}],
    CONVERSATION_ENDED: [{}],
    CONVERSATION_TURN: [{"user": str, "assistant": str}],
    CONVERSATION_USAGE: [
        {"model": str, "prompt_tokens": _NUMBER, "completion_tokens": _NUMBER},
        {"cost": _NUMBER},
    ],
    CONVERSATION_FUNCTION: [{"name": str}],
}


def _complete(track: Track) -> Track:
    groups = _REQUIRED.get(track["event"])
    if groups is None:
        return track
    if "conversation_id" not in track:
        raise ValueError(f"'{track['event']}' needs a conversation_id")
    properties = track.get("properties", {})
    if not any(all(isinstance(properties.get(name), kind) for name, kind in group.items()) for group in groups):
        wanted = ", or ".join(" + ".join(group) for group in groups)
        raise ValueError(f"'{track['event']}' needs the properties {wanted}")
    return track


WireEvent: TypeAlias = StartSession | EndSession | Identify | Alias | Track


@functools.cache
def _checker() -> TypeAdapter[WireEvent]:
    """Built on first use: only a receiver needs it, and it takes milliseconds."""
    complete_track = Annotated[Track, AfterValidator(_complete)]
    return TypeAdapter(
        Annotated[StartSession | EndSession | Identify | Alias | complete_track, Field(discriminator="type")]
    )


def check(data: object) -> WireEvent:
    """
    Give one event back as the documented shape.

    Raises:
        InvalidArgument: What is wrong with it, naming the field and not repeating its value.
    """
    try:
        return _checker().validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        raise InvalidArgument(f"{where}: {first['msg']}" if where else first["msg"]) from None


def encode(event: model.Event) -> bytes:
    """Write one event as the JSON object that the service documents."""
    wire = to_wire(event)
    try:
        body = _json(wire)
    except pydantic_core.PydanticSerializationError:
        return _json(_repaired(wire))
    # A NUL is valid JSON, but stores of text (SQLite, PostgreSQL) refuse or cut it.
    return _json(_repaired(wire)) if b"\\u0000" in body else body


def write(data: Mapping[str, Any]) -> bytes:
    """
    Write any JSON object.

    Raises:
        InvalidArgument: It holds what JSON cannot.
    """
    try:
        return _json(_repaired(dict(data)))
    except pydantic_core.PydanticSerializationError:
        raise InvalidArgument("the data cannot be written as JSON") from None


def _json(wire: object) -> bytes:
    # What `before_send` put in may not be finite; as a bare NaN it would spoil the whole batch.
    return pydantic_core.to_json(wire, inf_nan_mode="strings")


def to_wire(event: model.Event) -> WireEvent:
    """Give one event as the dictionary that the service documents."""
    wire: dict[str, Any] = {"session_id": event.session_id, "timestamp": event.timestamp}
    if event.identity.user_id is not None:
        wire["user_id"] = event.identity.user_id
    if event.identity.device_id is not None:
        wire["device_id"] = event.identity.device_id
    _WRITERS[type(event)](wire, event)
    return wire  # type: ignore[return-value]  # each writer completes one member of the union


def _write_session_started(wire: dict[str, Any], event: model.SessionStarted) -> None:
    wire["type"] = "start_session"
    if event.identity.user_id is not None:
        wire["id"] = event.identity.user_id
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
    if isinstance(value, dict):
        return {_repaired(name): _repaired(item) for name, item in value.items()}
    return [_repaired(item) for item in value] if isinstance(value, list) else value
