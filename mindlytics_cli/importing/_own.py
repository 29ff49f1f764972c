"""The project's own format: one conversation with its turns per record. Strict, so that no typing error loses words."""

import functools
from typing import Annotated, Any

from pydantic import ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from mindlytics_cli.importing import _past
from mindlytics_cli.importing._past import Conversation, Unreadable
from mindlytics_cli.importing._times import moment

_CLOSED = ConfigDict(extra="forbid")

_Scalars = dict[str, StrictStr | StrictBool | StrictInt | StrictFloat]
_Time = str | int | float | None
_Text = Annotated[str, Field(min_length=1)]
_Count = Annotated[int, Field(ge=0)]


@dataclass(config=_CLOSED)
class _Usage:
    model: _Text | None = None
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    cost: Annotated[float, Field(ge=0)] | None = None


@dataclass(config=_CLOSED)
class _Function:
    name: _Text
    args: str | dict[str, Any] | list[Any] | None = None
    result: Any = None
    runtime: _Count | None = None
    timestamp: _Time = None
    properties: _Scalars = Field(default_factory=dict)


@dataclass(config=_CLOSED)
class _Turn:
    user: str
    assistant: str | None = None
    timestamp: _Time = None
    assistant_id: str | None = None
    usage: _Usage | None = None
    functions: list[_Function] = Field(default_factory=list)
    properties: _Scalars = Field(default_factory=dict)


@dataclass(config=_CLOSED)
class _Conversation:
    turns: Annotated[list[_Turn], Field(min_length=1)]
    conversation_id: _Text | None = None
    session_id: _Text | None = None
    user_id: _Text | None = None
    device_id: _Text | None = None
    started_at: _Time = None
    ended_at: _Time = None
    attributes: _Scalars = Field(default_factory=dict)
    properties: _Scalars = Field(default_factory=dict)


@functools.cache
def _checker() -> TypeAdapter[_Conversation]:
    return TypeAdapter(_Conversation)


def fits(record: dict[str, Any]) -> bool:
    """
    Whether a record means to be of this format.

    Args:
        record: The record.
    """
    return "turns" in record


def read(record: dict[str, Any]) -> Conversation:
    """
    Read one record.

    Args:
        record: The record.

    Raises:
        Unreadable: A field is missing, unknown or of the wrong kind.
    """
    try:
        found = _checker().validate_python(record)
    except ValidationError as error:
        raise Unreadable(_explained(error)) from None
    return Conversation(
        turns=tuple(_turn(turn, f"turns.{index}") for index, turn in enumerate(found.turns)),
        conversation_id=found.conversation_id,
        session_id=found.session_id,
        user_id=found.user_id,
        device_id=found.device_id,
        started=moment(found.started_at, "started_at"),
        ended=moment(found.ended_at, "ended_at"),
        attributes=found.attributes,
        properties=found.properties,
    )


def _turn(turn: _Turn, where: str) -> _past.Turn:
    usage = {} if turn.usage is None else vars(turn.usage)
    extra = {"assistant_id": turn.assistant_id, **{name: usage.get(name) for name in _Usage.__dataclass_fields__}}
    return _past.Turn(
        user=turn.user,
        assistant=turn.assistant,
        at=moment(turn.timestamp, f"{where}.timestamp"),
        functions=tuple(_function(call, f"{where}.functions.{i}") for i, call in enumerate(turn.functions)),
        details={**turn.properties, **{name: value for name, value in extra.items() if value is not None}},
    )


def _function(call: _Function, where: str) -> _past.FunctionCall:
    runtime = {} if call.runtime is None else {"runtime": call.runtime}
    return _past.FunctionCall(
        name=call.name,
        args=_past.as_text(call.args),
        result=_past.as_text(call.result),
        at=moment(call.timestamp, f"{where}.timestamp"),
        details={**call.properties, **runtime},
    )


def _explained(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"] if not str(part).endswith("]"))
    what = {"missing": "is missing", "unexpected_keyword_argument": "is no field of this format"}
    return f"{where}: {what.get(first['type'], first['msg'])}"
