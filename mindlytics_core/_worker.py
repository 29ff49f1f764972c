"""One thread with its own event loop per destination: it awaits, `_lanes` decides."""

import asyncio
import concurrent.futures
import heapq
import itertools
import random
import threading
from collections.abc import Callable
from typing import Any

from mindlytics_core import _guard
from mindlytics_core._clock import IDS, Clock
from mindlytics_core._config import Delivery, Destination
from mindlytics_core._flush import Ticket
from mindlytics_core._lanes import Batch, Lanes
from mindlytics_core._queue import Item, Queue
from mindlytics_core._retry import Answer
from mindlytics_core._stats import FlushResult, Stats
from mindlytics_core._transport import HTTPTransport, Transport
from mindlytics_core.exceptions import DeliveryPaused, EventRefused

_STOP_TIMEOUT = 1.0


class Worker:
    """
    Delivers what its queue takes. The thread starts with the first event, and again if it ever died.

    Args:
        destination: Where to, and as whom.

        options: Sizes, waits and limits.

        new_transport: Makes the transport, on the worker's own thread.

        clock: Time.
    """

    def __init__(
        self,
        destination: Destination,
        options: Delivery,
        *,
        new_transport: Callable[[Destination, Delivery], Transport] = HTTPTransport,
        clock: Clock | None = None,
    ) -> None:
        self.options = options
        self._destination = destination
        self._new_transport = new_transport
        self._now = (clock or Clock()).monotonic
        self.renew()

    def renew(self) -> None:
        """
        Begin with nothing queued and no thread.

        A forked child must: the events, the loop and the connections it sees are its parent's. They are let
        go, never closed; closing the loop's poll object would break the parent's.
        """
        self.queue = Queue(self.options, self._wake)
        self._lanes = Lanes(self.options, random.random, IDS.new)
        self._delivered = 0
        self._tickets: list[Ticket] = []
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_numbers = itertools.count()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._alarm: asyncio.Event | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._may_start = True

    def stats(self) -> Stats:
        """What became of every event. Read in this order, nothing can look negative."""
        delivered = self._delivered
        dropped = self.queue.dropped.values()
        accepted = self.queue.accepted.value()
        pending = accepted - delivered - sum(dropped.values())
        return Stats(accepted, delivered, pending, dropped, _guard.faults.values())

    def flush(self, *, last_chance: bool = False) -> Ticket:
        """Send what was accepted so far without lingering; the ticket tells what becomes of it."""
        ticket = Ticket()
        if not self.stats().pending:
            ticket.open(0, 0)
            return ticket
        self.queue.put_task(lambda: self._open_ticket(ticket, last_chance=last_chance))
        self._ensure_running()
        return ticket

    def result(self, ticket: Ticket) -> FlushResult:
        """What has become of a ticket's events so far."""
        return ticket.result(unopened=self.stats().pending)

    def call_at(self, when: float, task: Callable[[], None]) -> None:
        """Have the worker call `task` at a time of the monotonic clock."""
        entry = (when, next(self._timer_numbers), task)
        self.queue.put_task(lambda: heapq.heappush(self._timers, entry))

    def start_no_thread(self) -> None:
        """The interpreter exits: from CPython 3.12 on no thread can be started any more."""
        self._may_start = False

    def run_until_settled(self, ticket: Ticket, deadline: float, *timers: tuple[float, Callable[[], None]]) -> None:
        """
        Deliver on the calling thread, if there is no other and none may be started.

        Args:
            ticket: What to deliver.

            deadline: When to give up.

            timers: What to call meanwhile, and when.
        """
        if ticket.done.done() or self._is_running():
            return
        for when, task in [*timers, (deadline, self.stop)]:
            heapq.heappush(self._timers, (when, next(self._timer_numbers), task))
        ticket.done.add_done_callback(lambda _: self.stop())
        self._run()

    def stop(self, *, wait: bool = False) -> None:
        """End the thread once it has nothing on its way; what still waits stays in memory."""
        self._stopping = True
        self._ring()
        if wait and self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_STOP_TIMEOUT)

    def _wake(self) -> None:
        if self._loop is None:
            self._ensure_running()
        else:
            self._ring()

    def _ring(self) -> None:
        loop, alarm = self._loop, self._alarm
        if loop is not None and alarm is not None:
            # The loop may close between the look and the call; then the thread is ending by itself.
            try:
                loop.call_soon_threadsafe(alarm.set)
            except RuntimeError:
                self._ensure_running()

    def _ensure_running(self) -> None:
        if self._is_running() or not self._may_start:
            return
        # Not blocking: whoever comes second, also re-entrantly, finds its event taken by the first's thread.
        if self._starting.acquire(blocking=False):
            try:
                self._start()
            finally:
                self._starting.release()

    def _is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="mindlytics-worker", daemon=True)
        with _guard.guarded("worker.start"):
            thread.start()
            self._thread = thread

    def _run(self) -> None:
        self._stopping = False
        # Not the app's loop policy: ours must be the plain one, whatever the app runs on.
        loop = asyncio.SelectorEventLoop()
        loop.set_default_executor(_InlineExecutor())
        try:
            with _guard.guarded("worker"):
                loop.run_until_complete(self._serve(loop))
        finally:
            self._loop = None
            loop.run_until_complete(_end_others())
            loop.close()
            # If the thread died of a fault, the next event starts another one.
            self.queue.before_sleep(lingering=False)

    async def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        self._alarm, self._loop = asyncio.Event(), loop
        transport = self._new_transport(self._destination, self.options)
        try:
            while not self._stopping:
                self._alarm.clear()
                self._take_in()
                self._fire_timers()
                self._send_ready(transport)
                await self._sleep(loop, self._alarm)
        finally:
            self._loop = None
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)
            await transport.aclose()

    def _take_in(self) -> None:
        now = self._now()
        for thing in self.queue.taken():
            if isinstance(thing, Item):
                self._lanes.add(thing, now)
            else:
                _guard.call_guarded("worker.task", thing)
        self._publish()

    def _publish(self) -> None:
        self.queue.held_events, self.queue.held_bytes = self._lanes.events, self._lanes.bytes

    def _fire_timers(self) -> None:
        while self._timers and self._timers[0][0] <= self._now():
            _guard.call_guarded("worker.timer", heapq.heappop(self._timers)[2])

    def _send_ready(self, transport: Transport) -> None:
        while (batch := self._lanes.next_batch(self._now())) is not None:
            task = asyncio.ensure_future(self._deliver(transport, batch))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _sleep(self, loop: asyncio.AbstractEventLoop, alarm: asyncio.Event) -> None:
        now = self._now()
        due = [time for time, *_ in self._timers[:1]]
        if (next_batch := self._lanes.next_due(now)) is not None:
            due.append(next_batch)
        wait = min(due) - now if due else None
        if not self.queue.before_sleep(lingering=wait is not None and wait <= self.options.linger):
            return
        timer = None if wait is None else loop.call_later(max(wait, 0.0), alarm.set)
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
            self._settle(batch, answer)
            if self._alarm is not None:
                self._alarm.set()

    def _settle(self, batch: Batch, answer: Answer) -> None:
        settled = self._lanes.settle(batch, answer, self._now())
        self._publish()
        self._delivered += len(settled.delivered)
        for entry in settled.delivered:
            self._tell_tickets(entry.number, None)
        if settled.refused is not None:
            item, reason = settled.refused.item, f"rejected_{answer.status}"
            error = EventRefused(answer.message, status=answer.status, session_id=item.session_id)
            self.queue.drop(item.owner, item.session_id, reason, error)
            self._tell_tickets(settled.refused.number, reason)
        if settled.paused:
            for owner in {entry.item.owner for entry in batch.entries}:
                owner.noticed(DeliveryPaused(answer.message, status=answer.status))

    def _open_ticket(self, ticket: Ticket, *, last_chance: bool) -> None:
        self._lanes.hurry(last_chance=last_chance)
        self._tickets.append(ticket)
        ticket.open(self._lanes.last_number, self._lanes.events)
        self._tickets = [ticket for ticket in self._tickets if not ticket.done.done()]

    def _tell_tickets(self, number: int, dropped_as: str | None) -> None:
        for ticket in self._tickets:
            ticket.settle(number, dropped_as)


async def _end_others() -> None:
    """After Ctrl-C in the exit, when the loop runs on the main thread, something may be left on it."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class _InlineExecutor(concurrent.futures.ThreadPoolExecutor):
    """
    Runs what it is given at once, on the loop's own thread.

    A loop resolves host names in an executor, and the real ones refuse work once the interpreter has begun
    to exit, when the last events still have to leave. Nothing else on this loop needs one.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except OSError as error:
            future.set_exception(error)
        return future
