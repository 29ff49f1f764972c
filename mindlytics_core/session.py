"""A session: one visit of one user or device, and what is tracked in it by hand."""

from collections import deque
from collections.abc import Callable
from contextvars import ContextVar, Token
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, Self

from mindlytics_core import _clock, _model, _scope
from mindlytics_core._guard import call_guarded
from mindlytics_core._lifecycle import Lifecycle, Recorder
from mindlytics_core._model import Identity, Properties, Usage
from mindlytics_core._receipt import Receipt
from mindlytics_core._scope import Ids
from mindlytics_core._stats import FlushResult
from mindlytics_core.exceptions import DeliveryError, InvalidArgument

_MOST_ERRORS = 1_000
_FLUSH_TIMEOUT = 10.0

When = datetime | str | None


@dataclass(frozen=True, slots=True)
class APIResponse:
    """
    What the service answered to an event that it refused.

    Attributes:
        errored: Whether it refused; always true in a session's list of errors.

        status: HTTP status.

        message: What the service said.
    """

    errored: bool
    status: int
    message: str


class Client(Recorder, Protocol):
    """What a session needs from the client that made it."""

    async def flush(self, timeout: float) -> FlushResult:
        """Send what is queued."""
        ...

    def flush_sync(self, timeout: float) -> FlushResult:
        """Send what is queued."""
        ...


