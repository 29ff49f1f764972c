"""A session: one visit of one user or device."""

import contextlib
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Protocol, Self

from mindlytics_core import _hearing, _scope
from mindlytics_core._answers import APIResponse
from mindlytics_core._guard import call_guarded
from mindlytics_core._hearing import Hearing
from mindlytics_core._lifecycle import Lifecycle, Recorder
from mindlytics_core._listener import OnError, OnEvent
from mindlytics_core._model import Identity
from mindlytics_core._scope import Ids
from mindlytics_core._stats import FlushResult
from mindlytics_core._tracking import Tracking
from mindlytics_core.exceptions import DeliveryError

_MOST_ERRORS = 1_000
_FLUSH_TIMEOUT = 10.0
#: Most seconds to wait for the first attempt to connect, and for `Session Ended`.
LISTEN_TIMEOUT = 10.0


class Client(Recorder, _hearing.Client, Protocol):
    """What a session needs from the client that made it."""

    project_id: str

    async def flush(self, timeout: float, session_id: str | None) -> FlushResult:
        """Send what is queued."""
        ...

    def flush_sync(self, timeout: float, session_id: str | None) -> FlushResult:
        """Send what is queued."""
        ...


class Session(Tracking):
    """
    One visit. Made by `Client.create_session`.

    Every method may be called from any thread, with or without a running event loop, and returns at once;
    what it returns can be awaited too. A session starts with its first event, starts a conversation with the
    first event in it, and ends both when the process exits, unless that was done by hand.

    Args:
        client: The client.

        lifecycle: What was started and what must be ended.

        conversation_id: The conversation of events that name none; without it one is made when needed.

        identity: Whose events these are, where that is somebody else than the session's.

        on_event: Called with each live event of this session; coroutine functions on the loop that runs now.

        on_error: Called with each event of this session that the service refused or failed to process, likewise.

        listen_timeout: Most seconds that entering waits for the connection for live events, and leaving for
            `Session Ended`; neither waits where there are no callbacks or there is no connection.
    """

    def __init__(
        self,
        client: Client,
        lifecycle: Lifecycle,
        *,
        conversation_id: str | None = None,
        identity: Identity | None = None,
        on_event: OnEvent | None = None,
        on_error: OnError | None = None,
        listen_timeout: float = LISTEN_TIMEOUT,
    ) -> None:
        super().__init__(client.clock, lifecycle, conversation_id, identity)
        self._client = client
        self._hearing = Hearing(client, lifecycle, on_event, on_error, listen_timeout)
        self._errors: deque[APIResponse] = deque(maxlen=_MOST_ERRORS)
        #: Held for as long as this object is to be told of errors, and used by nobody.
        self.peers: object = None
        #: The blocks of this object that are open; several threads or tasks may be in one.
        self._entered: dict[_scope.Scope, tuple[Token[_scope.Scope | None], Token[Session | None]]] = {}

    @property
    def project_id(self) -> str:
        """The project that the session belongs to."""
        return self._client.project_id

    @property
    def on_event(self) -> OnEvent | None:
        """Called with each live event of this session."""
        return self._hearing.on_event

    @property
    def on_error(self) -> OnError | None:
        """Called with each event of this session that the service refused, or failed to process."""
        return self._hearing.on_error

    def __repr__(self) -> str:
        return f"<Session {self.session_id!r}>"

    async def flush(self, timeout: float = _FLUSH_TIMEOUT) -> FlushResult:
        """
        Send what is queued and close this object: afterwards it takes no more events.

        A session whose ids were made here ends. One that the app has named does not: another `create_session`
        with its id goes on with it, here or elsewhere, until `end_session`.

        Args:
            timeout: Most seconds to wait.
        """
        self._end_object()
        result = await self.flush_and_continue(timeout)
        await self._hearing.await_end(delivered=bool(result))
        return result

    def flush_sync(self, timeout: float = _FLUSH_TIMEOUT) -> FlushResult:
        """
        The same as `flush`, blocking: send what is queued and close this object.

        Args:
            timeout: Most seconds to wait.
        """
        self._end_object()
        result = self.flush_and_continue_sync(timeout)
        self._hearing.block_for_end(delivered=bool(result))
        return result

    async def flush_and_continue(self, timeout: float = _FLUSH_TIMEOUT) -> FlushResult:
        """
        Send what is queued; the session stays open.

        Args:
            timeout: Most seconds to wait.
        """
        await self._hearing.await_attempt()
        return await self._client.flush(timeout, self.session_id)

    def flush_and_continue_sync(self, timeout: float = _FLUSH_TIMEOUT) -> FlushResult:
        """
        The same as `flush_and_continue`, blocking.

        Args:
            timeout: Most seconds to wait.
        """
        self._hearing.block_for_attempt()
        return self._client.flush_sync(timeout, self.session_id)

    async def start_listening(
        self,
        *,
        session_id: str | None = None,
        on_event: OnEvent | None = None,
        on_error: OnError | None = None,
    ) -> None:
        """
        Listen to the session's live events from now on; returns when the connection stands or was refused.

        Not needed with callbacks in `create_session`: the first event, or entering the `with` block, does it.

        Args:
            session_id: Kept for the public SDK's users; the session's own.

            on_event: Called with each live event; without it the one given to `create_session`.

            on_error: Called with each fault, likewise.
        """
        del session_id
        self._hearing.begin(on_event, on_error)
        await self._hearing.await_attempt()

    def start_listening_sync(self, *, on_event: OnEvent | None = None, on_error: OnError | None = None) -> None:
        """
        The same, blocking; inside a running loop it does not wait for the connection.

        Args:
            on_event: Called with each live event; without it the one given to `create_session`.

            on_error: Called with each fault, likewise.
        """
        self._hearing.begin(on_event, on_error)
        self._hearing.block_for_attempt()

    async def stop_listening(self) -> None:
        """Stop listening; of a session that has ended, once `Session Ended` has come or `listen_timeout` is over."""
        await self._hearing.await_end(delivered=True)

    def stop_listening_sync(self) -> None:
        """The same, blocking; inside a running loop it stops with the session's end."""
        self._hearing.block_for_end(delivered=True)

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
        self._enter()
        self._hearing.block_for_attempt()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._leave():
            result = self._client.flush_sync(_FLUSH_TIMEOUT, self.session_id)
            self._hearing.block_for_end(delivered=bool(result))

    async def __aenter__(self) -> Self:
        self._enter()
        await self._hearing.await_attempt()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._leave():
            result = await self._client.flush(_FLUSH_TIMEOUT, self.session_id)
            await self._hearing.await_end(delivered=bool(result))

    def _enter(self) -> None:
        # In this order, so that the scope takes the session along to other threads.
        session = current.set(self)
        scope = _scope.following(self._ids)
        self._entered[scope] = scope.enter(), session
        self._lifecycle.enter_block()
        self._hearing.begin_if_wanted()

    def _ids(self) -> Ids:
        return Ids(self.id, self.device_id, self.session_id, self.conversation_id)

    def _leave(self) -> bool:
        scope, session = self._entered.pop(_scope.innermost(self._entered))
        _scope.leave(scope)
        with contextlib.suppress(ValueError):  # left in another context than it was entered in
            current.reset(session)
        is_last = not self._entered
        if is_last:
            self._close()
        self._lifecycle.leave_block()
        return is_last

    def _get_ready(self) -> None:
        super()._get_ready()
        self._hearing.begin_if_wanted()

    def _end_object(self) -> None:
        self._close()
        if not self._lifecycle.named:
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
