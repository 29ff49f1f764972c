"""Chat completions: what a request says, what an answer says, and an answer put together from chunks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mindlytics_core import Message
from mindlytics_openai._body import choices_of, forces_the_only_tool, ids_of, last_words
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

_RESULT_ROLES = {"tool", "function"}


def question(body: Mapping[str, Any]) -> Question:
    """What a request says."""
    messages = as_list(body.get("messages"))
    results = _results(messages)
    return Question(
        messages=tuple(map(_message, messages)),
        user=last_words(messages),
        results=results,
        calls=tuple([result.call_id for result in results]),
        ids=ids_of(body),
        model=text_or_none(body.get("model")),
        choices=choices_of(body),
        wants_call=forces_the_only_tool(
            body.get("tool_choice") or body.get("function_call"), body.get("tools") or body.get("functions")
        ),
    )


def answer(completion: Any) -> Answer:
    """What a completion says; of several choices the first."""
    choices = as_list(read(completion, "choices"))
    message = read(choices[0], "message") if choices else None
    return Answer(
        text=_answer_text(message),
        model=text_or_none(read(completion, "model")),
        usage=usage(read(completion, "usage")),
        calls=tuple(_calls(message)),
        error=None if choices else NO_ANSWER,
    )


def usage(reported: Any) -> Usage | None:
    """Usage as chat completions and legacy completions report it."""
    if reported is None:
        return None
    read_details, written_details = read(reported, "prompt_tokens_details"), read(reported, "completion_tokens_details")
    return Usage(
        prompt=read(reported, "prompt_tokens"),
        completion=read(reported, "completion_tokens"),
        cached=read(read_details, "cached_tokens") if read_details else None,
        reasoning=read(written_details, "reasoning_tokens") if written_details else None,
    )


class Chunks:
    """Puts the first choice together from chunks; the chunks of several choices come interleaved."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._calls: list[list[str]] = []
        #: The call that is being told, by its index.
        self._told: dict[int, list[str]] = {}
        self._model: str | None = None
        self._usage: Any = None
        self._is_complete = False

    def add(self, part: Any) -> bool:
        """Take one chunk in; say whether the user sees something by it."""
        if self._model is None:
            self._model = text_or_none(getattr(part, "model", None))
        reported = getattr(part, "usage", None)
        if reported is not None:
            self._usage = reported
        has_text = False
        for choice in getattr(part, "choices", None) or ():
            if getattr(choice, "index", None):
                continue
            if getattr(choice, "finish_reason", None):
                self._is_complete = True
            delta = getattr(choice, "delta", None)
            text = getattr(delta, "content", None) or getattr(delta, "refusal", None)
            if type(text) is str and text:
                self._texts.append(text)
                has_text = True
                # The call is dear where each chunk is a word, and a word is all that most of them bring.
                if not getattr(delta, "tool_calls", None):
                    continue
            has_text = self._add_rest(delta, text) or has_text
        return has_text

    def answer(self) -> Answer:
        """What has come so far."""
        return Answer(
            text="".join(self._texts),
            model=self._model,
            usage=usage(self._usage),
            calls=tuple(ToolCall(*call) for call in self._calls if call[0] or call[1]),
            is_complete=self._is_complete,
        )

    def _add_rest(self, delta: Any, content: Any) -> bool:
        """Take in what is no plain text; say whether the user sees something by it."""
        calls = getattr(delta, "tool_calls", None)
        for call in calls or ():
            self._add_call(
                read(call, "index") or 0, as_text(read(call, "id")), read(call, "function") or read(call, "custom")
            )
        if function := getattr(delta, "function_call", None):
            self._add_call(0, "", function)
        if calls or function or delta is None or type(content) is str:
            return False
        # Some servers send content in parts, as they take it.
        text = shown(content) or as_text(read(getattr(delta, "audio", None), "transcript"))
        if text:
            self._texts.append(text)
        return bool(text)

    def _add_call(self, index: int, call_id: str, function: Any) -> None:
        call = self._told.get(index)
        # Some servers tell every call under the index of the first.
        if call is None or (call_id and call[0] and call_id != call[0]):
            call = self._told[index] = ["", "", ""]
            self._calls.append(call)
        call[0] = call[0] or call_id
        call[1] += as_text(read(function, "name"))
        call[2] += as_text(read(function, "arguments") or read(function, "input"))


def _message(message: Any) -> Message:
    role = _role(message)
    if role == ASSISTANT:
        calls = tuple(_calls(message))
        return asking_for(calls) if calls else Message(role, _answer_text(message))
    content = read(message, "content")
    if type(content) is not str:
        content = told_apart(content)
    who = read(message, "name") or read(message, "tool_call_id")
    return Message(role, f"{as_text(who)}\0{content}" if who else content)


def _role(message: Any) -> str:
    role = read(message, "role")
    return role if type(role) is str else as_text(role)


def _answer_text(message: Any) -> str:
    content = read(message, "content")
    # Parts of an answer are one text, as they are when they come in chunks.
    text = content if type(content) is str else "".join(shown([part]) for part in as_list(content))
    text = text or as_text(read(message, "refusal"))
    if text:
        return text
    audio = read(message, "audio")
    return as_text(read(audio, "transcript")) or "[audio]" if audio else ""


def _calls(message: Any) -> Iterator[ToolCall]:
    for call in as_list(read(message, "tool_calls")):
        function = read(call, "function") or read(call, "custom")
        told = ToolCall(as_text(read(call, "id")), *_name_and_args(function))
        # Some servers write an empty call where there is none.
        if told.id or told.name:
            yield told
    if function := read(message, "function_call"):
        yield ToolCall("", *_name_and_args(function))


def _name_and_args(function: Any) -> tuple[str, str]:
    return as_text(read(function, "name")), as_text(read(function, "arguments") or read(function, "input"))


def _results(messages: Sequence[Any]) -> tuple[ToolResult, ...]:
    """The results that follow the last message of the assistant, which asked for them."""
    results: list[ToolResult] = []
    for message in reversed(messages):
        role = _role(message)
        if role == ASSISTANT:
            calls = {call.id: call for call in _calls(message)} if results else {}
            return tuple(_with_call(result, calls) for result in reversed(results))
        if role in _RESULT_ROLES:
            call_id = as_text(read(message, "tool_call_id"))
            results.append(ToolResult(call_id, None, shown(read(message, "content"))))
    return ()


def _with_call(result: ToolResult, calls: Mapping[str, ToolCall]) -> ToolResult:
    return ToolResult(result.call_id, calls.get(result.call_id), result.result)


CHAT = Surface(question, answer, Chunks, reports_usage_on_demand=True)
