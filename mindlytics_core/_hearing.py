"""What a session hears of itself: when it begins to listen, and what is waited for before it stops."""

import asyncio
import threading
from concurrent import futures
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Protocol

from mindlytics_core._callbacks import at_home, inside_callback
from mindlytics_core._clock import Clock
from mindlytics_core._guard import call_guarded
from mindlytics_core._lifecycle import Lifecycle
from mindlytics_core._listener import Listener, Listening, OnError, OnEvent
from mindlytics_core._threads import loop_runs


class Client(Listener, Protocol):
    """What is needed of the client."""

    clock: Clock

    def call_at(self, when: float, task: Any) -> None:
        """Have `task` called at a time of the monotonic clock."""
        ...


class Hearing:
    """
    One session's live events, for one object of it.

    Args:
        client: Makes the connection.

        lifecycle: The session.

        on_event: Called with each live event.

        on_error: Called with each event of the session that was refused, and each fault.

        timeout: Most seconds to wait for the connection, and for `Session Ended`.
    """

    def __init__(
        self, client: Client, lifecycle: Lifecycle, on_event: OnEvent | None, on_error: OnError | None, timeout: float
    ) -> None:
        self.timeout = timeout
        self.on_event = at_home(on_event)
        self.on_error = at_home(on_error)
        self._client = client
        self._lifecycle = lifecycle
        self._listening: Listening | None = None
        self._beginning = threading.Lock()

    def begin_if_wanted(self) -> None:
        """Listen where there are callbacks; raises nothing."""
        if self.on_event is not None or self.on_error is not None:
            call_guarded("live.start", self.begin)

    def begin(self, on_event: OnEvent | None = None, on_error: OnError | None = None) -> None:
        """
        Listen; what is recorded from now on leaves when the connection stands, or cannot be had in time.

        Args:
            on_event: In place of the one known so far.

            on_error: Likewise.
        """
        self.on_event = at_home(on_event) or self.on_event
        self.on_error = at_home(on_error) or self.on_error
        with self._beginning:
            if self._listening is not None:
                return
            lifecycle = self._lifecycle
            listening = self._listening = self._client.listen(
                session_id=lifecycle.session_id,
                on_event=self.on_event,
                on_error=self.on_error,
                is_over=lambda: lifecycle.has_ended,
            )
        if listening is not None:
            may_leave: Future[None] = Future()
            listening.tried.add_done_callback(lambda _: _settle(may_leave))
            self._client.call_at(self._client.clock.monotonic() + self.timeout, lambda: _settle(may_leave))
            lifecycle.hold(may_leave)

    async def await_attempt(self) -> None:
        """Wait for the first attempt to connect."""
        if self._listening is not None:
            await wait_for(self._listening.tried, self.timeout)

    def block_for_attempt(self) -> None:
        """Wait for the first attempt to connect, where no loop is held up by it."""
        if self._listening is not None and not loop_runs():
            futures.wait([self._listening.tried], self.timeout)

    async def await_end(self, *, delivered: bool) -> None:
        """Wait until the end of the session has been heard, if it will be, and stop."""
        if (ended := self._end_to_come(delivered=delivered)) is not None:
            await wait_for(ended, self.timeout)
        self._stop()

    def block_for_end(self, *, delivered: bool) -> None:
        """Wait until the end of the session has been heard, if it will be, and stop."""
        # The app's loop must not be held up: its callbacks run there. Listening stops by itself at the end.
        if not loop_runs():
            if (ended := self._end_to_come(delivered=delivered)) is not None:
                futures.wait([ended], self.timeout)
            self._stop()

    def _end_to_come(self, *, delivered: bool) -> Future[None] | None:
        """What to wait for before listening stops; None where nothing will come, or we are called by what would."""
        listening = self._listening
        if listening is None or not delivered or not self._lifecycle.sent_its_end or inside_callback():
            return None
        return listening.session_ended if listening.connected else None

    def _stop(self) -> None:
        if self._listening is not None:
            self._listening.stop()


async def wait_for(future: Future[Any], timeout: float) -> None:
    """Wait on any running loop until a future of another thread is done, or for `timeout` seconds."""
    await asyncio.wait([asyncio.wrap_future(future)], timeout=timeout)


def _settle(future: Future[None]) -> None:
    with suppress(futures.InvalidStateError):  # whoever comes second
        future.set_result(None)