class Session:
    """
    One visit. Made by `Client.create_session`.

    Every method may be called from any thread, with or without a running event loop, and returns at once;
    what it returns can be awaited too. A session starts with its first event, starts a conversation with the
    first event in it, and ends both when the process exits, unless that was done by hand.

    Args:
        client: The client.

        lifecycle: What was started and what must be ended.

        conversation_id: The conversation of events that name none; without it one is made when needed.

        on_error: Called with each event of this session that the service refused.
    """

    def __init__(
        self,
        client: Client,
        lifecycle: Lifecycle,
        *,
        conversation_id: str | None = None,
        on_error: Callable[[DeliveryError], Any] | None = None,
    ) -> None:
        self._client = client
        self._lifecycle = lifecycle
        self._named_conversation_id = conversation_id
        self.on_error = on_error
        self._errors: deque[APIResponse] = deque(maxlen=_MOST_ERRORS)
        self._entered: list[tuple[Token[_scope.Scope | None], Token[Session | None]]] = []

    @property
    def session_id(self) -> str:
        """The visit's id."""
        return self._lifecycle.session_id

    @property
    def conversation_id(self) -> str | None:
        """The conversation of events that name none; None before the first of them."""
        return self._named_conversation_id or self._lifecycle.own_conversation_id

    @property
    def identity(self) -> Identity:
        """Who later events belong to."""
        return self._lifecycle.identity

    def __repr__(self) -> str:
        return f"<Session {self.session_id!r}>"

    def start_conversation(
        self,
        *,
        conversation_id: str | None = None,
        properties: Properties | None = None,
        timestamp: When = None,
    ) -> Receipt:
        """
        Start a conversation now, to give it properties; every other call starts it by itself.

        Args:
            conversation_id: Its id; without it the session's own.

            properties: Scalars to keep with it.

            timestamp: When it started; now by default.

        Raises:
            InvalidArgument: An argument is of the wrong kind.
        """
        at = self._at(timestamp)
        checked = _model.check_properties("properties", properties)
        return self._lifecycle.start_conversation(self._conversation(conversation_id), at, checked)

    def track_event(
        self,
        *,
        event: str,
        properties: Properties | None = None,
        conversation_id: str | None = None,
        timestamp: When = None,
    ) -> Receipt:
        """
        Track an event with a name of the app's own choice.

        Args:
            event: Its name, 1 to 100 characters.

            properties: Scalars to keep with it.

            conversation_id: The conversation it belongs to; without it the session's, if that has one.

            timestamp: When it happened; now by default.

        Raises:
            InvalidArgument: An argument is of the wrong kind.
        """
        at = self._at(timestamp)
        _model.check_name("event", event)
        checked = _model.check_properties("properties", properties)
        inside = self._conversation(conversation_id) or self.conversation_id
        if inside is None:
            return self._lifecycle.record(_model.Tracked, at, name=event, properties=checked)
        return self._lifecycle.record_in_conversation(_model.Tracked, at, inside, name=event, properties=checked)

    def track_conversation_turn(
        self,
        *,
        user: str,
        assistant: str,
        conversation_id: str | None = None,
        assistant_id: str | None = None,
        usage: Usage | None = None,
        properties: Properties | None = None,
        timestamp: When = None,
    ) -> Receipt:
        """
        Track one turn: what the user said and what the assistant answered.

        Args:
            user: The user's words.

            assistant: The assistant's words.

            conversation_id: The conversation; without it the session's own.

            assistant_id: Which assistant it was.

            usage: Tokens of the model, or a known cost.

            properties: Scalars to keep with it.

            timestamp: When it happened; now by default.

        Raises:
            InvalidArgument: An argument is of the wrong kind.
        """
        return self._track_in_conversation(
            _model.Turn,
            conversation_id,
            timestamp,
            properties,
            user=_model.check_text("user", user),
            assistant=_model.check_text("assistant", assistant),
            assistant_id=_optional_text("assistant_id", assistant_id),
            usage=_checked_usage(usage),
        )

    def track_conversation_usage(
        self,
        *,
        usage: Usage | None = None,
        cost: Usage | None = None,
        conversation_id: str | None = None,
        properties: Properties | None = None,
        timestamp: When = None,
    ) -> Receipt:
        """
        Track what the conversation cost outside its turns.

        Args:
            usage: Tokens of a model, or a known cost.

            cost: The same under its other public name.

            conversation_id: The conversation; without it the session's own.

            properties: Scalars to keep with it.

            timestamp: When it happened; now by default.

        Raises:
            InvalidArgument: Neither or both of `usage` and `cost` are given, or one is of the wrong kind.
        """
        if (usage is None) == (cost is None):
            raise InvalidArgument("track_conversation_usage needs usage=… (or cost=…), one of them")
        return self._track_in_conversation(
            _model.UsageReported, conversation_id, timestamp, properties, usage=_checked_usage(usage or cost)
        )

    def track_function_call(
        self,
        *,
        name: str,
        args: str | None = None,
        result: str | None = None,
        runtime: int | None = None,
        conversation_id: str | None = None,
        properties: Properties | None = None,
        timestamp: When = None,
    ) -> Receipt:
        """
        Track one run of a tool.

        Args:
            name: The tool's name.

            args: Its arguments, as JSON text.

            result: What it gave back, as text.

            runtime: How long it took, in milliseconds.

            conversation_id: The conversation; without it the session's own.

            properties: Scalars to keep with it.

            timestamp: When it happened; now by default.

        Raises:
            InvalidArgument: An argument is of the wrong kind.
        """
        if runtime is not None:
            _model.check_count("runtime", runtime)
        return self._track_in_conversation(
            _model.FunctionCalled,
            conversation_id,
            timestamp,
            properties,
            name=_model.check_name("name", name),
            args=_optional_text("args", args),
            result=_optional_text("result", result),
            runtime=None if runtime is None else round(runtime),
        )

    def user_identify(
        self,
        *,
        id: str | None = None,  # noqa: A002  # the public SDK's name
        device_id: str | None = None,
        traits: Properties | None = None,
        timestamp: When = None,
    ) -> Receipt:
        """
        Say who the session's user turns out to be; later events belong to them.

        Args:
            id: The app's own id of the user; without it the known one stays.

            device_id: The device's id; without it the known one stays.

            traits: Scalars that describe the user, merged over known ones.

            timestamp: When it happened; now by default.

        Raises:
            InvalidArgument: An argument is of the wrong kind, or all are missing.
        """
        at = self._at(timestamp)
        checked = _model.check_properties("traits", traits)
        if id is None and device_id is None and not checked:
            raise InvalidArgument("user_identify needs id=…, device_id=… or traits=…")
        _optional_name("id", id)
        _optional_name("device_id", device_id)
        with self._lifecycle.lock:
            # The event still carries the identity so far: that is how the service links the two.
            receipt = self._lifecycle.record(_model.UserIdentified, at, id=id, device_id=device_id, traits=checked)
            known = self.identity
            self._lifecycle.identity = Identity(id or known.user_id, device_id or known.device_id)
            return receipt

    def user_alias(
        self,
        *,
        id: str,  # noqa: A002  # the public SDK's name
        previous_id: str,
        timestamp: When = None,
    ) -> Receipt:
        """
        Say that two ids are one user; later events belong to `id`.

        Args:
            id: The id that becomes primary.

            previous_id: The id known so far.

            timestamp: When it happened; now by default.

        Raises:
            InvalidArgument: An id is no text of 1 to 100 characters.
        """
        at = self._at(timestamp)
        _model.check_name("id", id)
        _model.check_name("previous_id", previous_id)
        with self._lifecycle.lock:
            receipt = self._lifecycle.record(_model.UserAliased, at, id=id, previous_id=previous_id)
            self._lifecycle.identity = replace(self.identity, user_id=id)
            return receipt

    def end_conversation(
        self,
        *,
        conversation_id: str | None = None,
        properties: Properties | None = None,
        timestamp: When = None,
    ) -> Receipt:
        """
        End a conversation, so that the service analyses it. One that is not open here is ended all the same
        when it is named: another process may have opened it.

        Args:
            conversation_id: Its id; without it the session's own.

            properties: Scalars to keep with it, merged over those of its start.

            timestamp: When it ended; now by default.

        Raises:
            InvalidArgument: An argument is of the wrong kind.
        """
        at = self._at(timestamp)
        checked = _model.check_properties("properties", properties)
        return self._lifecycle.end_conversation(self._conversation(conversation_id), at, checked)

    def end_session(self, *, attributes: Properties | None = None, timestamp: When = None) -> Receipt:
        """
        End the session and the conversations that are open in it. A second call does nothing.

        Args:
            attributes: Scalars to keep with it, merged over those of its start.

            timestamp: When it ended; now by default.

        Raises:
            InvalidArgument: An argument is of the wrong kind.
        """
        at = self._at(timestamp)
        checked = _model.check_properties("attributes", attributes)
        return self._lifecycle.end(at, checked)

    async def flush(self, timeout: float = _FLUSH_TIMEOUT) -> FlushResult:
        """
        Send what is queued and close the session: afterwards it takes no more events.

        Args:
            timeout: Most seconds to wait.
        """
        self._lifecycle.close()
        return await self._client.flush(timeout)

    async def flush_and_continue(self, timeout: float = _FLUSH_TIMEOUT) -> FlushResult:
        """
        Send what is queued; the session stays open.

        Args:
            timeout: Most seconds to wait.
        """
        return await self._client.flush(timeout)

    def flush_sync(self, timeout: float = _FLUSH_TIMEOUT) -> FlushResult:
        """
        Send what is queued; blocks, and the session stays open.

        Args:
            timeout: Most seconds to wait.
        """
        return self._client.flush_sync(timeout)

    def has_errors(self) -> bool:
        """Whether the service refused any event of this session."""
        return bool(self._errors)

    def get_errors(self) -> list[APIResponse]:
        """What the service said to the events that it refused, the latest thousand."""
        return list(self._errors)

    def note_error(self, error: DeliveryError) -> None:
        """Keep the service's answer to an event of this session that it refused."""
        self._errors.append(APIResponse(errored=True, status=error.status, message=error.message))

    def __enter__(self) -> Self:
        identity = self.identity
        ids = Ids(identity.user_id, identity.device_id, self.session_id, self.conversation_id)
        self._entered.append((_scope.enter(ids), current.set(self)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        self.flush_sync()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        await self._client.flush(_FLUSH_TIMEOUT)

    def _leave(self) -> None:
        scope, session = self._entered.pop()
        _scope.leave(scope)
        current.reset(session)
        if not self._entered:
            self._lifecycle.close()

    def _at(self, timestamp: When) -> str:
        return _clock.timestamp(timestamp, self._client.clock.wall)

    def _track_in_conversation(
        self,
        kind: type[_model.ConversationEvent],
        conversation_id: str | None,
        timestamp: When,
        properties: Properties | None,
        **fields: Any,
    ) -> Receipt:
        at = self._at(timestamp)
        checked = _model.check_properties("properties", properties)
        inside = self._conversation(conversation_id)
        return self._lifecycle.record_in_conversation(kind, at, inside, properties=checked, **fields)

    def _conversation(self, conversation_id: str | None) -> str | None:
        return _optional_name("conversation_id", conversation_id) or self._named_conversation_id


#: The session of the `with` block or the exchange that this context is in.
current: ContextVar[Session | None] = ContextVar("mindlytics_session", default=None)


#: Integrations' ways to find the exchange that the running code is a part of.
_finders: list[Callable[[], Session | None]] = []


def add_session_finder(find: Callable[[], Session | None]) -> None:
    """
    Let `current_session` find the exchanges of an integration.

    Args:
        find: Gives the session of the exchange that the running code is a part of, or None.
    """
    if find not in _finders:
        _finders.append(find)


def current_session() -> Session | None:
    """The session of the exchange in progress, else of the `with` block around this call, else None."""
    found = (call_guarded("current_session", find) for find in _finders)
    return next((session for session in found if session is not None), None) or current.get()


def _optional_name(what: str, value: str | None) -> str | None:
    return None if value is None else _model.check_name(what, value)


def _optional_text(what: str, value: str | None) -> str | None:
    return None if value is None else _model.check_text(what, value)


def _checked_usage(usage: Usage | None) -> Usage | None:
    if usage is not None and not isinstance(usage, _model.TokenBasedCost | _model.Cost):
        raise InvalidArgument(f"usage must be a TokenBasedCost or a Cost, not a {type(usage).__name__}")
    return usage
