"""
One turn in the making, whatever framework it happens in.

An integration opens an exchange with the user's words, notes what happens inside, and closes it with the
answer, an error or an interruption. Everything else, sessions, conversations and their ends, follows.
"""

import weakref
from collections.abc import Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

import msgspec

from mindlytics_core import _model
from mindlytics_core._clock import IDS, iso
from mindlytics_core._conversations import Conversation
from mindlytics_core._history import ASSISTANT, Message
from mindlytics_core._model import Properties, Scalar, TokenBasedCost
from mindlytics_core._scope import Ids
from mindlytics_core.session import Client, Session, add_session_finder

_UNKNOWN_MODEL = "unknown"


class _Tokens(msgspec.Struct):
    """What one model used within an exchange, over all its calls; None where no call said."""

    prompt: int | None = None
    completion: int | None = None
    cached: int = 0
    reasoning: int = 0

    def add(self, prompt: int | None, completion: int | None, cached: int | None, reasoning: int | None) -> None:
        if prompt is not None:
            self.prompt = (self.prompt or 0) + prompt
        if completion is not None:
            self.completion = (self.completion or 0) + completion
        self.cached += cached or 0
        self.reasoning += reasoning or 0

    def usage(self, model: str) -> TokenBasedCost | None:
        if self.prompt is None and self.completion is None:
            return None
        return TokenBasedCost(model, self.prompt or 0, self.completion or 0)

    def properties(self) -> dict[str, Scalar]:
        named = {"cached_tokens": self.cached, "reasoning_tokens": self.reasoning}
        return {name: count for name, count in named.items() if count}


