"""The facts that cross every seam: who, what was said, what it cost. Frozen; nothing downstream edits them."""

import sys
from collections.abc import Mapping
from typing import Any, Self, TypeAlias

import msgspec

from mindlytics_core.exceptions import InvalidArgument

Scalar: TypeAlias = str | bool | int | float
#: What the service takes as properties, attributes and traits: one flat level of scalars.
Properties: TypeAlias = Mapping[str, Scalar]

#: The service's limit for ids and event names, in characters (API document, `id` and `event`).
MAX_NAME_CHARS = 100
#: The event in place of a turn when an exchange failed.
TURN_FAILED = "Turn Failed"
#: The event in place of a turn that another process may still complete.
TURN_SUSPENDED = "Turn Suspended"


class Identity(msgspec.Struct, frozen=True):
    """
    Who an event belongs to.

    Attributes:
        user_id: The app's own id of a known user.

        device_id: The id of a device, for users who are not known.
    """

    user_id: str | None = None
    device_id: str | None = None

    def __bool__(self) -> bool:
        return self.user_id is not None or self.device_id is not None


class TokenBasedCost(msgspec.Struct, frozen=True):
    """
    What a model call used, counted in tokens.

    Attributes:
        model: Name of the model that answered, 1 to 100 characters.

        prompt_tokens: Tokens read.

        completion_tokens: Tokens written.
    """

    model: str
    prompt_tokens: int
    completion_tokens: int

    def __post_init__(self) -> None:
        check_name("model", self.model)
        check_count("prompt_tokens", self.prompt_tokens)
        check_count("completion_tokens", self.completion_tokens)

    def properties(self) -> dict[str, Scalar]:
        """The names that the service knows these figures by."""
        return {
            "model": self.model,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
        }


class Cost(msgspec.Struct, frozen=True):
    """
    What a model call cost, where the price is known.

    Attributes:
        cost: The price, in the currency that the project uses.
    """

    cost: float

    def __post_init__(self) -> None:
        check_count("cost", self.cost)

    def properties(self) -> dict[str, Scalar]:
        """The name that the service knows this figure by."""
        return {"cost": self.cost}


Usage: TypeAlias = TokenBasedCost | Cost


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """
    What every event says.

    Attributes:
        session_id: The session it belongs to.

        timestamp: When it happened, as ISO 8601 text with an offset.

        identity: Who it belongs to; may be empty once the session is known to the service.
    """

    session_id: str
    timestamp: str
    identity: Identity = Identity()

    def replace(self, **changes: Any) -> Self:
        """
        Give a copy with other values, for `before_send` to send.

        Args:
            changes: The fields that change, by name.
        """
        return msgspec.structs.replace(self, **changes)


class SessionStarted(Event, frozen=True, kw_only=True):
    """A user or device begins a visit."""

    attributes: Properties = msgspec.field(default_factory=dict)


class SessionEnded(Event, frozen=True, kw_only=True):
    """The visit is over; the service ends the conversations that are still open in it."""

    attributes: Properties = msgspec.field(default_factory=dict)


class UserIdentified(Event, frozen=True, kw_only=True):
    """The session's user turns out to be `id`, or gets traits."""

    id: str | None = None
    device_id: str | None = None
    traits: Properties = msgspec.field(default_factory=dict)


class UserAliased(Event, frozen=True, kw_only=True):
    """`id` and `previous_id` are the same user; `id` becomes the primary one."""

    id: str
    previous_id: str


class Tracked(Event, frozen=True, kw_only=True):
    """An event with a name of the app's own choice."""

    name: str
    conversation_id: str | None = None
    properties: Properties = msgspec.field(default_factory=dict)


class ConversationEvent(Event, frozen=True, kw_only=True):
    """What every event inside a conversation says."""

    conversation_id: str
    properties: Properties = msgspec.field(default_factory=dict)


class ConversationStarted(ConversationEvent, frozen=True, kw_only=True):
    """A thread of turns begins."""


class ConversationEnded(ConversationEvent, frozen=True, kw_only=True):
    """A thread of turns is over; only now the service analyses it."""


class Turn(ConversationEvent, frozen=True, kw_only=True):
    """What the user said and what the assistant finally answered."""

    user: str
    assistant: str
    assistant_id: str | None = None
    usage: Usage | None = None


class UsageReported(ConversationEvent, frozen=True, kw_only=True):
    """Model usage that belongs to the conversation but to no turn's final answer."""

    usage: Usage


class FunctionCalled(ConversationEvent, frozen=True, kw_only=True):
    """
    One tool run.

    Attributes:
        name: Name of the tool.

        args: Its arguments, as JSON text.

        result: What it gave back, as text.

        runtime: How long it took, in whole milliseconds.
    """

    name: str
    args: str | None = None
    result: str | None = None
    runtime: int | None = None


def check_name(what: str, value: object) -> str:
    """Give `value` back if it is a text of 1 to 100 characters; raise `InvalidArgument` otherwise."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME_CHARS:
        raise InvalidArgument(f"{what} must be a text of 1 to {MAX_NAME_CHARS} characters, not {_shown(value)}")
    return value


def check_text(what: str, value: object) -> str:
    """Give `value` back if it is a text; raise `InvalidArgument` otherwise."""
    if not isinstance(value, str):
        raise InvalidArgument(f"{what} must be a text, not {_shown(value)}")
    return value


def check_count(what: str, value: object) -> None:
    """Raise `InvalidArgument` unless `value` is a number that is finite and not negative."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= sys.float_info.max:
        raise InvalidArgument(f"{what} must be a number of at least 0, not {_shown(value)}")


def check_properties(what: str, value: object) -> dict[str, Scalar]:
    """Give a copy of `value` back if it is one flat level of scalars; raise `InvalidArgument` otherwise."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidArgument(f"{what} must be a mapping of names to values, not {_shown(value)}")
    for name, item in value.items():
        if not isinstance(name, str):
            raise InvalidArgument(f"{what}: every name must be a text, not {_shown(name)}")
        if not isinstance(item, str | int | float) or not _is_finite(item):
            raise InvalidArgument(f"{what}[{name!r}] must be a text, a boolean or a finite number, not {_shown(item)}")
    return dict(value)


def _is_finite(value: Scalar) -> bool:
    # Also a whole number that no receiver could hold as a number.
    return isinstance(value, str) or abs(value) <= sys.float_info.max


def _shown(value: object) -> str:
    """Name a wrong value without repeating what it holds: it may be somebody's words."""
    if value is None or value == "":
        return repr(value)
    size = f" of {len(value)} characters" if isinstance(value, str) else ""
    # A number of thousands of digits would be refused by repr itself.
    shown = isinstance(value, int | float) and (isinstance(value, float) or abs(value) < 2**64)
    return repr(value) if shown else f"a {type(value).__name__}{size}"
