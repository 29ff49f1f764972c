"""One model call within an exchange: what the answer, or its failure, means for the turn."""

import time
import weakref
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from mindlytics_core import Exchange, Message, guarded
from mindlytics_openai._surface import ASSISTANT, Answer, Question, Surface, ToolCall, asking_for, telling

_UNREADABLE = "UnreadableAnswer"


class _Asked(NamedTuple):
    """The tools that an exchange waits for, and since when."""

    since: float
    calls: dict[str, ToolCall]


_asked: "weakref.WeakKeyDictionary[Exchange, _Asked]" = weakref.WeakKeyDictionary()


class Recording:
    """
    Records one model call.

    Args:
        exchange: The turn that it is a part of.

        surface: How its answer is read.

        question: What was asked.
    """

    def __init__(self, exchange: Exchange, surface: Surface, question: Question) -> None:
        self.exchange = exchange
        self.surface = surface
        self._question = question

    @property
    def is_background(self) -> bool:
        """Whether the answer is made in the background, and may be fetched by another request."""
        return self._question.is_background

    def note_results(self) -> None:
        """Record the results of tools that this request brings."""
        if not self._question.results:
            return
        asked = _asked.pop(self.exchange, None)
        runtime = None if asked is None else (time.monotonic() - asked.since) * 1000
        calls = asked.calls if asked is not None else {}
        for result in self._question.results:
            call = calls.get(result.call_id) or result.call or ToolCall("", "", "")
            self.exchange.function_call(call.name, args=call.args or None, result=result.result, runtime=runtime)

    def complete(self, answer: Answer) -> None:
        """The model said all that it was going to say."""
        self._note_usage(answer)
        if answer.error is not None:
            self.exchange.interrupt(answer.text, error=answer.error, **self._known_by(answer))
        elif answer.calls and not self._question.wants_call:
            self._await_tools(answer)
        else:
            text = answer.calls[0].args if answer.calls else answer.text
            self.exchange.finish(text, model=answer.model or self._question.model, **self._known_by(answer))

    def wait(self, answer: Answer) -> None:
        """The answer is made in the background, and fetched later; or its conversation ends without it."""
        if answer.model is not None:
            self.exchange.model_call(answer.model)
        waits = Message(ASSISTANT, f"\0{answer.id}")
        self.exchange.await_tools((*self.exchange.messages, waits), shown=answer.text)

    def stop(self, answer: Answer, error: BaseException | None) -> None:
        """The answer was left, cancelled or broken off; what has come so far is what the user saw."""
        self._note_usage(answer)
        self.exchange.interrupt(answer.text, error=error or "Interrupted", **self._known_by(answer))

    def fail(self, error: BaseException) -> None:
        """There is no answer."""
        completion: Any = getattr(error, "completion", None)
        if completion is not None:
            # The SDK could not parse it, but it was made, and paid for.
            self._note_usage(self.surface.answer(completion))
        self.exchange.fail(error)

    def closing(self, place: str) -> AbstractContextManager[object]:
        """
        Guard what closes the exchange: a fault of ours must not leave it open for ever.

        Args:
            place: A short name for the counter and the log.
        """
        return guarded(place, self.give_up)

    def give_up(self) -> None:
        """Close the exchange without knowing the answer."""
        with guarded("openai.give_up"):
            self.exchange.fail(_UNREADABLE)

    def _await_tools(self, answer: Answer) -> None:
        _asked[self.exchange] = _Asked(time.monotonic(), {call.id: call for call in answer.calls})
        self.exchange.await_tools(
            (*self.exchange.messages, asking_for(answer.calls)),
            answer_id=answer.id,
            calls=telling(call.id for call in answer.calls),
        )

    def _note_usage(self, answer: Answer) -> None:
        usage = answer.usage
        if usage is None:
            if answer.model is not None:
                self.exchange.model_call(answer.model)
            return
        self.exchange.model_call(
            answer.model or self._question.model,
            prompt_tokens=usage.prompt,
            completion_tokens=usage.completion,
            cached_tokens=usage.cached,
            reasoning_tokens=usage.reasoning,
        )

    def _known_by(self, answer: Answer) -> dict[str, Any]:
        choices = self._question.choices
        return {"answer_id": answer.id, "properties": {"choices": choices} if choices > 1 else None}
