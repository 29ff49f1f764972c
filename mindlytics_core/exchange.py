"""
One turn in the making, whatever framework it happens in.

An integration opens an exchange with the user's words, notes what happens inside, and closes it with the
answer, an error or an interruption. Everything else, sessions, conversations and their ends, follows.
"""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from mindlytics_core import _lenient, _model
from mindlytics_core._clock import IDS, iso
from mindlytics_core._conversations import Conversation
from mindlytics_core._guard import call_guarded
from mindlytics_core._history import ASSISTANT, NOTHING_SEEN, Message, Trail
from mindlytics_core._model import Properties, Scalar
from mindlytics_core._scope import Ids
from mindlytics_core._usage import ModelUsage
from mindlytics_core.session import Client, Session


class Book(Client, Protocol):
    """What an exchange needs from its client: where it is recorded, and who waits for its end."""

    def closed(self, exchange: "Exchange", answer: Message | None, answer_id: str | None) -> None:
        """The exchange is over."""
        ...

    def suspended(
        self, exchange: "Exchange", messages: Sequence[Message], answer_id: str | None, calls: Sequence[str]
    ) -> None:
        """The exchange waits for its tools' results."""
        ...


class Exchange:
    """
    One turn in the making. Made by `Client.exchange`; every method may be called from any thread.

    The first of `finish`, `fail` and `interrupt` closes it; whatever comes later is ignored. As a `with` block it
    fails with what the block raises, and with `NoAnswer` where the block ends without an answer.

    Args:
        book: The client.

        conversation: Where it belongs.

        ids: What it was opened with.

        messages: The model's input, to recognise the conversation by when it goes on.

        seen: What that looks like, as far as it is known.

        user: What the user said, if it is known already.

        assistant_id: Which assistant, agent or graph answers.

        properties: Scalars to keep with the turn.

        turn_id: Its id; without it one is made.
    """

    def __init__(
        self,
        book: Book,
        conversation: Conversation,
        ids: Ids,
        messages: Sequence[Message],
        seen: Trail,
        *,
        user: str | None,
        assistant_id: str | None,
        properties: Properties,
        turn_id: str | None = None,
    ) -> None:
        self.turn_id = turn_id or IDS.new()
        self.conversation = conversation
        self.ids = ids
        self.user = user
        self.assistant_id = assistant_id
        self._identity = ids.other_than(conversation.lifecycle.identity)
        self._book = book
        #: The model's input.
        self.messages = _kept(messages)
        #: What that looks like, as far as it is known.
        self.seen = seen
        self._properties = dict(properties)
        self._started = book.clock.monotonic()
        self._first_token: float | None = None
        self._usage = ModelUsage()
        self._lock = book.outbox.new_lock()
        self._open = True
        #: Whether it waits for its tools' results.
        self._suspended = False
        #: Whether another process may bring what it waits for.
        self._may_move = False
        #: What the user has seen of the answer, while it waits.
        self._shown = ""
        #: Closes it with what has come so far.
        self._close_early: Callable[[], None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it has neither been finished, failed nor interrupted."""
        return self._open

    @property
    def conversation_id(self) -> str:
        """The conversation that the turn will belong to."""
        return self.conversation.conversation_id

    @property
    def session_id(self) -> str:
        """The session that the turn will belong to."""
        return self.conversation.lifecycle.session_id

    @property
    def session(self) -> Session:
        """The session that the turn will belong to, for what the app wants to say of it."""
        return Session(self._book, self.conversation.lifecycle, conversation_id=self.conversation_id)

    def first_token(self) -> None:
        """Note that the user sees the first part of the answer now; later calls change nothing."""
        if self._first_token is None:
            self._first_token = self._book.clock.monotonic()

    def model_call(
        self,
        model: str | None = None,
        *,
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
        cached_tokens: int | None = None,
        reasoning_tokens: int | None = None,
    ) -> None:
        """
        Add one model call's usage.

        Args:
            model: The model that answered.

            prompt_tokens: Tokens read; None when nobody said.

            completion_tokens: Tokens written; None when nobody said.

            cached_tokens: Those of the tokens read that came from a cache.

            reasoning_tokens: Those of the tokens written that were reasoning.
        """
        with self._lock:
            if self._open:
                self._usage.add(model, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens)

    def function_call(
        self,
        name: str,
        *,
        args: str | None = None,
        result: str | None = None,
        runtime: float | None = None,
        error: BaseException | str | None = None,
    ) -> None:
        """
        Record one tool run, linked to this turn.

        Args:
            name: The tool's name.

            args: Its arguments, as JSON text.

            result: What it gave back, as text.

            runtime: How long it took, in milliseconds.

            error: What it raised, or that error's class name.
        """
        properties: dict[str, Scalar] = {"turn_id": self.turn_id}
        if error is not None:
            properties["error"] = _lenient.class_name(error)
        with self._lock:
            if self._open:
                self._record(
                    _model.FunctionCalled,
                    name=_lenient.name(name) or _lenient.UNKNOWN,
                    args=_lenient.optional_text(args),
                    result=_lenient.optional_text(result),
                    runtime=_lenient.milliseconds(runtime),
                    properties=properties,
                )

    def finish(
        self,
        assistant: str,
        *,
        user: str | None = None,
        model: str | None = None,
        answer_id: str | None = None,
        properties: Properties | None = None,
    ) -> None:
        """
        Close the exchange with the answer: one turn is recorded.

        Args:
            assistant: What the assistant finally answered, as the user got it.

            user: What the user said, where it was not known before.

            model: Whose text the answer is; without it the last model that was called.

            answer_id: What a later input may call the answer by, instead of repeating the messages.

            properties: Scalars to keep with the turn.
        """
        if self._close(user, properties):
            assistant = _lenient.text(assistant)
            self._record_turn(assistant, model)
            self._book.closed(self, Message(ASSISTANT, assistant), answer_id)

    def fail(
        self, error: BaseException | str, *, user: str | None = None, properties: Properties | None = None
    ) -> None:
        """
        Close the exchange with an error: no turn, but the event `Turn Failed`.

        Args:
            error: What was raised, or its class name. Its text is not recorded: it may hold anybody's words.

            user: What the user said, where it was not known before.

            properties: Scalars to keep with the event.
        """
        if self._close(user, properties):
            self._record_failure(error)
            self._book.closed(self, None, None)

    def interrupt(
        self,
        assistant: str,
        *,
        error: BaseException | str = "Interrupted",
        user: str | None = None,
        answer_id: str | None = None,
        properties: Properties | None = None,
    ) -> None:
        """
        Close the exchange as far as the user saw it: an interrupted turn, or a failed one if they saw nothing.

        Args:
            assistant: The text that reached the user.

            error: What stopped it, or that error's class name.

            user: What the user said, where it was not known before.

            answer_id: What a later input may call the answer by.

            properties: Scalars to keep with the turn.
        """
        if not assistant:
            self.fail(error, user=user, properties=properties)
        else:
            properties = {**(properties or {}), "interrupted": True}
            self.finish(assistant, user=user, answer_id=answer_id, properties=properties)

    def await_tools(
        self,
        messages: Sequence[Message],
        *,
        answer_id: str | None = None,
        shown: str = "",
        calls: Sequence[str] = (),
    ) -> None:
        """
        Stay open until a later call brings the results of the tools that the model asked for, or closes this one.

        Args:
            messages: The input so far, with the model's request for tools at its end.

            answer_id: What a later input may call that request by.

            shown: What the user has seen of the answer: an interrupted turn, if nothing more comes.

            calls: The ids of the calls, as far as no other call has the same: by them the results are recognised
                also where the input has been changed before them.
        """
        if self._open:
            self._suspended = True
            self._shown = shown
            self._book.suspended(self, messages, answer_id, calls)

    def await_person(self, messages: Sequence[Message]) -> None:
        """
        Stay open until a person has decided, perhaps in another process: one that goes on under the same `turn_id`.

        Args:
            messages: What a later call will begin with.
        """
        if self._open:
            self._may_move = True
            self.await_tools(messages)

    def resume(self, messages: Sequence[Message], seen: Trail = NOTHING_SEEN) -> None:
        """
        Go on with the tools' results.

        Args:
            messages: The input now.

            seen: What that looks like, as far as it is known.
        """
        self._suspended = self._may_move = False
        self.messages = _kept(messages)
        self.seen = seen

    def when_given_up(self, close: Callable[[], None] | None) -> None:
        """
        Have `close` called where this is given up, at the client's close or the process's exit.

        Args:
            close: Closes it with what has come so far; None where there is nothing to say any more.
        """
        self._close_early = close

    def give_up(self) -> None:
        """Close an exchange that waits for what did not come; what another process may go on with has not failed."""
        if self._close_early is not None:
            call_guarded("exchange.give_up", self._close_early)
        if not self._close(None, None):
            return
        if self._may_move:
            self._record_suspension()
        elif self._shown:
            self._properties["interrupted"] = True
            self._record_turn(self._shown, None)
        else:
            self._record_failure("NoAnswer")

    def renew_lock(self) -> None:
        """In a forked child: no thread of the parent's will release it."""
        self._lock = self._book.outbox.new_lock()

    def outlive_threads(self) -> None:
        """The process ends: wait no more for threads that are frozen with the lock."""
        self._lock = self._book.outbox.last(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.fail(error)
        elif not self._suspended:
            self.fail("NoAnswer")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def _close(self, user: str | None, properties: Properties | None) -> bool:
        checked = _model.check_properties("properties", properties)
        with self._lock:
            was_open, self._open = self._open, False
        if not was_open:
            return False
        self.user = self.user if user is None else user
        self._properties.update(checked)
        return True

    def _record_turn(self, assistant: str, model: str | None) -> None:
        properties = self._turn_properties()
        if self._first_token is not None:
            properties["time_to_first_token_ms"] = _milliseconds(self._first_token - self._started)
        usage, of_model = self._usage.take(_lenient.name(model) or self._usage.last_model)
        properties |= of_model
        self._record_other_models()
        self._record(
            _model.Turn,
            user=_lenient.text(self.user),
            assistant=assistant,
            assistant_id=_lenient.optional_text(self.assistant_id),
            usage=usage,
            properties=properties,
        )

    def _record_failure(self, error: BaseException | str) -> None:
        properties = self._turn_properties()
        properties["error"] = _lenient.class_name(error)
        if self.user is not None:
            properties["user"] = _lenient.text(self.user)
        usage, of_model = self._usage.take(self._usage.last_model)
        properties |= of_model | (usage.properties() if usage else {})
        self._record_other_models()
        self._record(_model.Tracked, name=_model.TURN_FAILED, properties=properties)

    def _record_suspension(self) -> None:
        properties: dict[str, Scalar] = {**self._properties, "turn_id": self.turn_id}
        if self.user is not None:
            properties["user"] = _lenient.text(self.user)
        self._record_other_models()
        self._record(_model.Tracked, name=_model.TURN_SUSPENDED, properties=properties)

    def _record_other_models(self) -> None:
        for usage, of_model in self._usage.rest():
            self._record(_model.UsageReported, usage=usage, properties={"turn_id": self.turn_id, **of_model})

    def _turn_properties(self) -> dict[str, Scalar]:
        latency = _milliseconds(self._book.clock.monotonic() - self._started)
        return {**self._properties, "turn_id": self.turn_id, "latency_ms": latency}

    def _record(self, kind: type[_model.Event], **fields: Any) -> None:
        lifecycle = self.conversation.lifecycle
        lifecycle.record_in_conversation(kind, self._now(), self.conversation_id, fields, self._identity)

    def _now(self) -> str:
        return iso(self._book.clock.wall())


def _kept(messages: Sequence[Message]) -> Sequence[Message]:
    """The messages as they are now: apps go on writing into their lists; other sequences may be made out later."""
    return tuple(messages) if isinstance(messages, list) else messages


def _milliseconds(seconds: float) -> int:
    return max(round(seconds * 1000), 0)
