"""What was recorded, as an app's test wants to see it: turns and conversations, read from events. No I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_FUNCTION = "Conversation Function"
_TURN = "Conversation Turn"
_STARTED = "Conversation Started"
_ENDED = "Conversation Ended"
#: Properties of a turn that have a field of their own.
_TURN_FIELDS = ("user", "assistant", "assistant_id", "model", "prompt_tokens", "completion_tokens")


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """
    One tool run inside a turn.

    Attributes:
        name: The tool.

        args: Its arguments, as JSON text.

        result: What it gave back, as text.

        error: The class of what it raised.
    """

    name: str
    args: str | None = None
    result: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """
    One turn.

    Attributes:
        user: What the user said.

        assistant: What the assistant answered.

        assistant_id: Which assistant it was.

        model: The model that answered.

        prompt_tokens: Tokens read.

        completion_tokens: Tokens written.

        functions: The tools that ran for it, in order.

        conversation_id: Its conversation.

        session_id: Its session.

        user_id: The app's own id of the user, if it was known by then.

        device_id: The device's id, likewise.

        properties: Whatever else was recorded with it, such as `latency_ms` or `interrupted`.
    """

    user: str
    assistant: str
    assistant_id: str | None
    model: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    functions: tuple[FunctionCall, ...]
    conversation_id: str
    session_id: str
    user_id: str | None
    device_id: str | None
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Conversation:
    """
    One conversation.

    Attributes:
        conversation_id: Its id.

        session_id: Its session.

        turns: Its turns, in order.

        is_ended: Whether it was ended, so that the service would analyse it.

        properties: What was sent with its start and its end.
    """

    conversation_id: str
    session_id: str
    turns: tuple[Turn, ...]
    is_ended: bool
    properties: Mapping[str, Any]


@dataclass(slots=True)
class _Thread:
    session_id: str
    turns: list[Turn] = field(default_factory=list)
    #: Tools that have run since the last turn.
    functions: list[FunctionCall] = field(default_factory=list)
    is_ended: bool = False
    properties: dict[str, Any] = field(default_factory=dict)


def conversations(events: Iterable[Mapping[str, Any]]) -> list[Conversation]:
    """
    The conversations in the order in which they began.

    Args:
        events: Events as they were on the wire, in the order of arrival.
    """
    threads: dict[str, _Thread] = {}
    for event in events:
        conversation_id = event.get("conversation_id")
        if conversation_id is not None:
            _add(threads.setdefault(conversation_id, _Thread(event["session_id"])), event)
    return [
        Conversation(conversation_id, thread.session_id, tuple(thread.turns), thread.is_ended, thread.properties)
        for conversation_id, thread in threads.items()
    ]


def _add(thread: _Thread, event: Mapping[str, Any]) -> None:
    properties, kind = event.get("properties") or {}, event.get("event")
    if kind == _FUNCTION:
        thread.functions.append(_function_call(properties))
    elif kind == _TURN:
        thread.turns.append(_turn(event, properties, tuple(thread.functions)))
        thread.functions.clear()
    elif kind in {_STARTED, _ENDED}:
        thread.is_ended = kind == _ENDED
        thread.properties |= properties


def _function_call(properties: Mapping[str, Any]) -> FunctionCall:
    args, result, error = (properties.get(name) for name in ("args", "result", "error"))
    return FunctionCall(properties["name"], args, result, error)


def _turn(event: Mapping[str, Any], properties: Mapping[str, Any], functions: tuple[FunctionCall, ...]) -> Turn:
    fields: dict[str, Any] = {name: properties.get(name) for name in _TURN_FIELDS}
    return Turn(
        **fields,
        functions=functions,
        conversation_id=event["conversation_id"],
        session_id=event["session_id"],
        user_id=event.get("user_id"),
        device_id=event.get("device_id"),
        properties={name: value for name, value in properties.items() if name not in _TURN_FIELDS},
    )
