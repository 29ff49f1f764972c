"""Chat messages become turns: what users said and what they were finally answered, with the tools in between."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from mindlytics_cli.importing._past import FunctionCall, Scalars, Turn

USER, ASSISTANT, TOOL = "user", "assistant", "tool"


@dataclass(frozen=True, slots=True)
class Message:
    """
    One message that counts; what a system or developer prompt says, nobody said.

    Attributes:
        role: `user`, `assistant` or `tool`.

        text: Its words.

        at: When, if the file says.

        calls: Tools that an assistant asks for, by the ids of the calls.

        call_id: The call that a tool answers.

        name: The tool that answers.

        details: More of the turn's properties, such as the usage.
    """

    role: str
    text: str
    at: datetime | None = None
    calls: Mapping[str, FunctionCall] = field(default_factory=dict)
    call_id: str | None = None
    name: str | None = None
    details: Scalars = field(default_factory=dict)


def turns(messages: Iterable[Message]) -> tuple[Turn, ...]:
    """
    The turns of a conversation.

    Args:
        messages: Its messages, oldest first.
    """
    made: list[Turn] = []
    exchange: list[Message] = []
    for message in messages:
        # Several messages of a user in a row are one question.
        if message.role == USER and any(before.role != USER for before in exchange):
            made.append(_turn(exchange))
            exchange = []
        exchange.append(message)
    return tuple([*made, _turn(exchange)] if exchange else made)


def _turn(exchange: Sequence[Message]) -> Turn:
    asked = [message for message in exchange if message.role == USER]
    spoken = [message for message in exchange if message.role == ASSISTANT]
    # What a model says beside its tool calls is the answer only if nothing else is.
    answers = [message for message in spoken if not message.calls and message.text]
    answers = answers or [message for message in spoken if message.text]
    # An answer of nothing is still an answer.
    answered = answers or [message for message in spoken if not message.calls]
    details: dict[str, str | bool | int | float] = {}
    for message in spoken:
        details.update(message.details)
    return Turn(
        user=_joined(asked),
        assistant=_joined(answers) if answered else None,
        at=next((message.at for message in reversed(exchange) if message.at is not None), None),
        functions=_functions(exchange),
        details=details,
    )


def _joined(messages: Sequence[Message]) -> str:
    return "\n\n".join(message.text for message in messages if message.text)


def _functions(exchange: Sequence[Message]) -> tuple[FunctionCall, ...]:
    """Each call with its result; a result without a call is one too."""
    calls: dict[str, FunctionCall] = {}
    for number, message in enumerate(exchange):
        calls |= {key: replace(call, at=call.at or message.at) for key, call in message.calls.items()}
        if message.role == TOOL:
            key = _asked_by(message, calls) or f"result {number}"
            call = calls.get(key) or FunctionCall(message.name or "tool")
            calls[key] = replace(call, result=message.text, at=message.at or call.at)
    return tuple(calls.values())


def _asked_by(message: Message, calls: Mapping[str, FunctionCall]) -> str | None:
    if message.call_id is not None:
        return message.call_id if message.call_id in calls else None
    open_calls = (key for key, call in calls.items() if call.result is None and message.name in {None, call.name})
    return next(open_calls, None)
