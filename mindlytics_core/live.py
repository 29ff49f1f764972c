"""Live events: what the service makes of the events that it gets, through a WebSocket."""

import asyncio
import functools
import os
import threading
from collections.abc import AsyncIterable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any

from pydantic import ValidationError

from mindlytics_core import _guard, _retry
from mindlytics_core._callbacks import CALLBACKS
from mindlytics_core._clock import chance
from mindlytics_core._config import Config
from mindlytics_core._fork import FORKS
from mindlytics_core._listener import OnError, OnEvent
from mindlytics_core._live_event import MLEvent
from mindlytics_core._requests import Requests
from mindlytics_core._version import __version__
from mindlytics_core.exceptions import DeliveryError, RequestFailed

__all__ = ["MLEvent"]

SESSION_ENDED = "Session Ended"
_FAULT = "MLError"
_KEY_PATH = "/bc/v1/live-events/realtime"
_OPEN_TIMEOUT = 10.0
_CLOSE_TIMEOUT = 1.0
_MAX_MESSAGE_BYTES = 16 * 1024 * 1024
#: Waits before connecting again, in seconds.
_RETRY_BASE, _RETRY_CAP = 0.5, 30.0
#: Events that wait for the app's callback; beyond it nothing more is read from the connection.
_MOST_WAITING = 1_000


class Connection:
    """
    One WebSocket that is kept open: it connects, hands over what comes, and connects again.

    Everything happens on a thread of its own; the app's callbacks run on another.

    Args:
        config: Where to.

        requests: Asks for the key of the connection.

        session_id: The session to hear of; None for all of the project.

        on_event: Called with each event.

        on_error: Called with each fault that the service reports, and with the first failure of each outage.

        is_over: Whether there is nothing left to hear, so that a lost connection needs no other.
    """

    def __init__(
        self,
        config: Config,
        requests: Requests,
        *,
        session_id: str | None,
        on_event: OnEvent | None,
        on_error: OnError | None,
        is_over: Callable[[], bool],
    ) -> None:
        self._address = config.wss_endpoint
        self._requests = requests
        self._session_id = session_id
        self._on_event = on_event
        self._on_error = on_error
        self._is_over = is_over
        self._task: Future[None] | None = None
        #: Whether the app knows of the present outage.
        self._told = False
        #: Done with the first attempt: None when it connected, its error otherwise.
        self.tried: Future[RequestFailed | None] = Future()
        #: Done when `Session Ended` has come and the app's callback has seen it, or when it cannot come any more.
        self.session_ended: Future[None] = Future()
        #: The process whose connection stands; in one that was forked off it is nobody's.
        self._connected_in: int | None = None

    @property
    def connected(self) -> bool:
        """Whether the connection stands."""
        return self._connected_in == os.getpid()

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._task = _THREAD.submit(self._run())
        self._task.add_done_callback(lambda _: CALLBACKS.submit(self._over))

    def stop(self) -> None:
        """Close the connection; returns at once. A second call does nothing."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        waiting = asyncio.Semaphore(_MOST_WAITING)
        failures = 0
        # Once in any case: the session may have ended before this thread came to it, and be heard all the same.
        while True:
            error = RequestFailed("the connection was closed")
            try:
                if await self._listen(waiting):
                    return
            except RequestFailed as failed:
                error = failed
            failures = 1 if self.connected else failures + 1
            self._connected_in = None
            self._note_failure(error)
            if self._is_over():
                return
            await asyncio.sleep(_retry.backoff(failures, _RETRY_BASE, _RETRY_CAP, chance))

    async def _listen(self, waiting: asyncio.Semaphore) -> bool:
        """Listen until the session's end, which is true, or the connection's."""
        # Imported late: most processes listen to nothing.
        with FORKS.no_fork():
            from websockets.asyncio.client import connect  # noqa: PLC0415
            from websockets.exceptions import WebSocketException  # noqa: PLC0415

        answer = await self._requests.send(
            "GET", _KEY_PATH, {"session_id": self._session_id} if self._session_id else {}
        )
        key = answer.get("authorization_key") if isinstance(answer, dict) else None
        if not isinstance(key, str):
            raise RequestFailed("the service gave no authorization_key")
        try:
            async with connect(
                self._address,
                additional_headers={"Authorization": f"Bearer {key}"},
                user_agent_header=f"mindlytics-python/{__version__}",
                open_timeout=_OPEN_TIMEOUT,
                close_timeout=_CLOSE_TIMEOUT,
                max_size=_MAX_MESSAGE_BYTES,
            ) as connection:
                self._note_connected()
                try:
                    return await self._read(connection, waiting)
                except asyncio.CancelledError:
                    # Otherwise it would be closed as after an internal error.
                    await connection.close()
                    raise
        except (WebSocketException, OSError, TimeoutError, ValueError) as error:
            raise RequestFailed(f"no connection for live events: {type(error).__name__}") from error

    async def _read(self, messages: AsyncIterable[str | bytes], waiting: asyncio.Semaphore) -> bool:
        loop = asyncio.get_running_loop()
        async for message in messages:
            await waiting.acquire()
            is_last = self._take(message)
            CALLBACKS.submit(functools.partial(_release, loop, waiting))
            if is_last:
                CALLBACKS.submit(self._over)
                return True
        return False

    def _note_connected(self) -> None:
        self._connected_in = os.getpid()
        self._told = False
        if not self.tried.done():
            self.tried.set_result(None)

    def _note_failure(self, error: RequestFailed) -> None:
        if not self.tried.done():
            self.tried.set_result(error)
        if not self._told:
            self._told = True
            self._tell(self._on_error, error)

    def _take(self, message: str | bytes) -> bool:
        try:
            event = MLEvent.model_validate_json(message)
        except ValidationError:
            self._tell(self._on_error, DeliveryError("a live event could not be read"))
            return False
        if event.event == _FAULT:
            said = (event.properties or {}).get("error_message", "the service named no reason")
            self._tell(self._on_error, DeliveryError(str(said), session_id=event.session_id))
            return False
        self._tell(self._on_event, event)
        return event.event == SESSION_ENDED and event.session_id == self._session_id

    def _tell(self, callback: Callable[[Any], Any] | None, fact: object) -> None:
        if callback is not None:
            CALLBACKS.submit(functools.partial(callback, fact))

    def _over(self) -> None:
        self._connected_in = None
        if not self.tried.done():
            self.tried.set_result(RequestFailed("listening was stopped"))
        if not self.session_ended.done():
            self.session_ended.set_result(None)


class _Thread:
    """The thread that all connections share; it starts with the first of them."""

    def __init__(self) -> None:
        self._hooked = False
        self.renew()

    def renew(self) -> None:
        """Begin with none; what a forked child sees is its parent's."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def submit(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        """Have `work` run there; errors are counted, not raised."""
        with self._lock:
            loop = self._loop = self._loop or self._started()
        return asyncio.run_coroutine_threadsafe(_guarded(work), loop)

    def _started(self) -> asyncio.AbstractEventLoop:
        if not self._hooked and hasattr(os, "register_at_fork"):
            self._hooked = True
            os.register_at_fork(after_in_child=self.renew)
        loop = asyncio.SelectorEventLoop()
        threading.Thread(target=loop.run_forever, name="mindlytics-live", daemon=True).start()
        return loop


_THREAD = _Thread()


async def _guarded(work: Coroutine[Any, Any, None]) -> None:
    with _guard.guarded("live"):
        await work


def _release(loop: asyncio.AbstractEventLoop, waiting: asyncio.Semaphore) -> None:
    with _guard.guarded("live"):
        loop.call_soon_threadsafe(waiting.release)
