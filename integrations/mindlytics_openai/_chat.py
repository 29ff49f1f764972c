"""Chat completions: what a request says, what an answer says, and an answer put together from chunks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mindlytics_core import Ids, Message
from mindlytics_openai._content import shown, told_apart
from mindlytics_openai._fields import as_list, as_text, read, text_or_none
from mindlytics_openai._surface import ASSISTANT, Answer, Question, Surface, ToolCall, ToolResult, Usage, asking_for


def question(body: Mapping[str, Any]) -> Question:
    """What a request says."""
    messages = as_list(body.get("messages"))
    choices = body.get("n")
    return Question(
        messages=tuple(map(_message, messages)),
        user=next(
            (shown(read(message, "content")) for message in reversed(messages) if _role(message) == "user"), None
        ),
        results=tuple(_results(messages)),
        ids=Ids(user_id=text_or_none(body.get("safety_identifier")) or text_or_none(body.get("user"))),
        model=text_or_none(body.get("model")),
        choices=choices if isinstance(choices, int) else 1,
        wants_call=_forces_the_only_tool(body),
    )


def answer(completion: Any) -> Answer:
    """What a completion says; of several choices the first."""
    choice = next(iter(as_list(read(completion, "choices"))), None)
    message = read(choice, "message")
    return Answer(
        text=_answer_text(message),
        model=text_or_none(read(completion, "model")),
        usage=usage(read(completion, "usage")),
        calls=tuple(_calls(message)),
    )


def usage(reported: Any) -> Usage | None:
    """Usage as chat completions and legacy completions report it."""
    if reported is None:
        return None
    return Usage(
        prompt=read(reported, "prompt_tokens"),
        completion=read(reported, "completion_tokens"),
        cached=read(read(reported, "prompt_tokens_details"), "cached_tokens"),
        reasoning=read(read(reported, "completion_tokens_details"), "reasoning_tokens"),
    )


class Chunks:
    """Puts the first choice together from chunks; the chunks of several choices come interleaved."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._calls: dict[int, list[str]] = {}
        self._model: str | None = None
        self._usage: Any = None
        self._is_complete = False

    def add(self, part: Any) -> bool:
        """Take one chunk in; say whether the user sees something by it."""
        if self._model is None:
            self._model = text_or_none(read(part, "model"))
        reported = read(part, "usage")
        if reported is not None:
            self._usage = reported
        has_text = False
        for choice in read(part, "choices") or ():
            if not read(choice, "index") and self._add_choice(choice):
                has_text = True
        return has_text

    def answer(self) -> Answer:
        """What has come so far."""
        return Answer(
            text="".join(self._texts),
            model=self._model,
            usage=usage(self._usage),
            calls=tuple(ToolCall(*call) for _, call in sorted(self._calls.items())),
            is_complete=self._is_complete,
        )

    def _add_choice(self, choice: Any) -> bool:
        if read(choice, "finish_reason"):
            self._is_complete = True
        delta = read(choice, "delta")
        if delta is None:
            return False
        text = read(delta, "content") or read(delta, "refusal") or read(read(delta, "audio"), "transcript")
        if text:
            self._texts.append(text)
        for call in read(delta, "tool_calls") or ():
            self._add_call(read(call, "index") or 0, read(call, "id"), read(call, "function") or read(call, "custom"))
        if function := read(delta, "function_call"):
            self._add_call(0, None, function)
        return bool(text)

    def _add_call(self, index: int, call_id: Any, function: Any) -> None:
        call = self._calls.setdefault(index, ["", "", ""])
        call[0] = call[0] or call_id or ""
        call[1] += read(function, "name") or ""
        call[2] += read(function, "arguments") or read(function, "input") or ""


def _message(message: Any) -> Message:
    role = _role(message)
    if role == ASSISTANT:
        calls = tuple(_calls(message))
        return asking_for(calls) if calls else Message(role, _answer_text(message))
    who = as_text(read(message, "name") or read(message, "tool_call_id"))
    content = told_apart(read(message, "content"))
    return Message(role, f"{who}\0{content}" if who else content)


def _role(message: Any) -> str:
    return as_text(read(message, "role"))


def _answer_text(message: Any) -> str:
    audio = read(message, "audio")
    return (
        shown(read(message, "content"))
        or as_text(read(message, "refusal"))
        or (as_text(read(audio, "transcript")) or "[audio]" if audio else "")
    )


def _calls(message: Any) -> Iterator[ToolCall]:
    for call in as_list(read(message, "tool_calls")):
        function = read(call, "function") or read(call, "custom")
        yield ToolCall(as_text(read(call, "id")), *_name_and_args(function))
    if function := read(message, "function_call"):
        yield ToolCall("", *_name_and_args(function))


def _name_and_args(function: Any) -> tuple[str, str]:
    return as_text(read(function, "name")), as_text(read(function, "arguments") or read(function, "input"))


def _results(messages: Sequence[Any]) -> Iterator[ToolResult]:
    """The results that follow the last message of the assistant, which asked for them."""
    last = next((at for at in reversed(range(len(messages))) if _role(messages[at]) == ASSISTANT), None)
    if last is None:
        return
    calls = {call.id: call for call in _calls(messages[last])}
    for message in messages[last + 1 :]:
        if _role(message) in {"tool", "function"}:
            call_id = as_text(read(message, "tool_call_id"))
            yield ToolResult(call_id, calls.get(call_id), shown(read(message, "content")))


def _forces_the_only_tool(body: Mapping[str, Any]) -> bool:
    choice = body.get("tool_choice") or body.get("function_call")
    offered = as_list(body.get("tools")) or as_list(body.get("functions"))
    return len(offered) == 1 and isinstance(choice, Mapping) and choice.get("type") != "allowed_tools"


CHAT = Surface(question, answer, Chunks, reports_usage_on_demand=True)
