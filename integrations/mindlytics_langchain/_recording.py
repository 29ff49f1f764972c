"""One root run becomes one exchange: opened when something worth it happens, closed by the run's end."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mindlytics_core import Exchange, guarded
from mindlytics_langchain import _question_answer
from mindlytics_langchain._graphs import NODE
from mindlytics_langchain._json import as_json
from mindlytics_langchain._langchain import AIMessage
from mindlytics_langchain._messages import History
from mindlytics_langchain._opening import Opening, graph_state
from mindlytics_langchain._question_answer import messages_in
from mindlytics_langchain._transcript import STOPS, Prompt, Transcript
from mindlytics_langchain._usage import Result

_NO_ANSWER = "NoAnswer"
_GIVEN_UP = "NeverEnded"
_UNREADABLE = "UnreadableRun"
#: The marks that LangChain's middleware puts on its own model calls.
_INTERNAL = frozenset(("lc_source", "lc_internal_call"))


@dataclass(slots=True)
class _Call:
    """One model call in progress."""

    model: str | None
    internal: bool
    streams: bool = False
    last_chunk: object = None


class Recording:
    """
    Records one root run.

    A chain's exchange is opened by its first model or tool: before that no hook can know the ids in the chain's
    configuration nor its messages, and a chain that calls neither and answers nothing is no exchange at all.

    Args:
        opening: Opens its exchange.

        given: The run's input.

        silent: Whether the root is something that is no exchange, such as a tool called by itself.
    """

    def __init__(self, opening: Opening, given: Any, *, silent: bool) -> None:
        self.transcript = Transcript(given)
        #: Whether nothing more can be recorded.
        self.is_over = silent
        self._opening = opening
        self._lock = threading.RLock()
        self._exchange: Exchange | None = None
        self._calls: dict[UUID, _Call] = {}
        #: The dialogue with the model, in its longest form.
        self._messages = History(())
        #: Whether a graph has stopped to wait for a person.
        self._interrupted = False
        #: What was delivered of a sync stream that was left, while its model is still being drained.
        self._left_at: str | None = None

    @property
    def is_unopened(self) -> bool:
        """Whether it has no exchange so far, and may still get one."""
        return self._exchange is None and not self.is_over

    def exchange(self) -> Exchange | None:
        """The exchange, opened if that is still to be done; None once it is over."""
        with self._lock:
            if self._exchange is None and not self.is_over:
                self._exchange = self._opening.open(self.transcript, self._messages)
            return self._exchange

    def child_started(
        self, metadata: Mapping[str, Any] | None, configurable: Mapping[str, Any] | None, given: Any, *, is_direct: bool
    ) -> None:
        """A part of the run begins: what it knows of ids, and of a graph's state, the root could not know."""
        if not self.is_unopened:
            return
        self._opening.note_child(metadata, configurable, is_direct=is_direct)
        known = self.transcript.state
        if not metadata or NODE not in metadata or self._opening.thread_id is None or messages_in(known):
            return
        state = graph_state(given, configurable, is_direct=is_direct)
        if known is None or messages_in(state):
            self.transcript.state = state

    def model_started(
        self, run_id: UUID, prompt: Prompt, metadata: Mapping[str, Any] | None, model: str | None
    ) -> None:
        """A model is called."""
        metadata = metadata or {}
        internal = not _INTERNAL.isdisjoint(metadata)
        with self._lock:
            self._calls[run_id] = _Call(model, internal)
            self.transcript.note_prompt(prompt, made_inside=internal or NODE in metadata)
            if not internal:
                self._follow(History(prompt.messages))
            self.exchange()

    def token(self, run_id: UUID, chunk: object, text: str) -> None:
        """
        A model's answer goes on; the same piece may be seen twice.

        Args:
            run_id: The model call.

            chunk: The piece; None where only its text is known, which counts if no pieces are.

            text: Its text.
        """
        with self._lock:
            call = self._calls.get(run_id)
            exchange = self._exchange
            if call is None or call.internal or exchange is None or self._left_at is not None or not text:
                return
            if chunk is not call.last_chunk if chunk is not None else call.last_chunk is None:
                self.transcript.note_token(text, is_first=not call.streams)
                call.streams, call.last_chunk = True, chunk
            exchange.first_token()

    def model_ended(self, run_id: UUID, result: Result) -> None:
        """A model has answered, or failed on the way."""
        with self._lock:
            call = self._calls.pop(run_id, None)
            if call is None or self._exchange is None:
                return
            result = result if result.model else result._replace(model=call.model)
            if not call.internal:
                self.transcript.note_result(result)
            self._exchange.model_call(
                result.model,
                prompt_tokens=result.prompt_tokens,
                completion_tokens=result.completion_tokens,
                cached_tokens=result.cached_tokens,
                reasoning_tokens=result.reasoning_tokens,
            )
            if self._left_at is not None and not self._calls:
                self._stop(self._left_at, GeneratorExit())

    def interrupted(self) -> None:
        """A graph waits for a person."""
        self._interrupted = True

    def finish(self, output: Any, given: Any = None, *, streamed: bool = False) -> None:
        """
        The root has ended.

        Args:
            output: What it gave.

            given: Its real input, where that was hidden at its start.

            streamed: Whether it is a stream, which may have been left early.
        """
        with self._lock:
            if self.is_over:
                return
            self._settle("langchain.finish", lambda: self._finish(output, given, streamed=streamed))

    def fail(self, error: BaseException, given: Any = None) -> None:
        """
        The root was stopped, or has failed.

        Args:
            error: What was raised.

            given: Its real input, where that was hidden at its start.
        """
        with self._lock:
            if self.is_over:
                return
            self._settle("langchain.fail", lambda: self._fail(error, given))

    def give_up(self) -> None:
        """The run never ended."""
        with self._lock:
            if self._exchange is None:
                self.is_over = True
            elif exchange := self._closing():
                exchange.interrupt(self._left_at or self.transcript.seen(), error=_GIVEN_UP, user=self._user())

    def _settle(self, place: str, end: Callable[[], None]) -> None:
        """Carry out the end; a fault of ours must not leave the exchange open for ever."""
        is_done = False
        with guarded(place):
            end()
            is_done = True
        if not is_done:
            self.is_over = True
            if self._exchange is not None:
                self._exchange.fail(_UNREADABLE)

    def _finish(self, output: Any, given: Any, *, streamed: bool) -> None:
        self.transcript.given = given if streamed else self.transcript.given
        asking = _question_answer.asks_for_tools(output)
        if streamed and self._calls:
            self._left_at = self.transcript.seen_when_left(output)
        elif (self._interrupted or asking) and self._opening.thread_id is not None:
            self._suspend(self._opening.thread_id)
        elif asking is not None and self.transcript.wants_call:
            self._answer(as_json(asking.tool_calls[0]["args"]))
        elif asking is not None and self._messages:
            self._await_tools(asking)
        elif self._stands_still(output) and self._opening.thread_id is not None:
            self._suspend(self._opening.thread_id)
        else:
            self._answer(output)

    def _fail(self, error: BaseException, given: Any) -> None:
        self.transcript.given = self.transcript.given if given is None else given
        if self._interrupted and self._opening.thread_id is not None:
            self._suspend(self._opening.thread_id)
        elif isinstance(error, STOPS):
            self._stop(self.transcript.seen_at_stop(error), error)
        elif exchange := self._closing():
            exchange.fail(error, user=self._user())

    def _stands_still(self, output: Any) -> bool:
        """Whether a graph has stopped right after its question: at a breakpoint that no one has told of."""
        return _question_answer.ends_with_question(output) and not self.transcript.last_text()

    def _only_repeats(self) -> bool:
        """Whether a graph was to go on and had nothing left to do: its output is what it was before."""
        thread_id, transcript = self._opening.thread_id, self.transcript
        goes_on = thread_id is not None and transcript.state is None and _question_answer.is_resume(transcript.given)
        # What is complete at a breakpoint after its last node has not been recorded yet.
        return goes_on and not self._opening.waiting.is_interrupted(thread_id)

    def _answer(self, output: Any) -> None:
        given = self.transcript.given
        text = _question_answer.answered(output, given)
        if self._exchange is None and (text is None or self._only_repeats()):
            self.is_over = True
            return
        if text is None:
            text = _question_answer.whole_output(output, given) or self.transcript.last_text() or None
        exchange = self._closing()
        if exchange is None:
            return
        if text is None:
            exchange.fail(_NO_ANSWER, user=self._user())
            return
        author = self.transcript.author(text) or Result()
        choices = {"choices": author.choices} if author.choices > 1 else {}
        exchange.finish(text, user=self._user(), model=author.model, properties=choices)

    def _stop(self, seen: str, error: BaseException) -> None:
        if exchange := self._closing():
            exchange.interrupt(seen, error=error, user=self._user())

    def _suspend(self, thread_id: str) -> None:
        if exchange := self._closing(for_good=False):
            self._opening.waiting.for_person(exchange, thread_id)

    def _await_tools(self, asking: AIMessage) -> None:
        if exchange := self._closing(for_good=False):
            self._opening.waiting.for_tools(exchange, (*self._messages, *History([asking])))

    def _closing(self, *, for_good: bool = True) -> Exchange | None:
        exchange = self.exchange()
        self.is_over = True
        if exchange is not None:
            if for_good and self._opening.thread_id is not None:
                self._opening.waiting.note_over(exchange.turn_id)
            for call in self._calls.values():
                # Of a call that was stopped LangChain says late or never what it cost.
                exchange.model_call(call.model)
        return exchange

    def _user(self) -> str | None:
        return None if self._opening.resumed else self.transcript.user()

    def _follow(self, messages: History) -> None:
        """Keep the longest form of the dialogue: what its next run will begin with."""
        if messages.begins_with(self._messages):
            self._messages = messages
            if self._exchange is not None:
                self._exchange.resume(messages)