class Book(Client, Protocol):
    """What an exchange needs from its client: where it is recorded, and who waits for its end."""

    def closed(
        self, exchange: "Exchange", messages: Sequence[Message], answer: Message | None, answer_id: str | None
    ) -> None:
        """The exchange is over."""
        ...

    def suspended(self, exchange: "Exchange", messages: Sequence[Message], answer_id: str | None) -> None:
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
        self._properties = dict(properties)
        self._started = book.clock.monotonic()
        self._first_token: float | None = None
        self._tokens: dict[str, _Tokens] = {}
        self._last_model: str | None = None
        self._lock = book.outbox.new_lock()
        self._open = True
        #: Whether it waits for its tools' results.
        self._suspended = False
        #: Whether another process may bring what it waits for.
        self._may_move = False
        #: What the user has seen of the answer, while it waits.
        self._shown = ""

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
            if not self._open:
                return
            self._last_model = model or self._last_model or _UNKNOWN_MODEL
            tokens = self._tokens.setdefault(self._last_model[: _model.MAX_NAME_CHARS], _Tokens())
            tokens.add(*map(_count, (prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens)))

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
            properties["error"] = _class_name(error)
        with self._lock:
            if self._open:
                self._record(
                    _model.FunctionCalled,
                    name=(name or "unknown")[: _model.MAX_NAME_CHARS],
                    args=None if args is None else str(args),
                    result=None if result is None else str(result),
                    runtime=None if runtime is None else max(round(runtime), 0),
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
            self._record_turn(assistant, model)
            self._book.closed(self, self.messages, Message(ASSISTANT, assistant), answer_id)

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
            self._book.closed(self, (), None, None)

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

    def await_tools(self, messages: Sequence[Message], *, answer_id: str | None = None, shown: str = "") -> None:
        """
        Stay open until a later call brings the results of the tools that the model asked for, or closes this one.

        Args:
            messages: The input so far, with the model's request for tools at its end.

            answer_id: What a later input may call that request by.

            shown: What the user has seen of the answer: an interrupted turn, if nothing more comes.
        """
        if self._open:
            self._suspended = True
            self._shown = shown
            self._book.suspended(self, messages, answer_id)

    def await_person(self, messages: Sequence[Message]) -> None:
        """
        Stay open until a person has decided, perhaps in another process: one that goes on under the same `turn_id`.

        Args:
            messages: What a later call will begin with.
        """
        if self._open:
            self._may_move = True
            self.await_tools(messages)

    def resume(self, messages: Sequence[Message]) -> None:
        """
        Go on with the tools' results.

        Args:
            messages: The input now.
        """
        self._suspended = self._may_move = False
        self.messages = _kept(messages)

    def give_up(self) -> None:
        """Close an exchange that waits for what did not come; what another process may go on with has not failed."""
        if not self._close(None, None):
            return
        if self._may_move:
            self._record_suspension()
        elif self._shown:
            self._properties["interrupted"] = True
            self._record_turn(self._shown, None)
        else:
            self._record_failure("NoAnswer")

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
        model = (model or self._last_model or "")[: _model.MAX_NAME_CHARS]
        properties = self._turn_properties()
        if self._first_token is not None:
            properties["time_to_first_token_ms"] = _milliseconds(self._first_token - self._started)
        tokens = self._tokens.pop(model, _Tokens())
        properties |= tokens.properties()
        usage = tokens.usage(model)
        if usage is None and model:
            properties["model"] = model
        self._record_other_models()
        self._record(
            _model.Turn,
            user=str(self.user or ""),
            assistant=str(assistant),
            assistant_id=self.assistant_id,
            usage=usage,
            properties=properties,
        )

    def _record_failure(self, error: BaseException | str) -> None:
        properties = self._turn_properties()
        properties["error"] = _class_name(error)
        if self.user is not None:
            properties["user"] = str(self.user)
        if self._last_model is not None:
            model = self._last_model[: _model.MAX_NAME_CHARS]
            tokens = self._tokens.pop(model, _Tokens())
            usage = tokens.usage(model)
            properties |= tokens.properties() | (usage.properties() if usage else {"model": model})
        self._record_other_models()
        self._record(_model.Tracked, name=_model.TURN_FAILED, properties=properties)

    def _record_suspension(self) -> None:
        properties: dict[str, Scalar] = {**self._properties, "turn_id": self.turn_id}
        if self.user is not None:
            properties["user"] = str(self.user)
        self._record_other_models()
        self._record(_model.Tracked, name=_model.TURN_SUSPENDED, properties=properties)

    def _record_other_models(self) -> None:
        for model, tokens in self._tokens.items():
            if usage := tokens.usage(model):
                properties = {"turn_id": self.turn_id, **tokens.properties()}
                self._record(_model.UsageReported, usage=usage, properties=properties)

    def _turn_properties(self) -> dict[str, Scalar]:
        latency = _milliseconds(self._book.clock.monotonic() - self._started)
        return {**self._properties, "turn_id": self.turn_id, "latency_ms": latency}

    def _record(self, kind: type[_model.Event], **fields: Any) -> None:
        lifecycle = self.conversation.lifecycle
        lifecycle.record_in_conversation(kind, self._now(), self.conversation_id, fields, self._identity)

    def _now(self) -> str:
        return iso(self._book.clock.wall())


#: As many are remembered of a context; those that wait for tools stay open, and there may be thousands.
_MOST_OPENED = 16
#: The exchanges that were opened in this context, the innermost first, as far as they have not been closed.
_Opened: TypeAlias = "tuple[weakref.ref[Exchange], _Opened] | None"
_opened: ContextVar[_Opened] = ContextVar("mindlytics_exchanges", default=None)


def note_opened(exchange: Exchange) -> None:
    """Make an exchange the one in progress in this context."""
    _opened.set((weakref.ref(exchange), _all_open(_opened.get())))


def _session_in_progress() -> Session | None:
    found = _still_open(_opened.get())
    exchange = found[0]() if found else None
    return exchange.session if exchange else None


add_session_finder(_session_in_progress)


def _all_open(opened: _Opened) -> _Opened:
    """Without any that has been closed; one beneath an open one would else be kept for as long as new ones come."""
    found: list[weakref.ref[Exchange]] = []
    while (opened := _still_open(opened)) is not None and len(found) < _MOST_OPENED:
        found.append(opened[0])
        opened = opened[1]
    opened = None
    for reference in reversed(found):
        opened = (reference, opened)
    return opened


def _still_open(opened: _Opened) -> _Opened:
    while opened is not None and ((exchange := opened[0]()) is None or not exchange.is_open):
        opened = opened[1]
    return opened


def _kept(messages: Sequence[Message]) -> Sequence[Message]:
    """The messages as they are now: apps go on writing into their lists; other sequences may be made out later."""
    return tuple(messages) if isinstance(messages, list) else messages


def _class_name(error: BaseException | str) -> str:
    return error if isinstance(error, str) else type(error).__name__


def _count(value: Any) -> int | None:
    """A token count as frameworks hand it over: anything but a sensible number says nothing."""
    if value is None or isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        return None
    return int(value)


def _milliseconds(seconds: float) -> int:
    return max(round(seconds * 1000), 0)
