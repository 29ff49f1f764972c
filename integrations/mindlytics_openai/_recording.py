"""One model call within an exchange: what the answer, or its failure, means for the turn."""

import contextlib
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mindlytics_core import Exchange, Message, guarded
from mindlytics_openai._reading import Answer, Question, Surface, ToolCall, asking_for

_UNREADABLE = "UnreadableAnswer"


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What is known of an exchange that waits for its tools: since when, for which, and after which messages."""

    since: float
    calls: dict[str, ToolCall]
    messages: tuple[Message, ...]


_waiting: "weakref.WeakKeyDictionary[Exchange, _Waiting]" = weakref.WeakKeyDictionary()
#: The same exchanges by the id of the answer that asked for the tools.
_waiting_by_answer: "weakref.WeakValueDictionary[str, Exchange]" = weakref.WeakValueDictionary()


def known_before(question: Question) -> tuple[Message, ...]:
    """The messages that the server keeps for an exchange that waits for its tools, and that the app does not repeat."""
    exchange = _waiting_by_answer.get(question.continues) if question.continues else None
    waiting = _waiting.get(exchange) if exchange is not None else None
    return waiting.messages if waiting is not None else ()


class Recording:
    """
    Records one model call.

    Args:
        exchange: The turn that it is a part of.

        surface: How its answer is read.

        question: What was asked.

        messages: The model's input.
    """

    def __init__(self, exchange: Exchange, surface: Surface, question: Question, messages: tuple[Message, ...]) -> None:
        self.exchange = exchange
        self.surface = surface
        self._question = question
        self._messages = messages

    def note_results(self) -> None:
        """Record the results of tools that this request brings."""
        waiting = _waiting.pop(self.exchange, None)
        runtime = None if waiting is None else (time.monotonic() - waiting.since) * 1000
        asked = waiting.calls if waiting is not None else {}
        for result in self._question.results:
            call = asked.get(result.call_id) or result.call or ToolCall("", "", "")
            self.exchange.function_call(call.name, args=call.args or None, result=result.result, runtime=runtime)

    def complete(self, answer: Answer) -> None:
        """The model said all that it was going to say."""
        self._note_usage(answer)
        if answer.error is not None:
            self.exchange.interrupt(answer.text, error=answer.error, properties=self._properties())
        elif answer.calls and not self._question.wants_call:
            self._await_tools(answer)
        else:
            text = answer.calls[0].args if answer.calls else answer.text
            self.exchange.finish(text, model=answer.model or self._question.model, properties=self._properties())

    def stop(self, answer: Answer, error: BaseException | None) -> None:
        """The answer was left, cancelled or broken off; what has come so far is what the user saw."""
        self._note_usage(answer)
        self.exchange.interrupt(answer.text, error=error or "Interrupted", properties=self._properties())

    def fail(self, error: BaseException) -> None:
        """There is no answer."""
        completion: Any = getattr(error, "completion", None)
        if completion is not None:
            # The SDK could not parse it, but it was made, and paid for.
            self._note_usage(self.surface.answer(completion))
        self.exchange.fail(error)

    @contextlib.contextmanager
    def closing(self, place: str) -> Iterator[None]:
        """
        Guard what closes the exchange: a fault of ours must not leave it open for ever.

        Args:
            place: A short name for the counter and the log.
        """
        is_done = False
        with guarded(place):
            yield
            is_done = True
        if not is_done:
            self.give_up()

    def give_up(self) -> None:
        """Close the exchange without knowing the answer."""
        with guarded("openai.give_up"):
            self.exchange.fail(_UNREADABLE)

    def _await_tools(self, answer: Answer) -> None:
        messages = (*self._messages, asking_for(answer.calls))
        calls = {call.id: call for call in answer.calls}
        _waiting[self.exchange] = _Waiting(time.monotonic(), calls, messages)
        if answer.id is not None:
            _waiting_by_answer[answer.id] = self.exchange
        self.exchange.await_tools(messages)

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

    def _properties(self) -> dict[str, int]:
        return {"choices": self._question.choices} if self._question.choices > 1 else {}
