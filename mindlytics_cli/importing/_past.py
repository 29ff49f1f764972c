"""A conversation of the past, whatever file it stood in, and the events that tell the service of it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

Wire = dict[str, Any]
Scalars = Mapping[str, str | bool | int | float]


class Unreadable(ValueError):
    """A record is not what its format says; the text tells a person what is wrong, without repeating words of it."""


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """
    One tool run.

    Attributes:
        name: The tool.

        args: Its arguments, as JSON text.

        result: What it gave back.

        at: When; None if the file does not say.

        details: More of the event's properties.
    """

    name: str
    args: str | None = None
    result: str | None = None
    at: datetime | None = None
    details: Scalars = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """
    What was said.

    Attributes:
        user: The user's words.

        assistant: The answer; None when there was none.

        at: When it was answered; None if the file does not say.

        functions: The tools that ran for it.

        details: More of the event's properties: usage, the assistant's id, the app's own.
    """

    user: str
    assistant: str | None
    at: datetime | None = None
    functions: tuple[FunctionCall, ...] = ()
    details: Scalars = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Conversation:
    """
    One conversation, alone in its session unless the file names that.

    Attributes:
        turns: What was said, oldest first.

        conversation_id: Its id; None to have one made.

        session_id: Its session; None to have one made.

        user_id: Whose it is.

        device_id: The device, for users who are not known.

        started: When it began; None if the file does not say.

        ended: When it ended, likewise.

        attributes: Scalars kept with the session.

        properties: Scalars kept with the conversation.
    """

    turns: tuple[Turn, ...]
    conversation_id: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    device_id: str | None = None
    started: datetime | None = None
    ended: datetime | None = None
    attributes: Scalars = field(default_factory=dict)
    properties: Scalars = field(default_factory=dict)


def wire(past: Conversation, *, name: str, undated: datetime, source: str) -> list[Wire]:
    """
    The events that tell of a conversation, in the form that the service documents.

    Args:
        past: The conversation.

        name: Stands for its id where it has none; the same for the same record of the same file.

        undated: The time of what has none.

        source: The format, kept with the session as `imported_from`.
    """
    past = _dated(past, undated)
    conversation_id = past.conversation_id or name
    session_id = past.session_id or conversation_id
    # Nobody known: the session is its own anonymous device.
    device_id = past.device_id or (None if past.user_id else session_id)
    common = {"session_id": session_id, "user_id": past.user_id, "device_id": device_id}
    start = {"type": "start_session", "timestamp": past.started, "id": past.user_id}
    told: list[Wire] = [start | {"attributes": {"imported_from": source, **past.attributes}}]
    told.append(_track("Conversation Started", past.started, conversation_id, past.properties))
    for turn in past.turns:
        told.extend(_told_of(turn, conversation_id))
    told.append(_track("Conversation Ended", past.ended, conversation_id, {}))
    told.append({"type": "end_session", "timestamp": past.ended})
    return [_written(common | event) for event in told]


def _told_of(turn: Turn, conversation_id: str) -> Iterator[Wire]:
    for call in turn.functions:
        own = {"name": call.name, "args": call.args, "result": call.result}
        known = {name: value for name, value in own.items() if value is not None}
        yield _track("Conversation Function", call.at, conversation_id, {**call.details, **known})
    if turn.assistant is None:
        # No turn: a question that got no answer.
        failed = {**turn.details, "user": turn.user, "error": "NoAnswer"}
        yield _track("Turn Failed", turn.at, conversation_id, failed)
        return
    said = {"user": turn.user, "assistant": turn.assistant}
    yield _track("Conversation Turn", turn.at, conversation_id, {**turn.details, **said})


def _track(event: str, at: datetime | None, conversation_id: str, properties: Scalars) -> Wire:
    track: Wire = {"type": "track", "event": event, "timestamp": at, "conversation_id": conversation_id}
    return track | ({"properties": dict(properties)} if properties else {})


def _written(event: Wire) -> Wire:
    timestamp: datetime = event["timestamp"]
    kept = {name: value for name, value in event.items() if value is not None}
    return kept | {"timestamp": timestamp.astimezone(UTC).isoformat(timespec="microseconds")}


def _dated(past: Conversation, undated: datetime) -> Conversation:
    """Give what has no time that of what stands before it."""
    known = [at for turn in past.turns for at in (*(call.at for call in turn.functions), turn.at) if at is not None]
    at = started = past.started or min([*known, *([past.ended] if past.ended else [])], default=undated)
    turns: list[Turn] = []
    for turn in past.turns:
        calls: list[FunctionCall] = []
        for call in turn.functions:
            at = call.at or at
            calls.append(replace(call, at=at))
        at = turn.at or at
        turns.append(replace(turn, at=at, functions=tuple(calls)))
    ended = past.ended or max([started, at, *known])
    return replace(past, turns=tuple(turns), started=started, ended=ended)


def as_text(value: Any) -> str | None:
    """
    What the service keeps of a tool's arguments or result: text as it is, everything else as JSON.

    Args:
        value: The arguments or the result; None for none.
    """
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
