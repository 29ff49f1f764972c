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


#: The session of the `with` block or the exchange that this context is in.
current: ContextVar[Session | None] = ContextVar("mindlytics_session", default=None)


#: Integrations' ways to find the exchange that the running code is a part of.
_finders: list[Callable[[], Session | None]] = []


def add_session_finder(find: Callable[[], Session | None]) -> None:
    """
    Let `current_session` find the exchanges of an integration; the last one added is asked first.

    Args:
        find: Gives the session of the exchange that the running code is a part of, or None.
    """
    if find not in _finders:
        _finders.insert(0, find)


def current_session() -> Session | None:
    """The session of the exchange in progress, else of the `with` block around this call, else None."""
    found = (call_guarded("current_session", find) for find in _finders)
    return next((session for session in found if session is not None), None) or current.get()
