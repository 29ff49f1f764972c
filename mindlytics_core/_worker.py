"""One thread with its own event loop per destination: it awaits, `_lanes` decides."""

import asyncio
import concurrent.futures
import math
import threading
from collections.abc import Callable
from pathlib import Path

from mindlytics_core import _guard
from mindlytics_core._batch import Batch
from mindlytics_core._clock import Clock
from mindlytics_core._config import Delivery, Destination
from mindlytics_core._flush import Ticket
from mindlytics_core._pending import Pending
from mindlytics_core._retry import Answer
from mindlytics_core._runner import NewLoop, Runner
from mindlytics_core._stats import FlushResult, Stats
from mindlytics_core._threads import started
from mindlytics_core._timers import Timers
from mindlytics_core._transport import HTTPTransport, Transport

_STOP_TIMEOUT = 1.0
_EXIT_TIMEOUT_SPOOLING = 2.0
#: While a batch is collected, the worker looks by itself whether it is full: so many times, or after so many seconds.
_LOOKS_WHILE_LINGERING, _LONGEST_LOOK_AWAY = 5, 0.25


class Worker:
    """
    Delivers what its queue takes. The thread starts with the first event, and again if it ever died.

    Args:
        destination: Where to, and as whom.

        options: Sizes, waits and limits.

        new_transport: Makes the transport, on the worker's own thread.

        clock: Time.

        new_loop: Makes the loop of the worker's thread.

        spool_dir: Where events wait on disk; None for memory alone.
    """

    def __init__(
        self,
        destination: Destination,
        options: Delivery,
        *,
        spool_dir: Path | None = None,
        new_transport: Callable[[Destination, Delivery], Transport] = HTTPTransport,
        clock: Clock | None = None,
        new_loop: NewLoop = asyncio.SelectorEventLoop,
    ) -> None:
        self.options = options
        self._destination = destination
        self._spool_dir = spool_dir
        self._new_transport = new_transport
        self._clock = clock or Clock()
        self._now = self._clock.monotonic
        self._new_loop = new_loop
        self.renew()

    def renew(self) -> None:
        """Begin with nothing queued and no thread."""
        self._runner = Runner(self._serve, ended=self._wait_for_events, new_loop=self._new_loop)
        self._pending = Pending(
            self._destination, self.options, self._spool_dir, clock=self._clock, wake=self._runner.wake
        )
        self.queue = self._pending.queue
        self._timers = Timers()
        self._sending: set[asyncio.Task[None]] = set()
        self._stopping = False
        #: Whether its last user has let go of it.
        self._is_released = False

    def renew_after_fork(self) -> None:
        """
        Begin anew in a forked child: the events, the loop and the connections that it sees are its parent's.

        They are let go, never closed; closing the loop's poll object would break the parent's.
        """
        self._pending.store.abandon()
        self.renew()

    def stats(self) -> Stats:
        """What became of every event."""
        return self._pending.stats()

    @property
    def is_spooling(self) -> bool:
        """Whether what is not delivered waits on disk."""
        return self._pending.store.works

    @property
    def exit_timeout(self) -> float:
        """How long the exit of the process waits for events that are not yet delivered."""
        timeout = self.options.exit_timeout
        return min(timeout, _EXIT_TIMEOUT_SPOOLING) if self.is_spooling else timeout

    def flush(self, *, last_chance: bool = False) -> Ticket:
        """Send what was accepted so far without lingering; the ticket tells what becomes of it."""
        ticket = Ticket()
        if not self.stats().pending:
            ticket.open(0, 0)
            return ticket
        self._pending.tickets.add(ticket)
        self.queue.put_task(lambda: self._pending.flush(ticket, last_chance=last_chance))
        self._runner.ensure_running()
        return ticket

    def replay(self) -> concurrent.futures.Future[None]:
        """Deliver what dead processes have left in the spool; done when nothing of it waits any more."""
        done: concurrent.futures.Future[None] = concurrent.futures.Future()
        self.queue.put_task(lambda: self._pending.replay(done))
        self._runner.ensure_running()
        return done

    def result(self, ticket: Ticket, *, beyond: int = 0) -> FlushResult:
        """
        What has become of a ticket's events so far.

        Args:
            ticket: What `flush` gave.

            beyond: How many events were accepted and have not come here.
        """
        return ticket.result(unopened=self.stats().pending, beyond=beyond)

    def call_at(self, when: float, task: Callable[[], None]) -> None:
        """Have the worker call `task` at a time of the monotonic clock."""
        self.queue.put_task(lambda: self._timers.add(when, task))

    def start_no_thread(self) -> None:
        """The interpreter exits: from CPython 3.12 on no thread can be started any more."""
        self._runner.may_start = False

    def run_until_settled(self, ticket: Ticket, deadline: float, *timers: tuple[float, Callable[[], None]]) -> None:
        """
        Deliver on the calling thread, if there is no other and none may be started.

        Args:
            ticket: What to deliver.

            deadline: When to give up.

            timers: What to call meanwhile, and when.
        """
        if ticket.done.done() or self._runner.is_running:
            return
        for when, task in [*timers, (deadline, self.stop)]:
            self._timers.add(when, task)
        ticket.done.add_done_callback(lambda _: self.stop())
        self._runner.run()

    def release(self) -> None:
        """Nobody uses it any more: its thread ends when nothing is pending, also what comes in late."""
        self._is_released = True
        self._runner.ring()

    def stop(self, *, wait: bool = False) -> None:
        """End the thread once it has nothing on its way; what still waits stays in memory."""
        self._stopping = True
        self._runner.ring()
        if wait and self.queue.worker_thread != threading.get_ident():
            self._runner.join(_STOP_TIMEOUT)

    def _wait_for_events(self) -> None:
        """The thread ends; the next event starts another one, and so does one that came in meanwhile."""
        if not self.queue.before_sleep(wake_for_one=True):
            self._runner.ensure_running()

    def _may_end(self) -> bool:
        if not self._is_released or self.stats().pending:
            return self._stopping
        # Takes in what has come meanwhile.
        self._pending.close()
        return self._stopping or not self.stats().pending

    async def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        self._stopping = False
        self.queue.worker_thread = threading.get_ident()
        making = self._make_transport()
        try:
            while not self._may_end():
                self._runner.alarm.clear()
                self._pending.take_in()
                self._timers.fire(self._now())
                # One look at clock and transport for both: what becomes possible between two looks, neither would see.
                now, may_send = self._now(), making.done()
                if may_send:
                    self._send_ready(making.result(), now)
                await self._sleep(loop, now, may_send=may_send)
        finally:
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)
            if self._stopping:
                self._pending.close()
            if making.done() and making.exception() is None:
                await making.result().aclose()

    def _make_transport(self) -> concurrent.futures.Future[Transport]:
        """Make the transport; with a spool beside this thread, because the import must not hold up the disk."""
        made: concurrent.futures.Future[Transport] = concurrent.futures.Future()

        def make() -> None:
            with _guard.guarded("worker.transport"):
                made.set_result(self._new_transport(self._destination, self.options))
            if not made.done():
                made.set_exception(RuntimeError("no transport"))
            self._runner.ring()

        if self._pending.store.is_spool and self._runner.may_start:
            started(make, "mindlytics-import")
        else:
            make()
        return made

    def _send_ready(self, transport: Transport, now: float) -> None:
        while (batch := self._pending.lanes.next_batch(now)) is not None:
            task = asyncio.ensure_future(self._deliver(transport, batch))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _sleep(self, loop: asyncio.AbstractEventLoop, now: float, *, may_send: bool) -> None:
        alarm = self._runner.alarm
        store, lanes = self._pending.store, self._pending.lanes
        due = min(self._timers.next_due, store.next_due(), lanes.next_due(now) if may_send else math.inf)
        wait = due - now
        # Where nothing may leave, or we look again soon, the app's calls need not stop to wake us.
        lingers = wait <= self.options.linger
        holds = not store.is_spool and not (may_send and lanes.may_send(now))
        if lingers:
            wait = min(wait, self.options.linger / _LOOKS_WHILE_LINGERING, _LONGEST_LOOK_AWAY)
        if not self.queue.before_sleep(wake_for_one=not lingers and not holds):
            return
        timer = None if wait == math.inf else loop.call_later(max(wait, 0.0), alarm.set)
        await alarm.wait()
        if timer is not None:
            timer.cancel()

    async def _deliver(self, transport: Transport, batch: Batch) -> None:
        answer = Answer(0, "fault in the transport")
        try:
            with _guard.guarded("worker.send"):
                answer = await transport.send(batch.body(), batch.key)
        finally:
            # Also when cancelled: the batch goes back, and whoever runs next sends it again.
            self._pending.settle(batch, answer)
            self._runner.alarm.set()
