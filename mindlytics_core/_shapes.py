"""What a receiver checks: the shapes of the documented JSON that `_wire.encode` writes."""

import functools
from typing import Annotated, Literal, NotRequired, TypeAlias

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
from mindlytics_core._wire import (
    CONVERSATION_ENDED,
    CONVERSATION_FUNCTION,
    CONVERSATION_STARTED,
    CONVERSATION_TURN,
    CONVERSATION_USAGE,
)
from mindlytics_core.exceptions import InvalidArgument

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
