"""Responses: what a request says, what a response says, and a response put together from its events."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mindlytics_core import Message
from mindlytics_openai._body import forces_the_only_tool, ids_of, last_words
from mindlytics_openai._content import shown, told_apart
from mindlytics_openai._fields import as_list, as_text, read, text_or_none
from mindlytics_openai._surface import ASSISTANT, Answer, Question, Surface, ToolCall, ToolResult, Usage, asking_for

_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_RESULTS = {"function_call_output", "custom_tool_call_output"}
_TEXT_EVENTS = {"response.output_text.delta", "response.refusal.delta"}
_LAST_EVENTS = {"response.completed", "response.incomplete", "response.failed"}
_PENDING = {"queued", "in_progress"}
_FAILED = {"failed", "cancelled"}


def question(body: Mapping[str, Any]) -> Question:
    """What a request says."""
    given = body.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else as_list(given)
    instructions = body.get("instructions")
    system = (Message("system", instructions),) if isinstance(instructions, str) else ()
    conversation = body.get("conversation")
    return Question(
        messages=(*system, *_messages(items)),
        user=last_words(items),
        results=tuple(_results(items)),
        ids=ids_of(body, text_or_none(conversation) or text_or_none(read(conversation, "id"))),
        model=text_or_none(body.get("model")),
        wants_call=forces_the_only_tool(body.get("tool_choice"), as_list(body.get("tools"))),
        continues=text_or_none(body.get("previous_response_id")),
        is_background=bool(body.get("background")),
    )


def answer(response: Any) -> Answer:
    """What a response says."""
    output = as_list(read(response, "output"))
    status = read(response, "status")
    return Answer(
        id=text_or_none(read(response, "id")),
        text="".join(_said(item) for item in output),
        model=text_or_none(read(response, "model")),
        usage=_usage(read(response, "usage")),
        calls=tuple(_calls(output)),
        is_complete=status not in _PENDING,
        is_pending=status in _PENDING,
        error=f"Response{as_text(status).title()}" if status in _FAILED else None,
    )


class Events:
    """Puts a response together from its events."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._model: str | None = None
        self._id: str | None = None
        self._whole: Answer | None = None

    def add(self, part: Any) -> bool:
        """Take one event in; say whether the user sees something by it."""
        kind = getattr(part, "type", None)
        if kind in _TEXT_EVENTS:
            self._texts.append(as_text(getattr(part, "delta", None)))
            return True
        if kind in _LAST_EVENTS:
            self._whole = answer(getattr(part, "response", None))
        elif kind == "response.created":
            begun = getattr(part, "response", None)
            self._model, self._id = text_or_none(read(begun, "model")), text_or_none(read(begun, "id"))
        return False

    def answer(self) -> Answer:
        """What has come so far."""
        return self._whole or Answer("".join(self._texts), self._model, id=self._id, is_complete=False)


def _messages(items: Sequence[Any]) -> Iterator[Message]:
    """The input as messages; what the assistant said in one response may be several items, and is one message."""
    texts: list[str] = []
    calls: list[ToolCall] = []

    def said() -> Iterator[Message]:
        if calls:
            yield asking_for(calls)
        elif texts:
            yield Message(ASSISTANT, "".join(texts))
        texts.clear()
        calls.clear()

    for item in items:
        kind, role = read(item, "type"), read(item, "role")
        if role == ASSISTANT:
            texts.append(_said(item))
        elif kind in _CALLS:
            calls.extend(_calls([item]))
        elif kind in _RESULTS:
            yield from said()
            yield Message("tool", f"{read(item, 'call_id')}\0{_result(item)}")
        elif role is not None:
            yield from said()
            yield Message(as_text(role), told_apart(read(item, "content")))
    yield from said()


def _said(item: Any) -> str:
    content = read(item, "content") if read(item, "role") == ASSISTANT else None
    return content if isinstance(content, str) else "".join(shown([part]) for part in as_list(content))


def _calls(items: Sequence[Any]) -> Iterator[ToolCall]:
    for item in items:
        field = _CALLS.get(read(item, "type"))
        if field is not None:
            yield ToolCall(as_text(read(item, "call_id")), as_text(read(item, "name")), as_text(read(item, field)))


def _results(items: Sequence[Any]) -> Iterator[ToolResult]:
    """The results at the end of the input."""
    calls = {call.id: call for call in _calls(items)}
    last_words = max((at for at, item in enumerate(items) if read(item, "role") == ASSISTANT), default=-1)
    last_call = max((at for at, item in enumerate(items) if read(item, "type") in _CALLS), default=-1)
    for item in items[max(last_words, last_call) + 1 :]:
        if read(item, "type") in _RESULTS:
            call_id = as_text(read(item, "call_id"))
            yield ToolResult(call_id, calls.get(call_id), _result(item))


def _result(item: Any) -> str:
    output = read(item, "output")
    return shown(output) if isinstance(output, list | tuple) else as_text(output)


def _usage(reported: Any) -> Usage | None:
    if reported is None:
        return None
    return Usage(
        prompt=read(reported, "input_tokens"),
        completion=read(reported, "output_tokens"),
        cached=read(read(reported, "input_tokens_details"), "cached_tokens"),
        reasoning=read(read(reported, "output_tokens_details"), "reasoning_tokens"),
    )


RESPONSES = Surface(question, answer, Events)
