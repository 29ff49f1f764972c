"""Responses: what a request says, what a response says, and a response put together from its events."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mindlytics_core import Message
from mindlytics_openai._body import forces_the_only_tool, ids_of, last_words
from mindlytics_openai._content import shown, told_apart
from mindlytics_openai._fields import as_list, as_text, read, text_or_none
from mindlytics_openai._surface import (
    ASSISTANT,
    NO_ANSWER,
    Answer,
    Question,
    Surface,
    ToolCall,
    ToolResult,
    Usage,
    asking_for,
)

#: Fields in which the calls of tools hold what they are called with.
_ARGS = ("arguments", "input", "action", "operation")
_IMAGE = "image_generation_call"
#: The model asks whether a tool of the server's may run, and the app answers.
_APPROVAL_ASKED = "mcp_approval_request"
_APPROVAL_GIVEN = "mcp_approval_response"
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
        calls=tuple(map(_call_id, _last_results(items))),
        ids=ids_of(body, text_or_none(conversation) or text_or_none(read(conversation, "id"))),
        model=text_or_none(body.get("model")),
        wants_call=forces_the_only_tool(body.get("tool_choice"), body.get("tools")),
        continues=text_or_none(body.get("previous_response_id")),
        is_background=bool(body.get("background")),
    )


def answer(response: Any) -> Answer:
    """What a response says."""
    given = read(response, "output")
    output = as_list(given)
    status = read(response, "status")
    error = f"Response{as_text(status).title()}" if status in _FAILED else None
    return Answer(
        id=text_or_none(read(response, "id")),
        text="".join(_said(item) for item in output),
        model=text_or_none(read(response, "model")),
        usage=_usage(read(response, "usage")),
        calls=tuple(_calls(output)),
        is_complete=status not in _PENDING,
        is_pending=status in _PENDING,
        error=error or (NO_ANSWER if given is None else None),
    )


class Events:
    """Puts a response together from its events."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._model: str | None = None
        self._id: str | None = None
        self._whole: Answer | None = None
        self._error: str | None = None

    def add(self, part: Any) -> bool:
        """Take one event in; say whether the user sees something by it."""
        kind = getattr(part, "type", None)
        if kind in _TEXT_EVENTS:
            self._texts.append(as_text(getattr(part, "delta", None)))
            return True
        if kind in _LAST_EVENTS:
            self._whole = answer(getattr(part, "response", None))
        elif kind == "error":
            self._error = "ResponseError"
        elif kind == "response.created":
            begun = getattr(part, "response", None)
            self._model, self._id = text_or_none(read(begun, "model")), text_or_none(read(begun, "id"))
        return False

    def answer(self) -> Answer:
        """What has come so far."""
        if self._whole is not None:
            return self._whole
        return Answer("".join(self._texts), self._model, id=self._id, is_complete=False, error=self._error)


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
        role = read(item, "role")
        if role == ASSISTANT or read(item, "type") == _IMAGE:
            texts.append(_said(item))
        elif _is_call(item):
            calls.append(_call(item))
        elif _is_result(item):
            yield from said()
            yield Message("tool", f"{_call_id(item)}\0{_result(item)}")
        elif role is not None:
            yield from said()
            yield Message(as_text(role), told_apart(read(item, "content")))
    yield from said()


def _said(item: Any) -> str:
    if read(item, "type") == _IMAGE:
        return shown([item])
    content = read(item, "content") if read(item, "role") == ASSISTANT else None
    return content if isinstance(content, str) else "".join(shown([part]) for part in as_list(content))


def _is_call(item: Any) -> bool:
    """Whether it asks the app for something; what the server runs by itself has no id to answer to."""
    kind = as_text(read(item, "type"))
    return kind == _APPROVAL_ASKED or (kind.endswith("_call") and read(item, "call_id") is not None)


def _is_result(item: Any) -> bool:
    kind = as_text(read(item, "type"))
    return kind == _APPROVAL_GIVEN or kind.endswith("_call_output")


def _call_id(item: Any) -> str:
    """What a call and its result have in common."""
    if read(item, "type") == _APPROVAL_ASKED:
        return as_text(read(item, "id"))
    return as_text(read(item, "call_id") or read(item, "approval_request_id"))


def _calls(items: Sequence[Any]) -> Iterator[ToolCall]:
    """The calls that wait for a result: of some tools the server brings it at once."""
    results = {_call_id(item) for item in items if _is_result(item)}
    return (_call(item) for item in items if _is_call(item) and _call_id(item) not in results)


def _call(item: Any) -> ToolCall:
    name = read(item, "name") or read(item, "type").removesuffix("_call")
    args = next(filter(None, (read(item, field) for field in _ARGS)), None)
    return ToolCall(_call_id(item), as_text(name), as_text(args))


def _last_results(items: Sequence[Any]) -> list[Any]:
    """What the input brings at its end for the model's last questions."""
    results = []
    for item in reversed(items):
        if read(item, "role") == ASSISTANT or _is_call(item):
            break
        if _is_result(item):
            results.append(item)
    return results[::-1]


def _results(items: Sequence[Any]) -> Iterator[ToolResult]:
    """The results of tools among these; that a tool of the server's may run is none."""
    results = [item for item in _last_results(items) if read(item, "type") != _APPROVAL_GIVEN]
    calls = {call.id: call for call in map(_call, filter(_is_call, items))} if results else {}
    for item in results:
        call_id = _call_id(item)
        yield ToolResult(call_id, calls.get(call_id), _result(item))


def _result(item: Any) -> str:
    output = read(item, "approve") if read(item, "type") == _APPROVAL_GIVEN else read(item, "output")
    if isinstance(output, list | tuple):
        return shown(output)
    # A screenshot, for one.
    return as_text(output) if read(output, "type") is None else shown([output])


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
