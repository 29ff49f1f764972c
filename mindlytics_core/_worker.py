"""One thread with its own event loop per destination: it awaits, `_lanes` decides."""

import asyncio
import concurrent.futures
import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mindlytics_core import _guard, _stats
from mindlytics_core._batch import Batch, Entry
from mindlytics_core._clock import IDS, Clock, chance
from mindlytics_core._config import Delivery, Destination
from mindlytics_core._flush import Ticket
from mindlytics_core._lanes import Lanes
from mindlytics_core._queue import Item, Owner, Queue
from mindlytics_core._retry import Answer
from mindlytics_core._rows import is_adopted, is_on_disk
from mindlytics_core._runner import NewLoop, Runner
from mindlytics_core._stats import FlushResult, Stats
from mindlytics_core._threads import started
from mindlytics_core._timers import Timers
from mindlytics_core._transport import HTTPTransport, Transport
from mindlytics_core.exceptions import DeliveryPaused, EventRefused

if TYPE_CHECKING:
    from mindlytics_core._store import Store

_STOP_TIMEOUT = 1.0
_EXIT_TIMEOUT_SPOOLING = 2.0
#: The share of the bounds from which on old sessions make room for new events, where that is asked for.
_FULL = 0.9
#: While a batch is collected, the worker looks by itself whether it is full: so many times, or after so many seconds.
_LOOKS_WHILE_LINGERING, _LONGEST_LOOK_AWAY = 5, 0.25


#: So many events are taken in at once.
_PORTION = 1_000


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
        self._store: Store | None = None
        self.renew()

    def renew(self) -> None:
        """
        Begin with nothing queued and no thread.

        A forked child must: the events, the loop and the connections it sees are its parent's. They are let
        go, never closed; closing the loop's poll object would break the parent's.
        """
        if self._store is not None:
            self._store.abandon()
        self._store = None if self._spool_dir is None else self._new_store(self._spool_dir)
        self._runner = Runner(self._serve, ended=self._wait_for_events, new_loop=self._new_loop)
        log = self._store.log if self._store is not None and self.options.durability == "call" else None
        self.queue = Queue(self.options, self._runner.wake, log=log, may_wait=self._store is not None)
        self._lanes = Lanes(self.options, chance, IDS.new)
        self._delivered = 0
        self._tickets: list[Ticket] = []
        self._replays: list[concurrent.futures.Future[None]] = []
        self._timers = Timers()
        self._sending: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._adopted_numbers = itertools.count(-(2**62))

    def stats(self) -> Stats:
        """What became of every event. Read in this order, nothing can look negative."""
        delivered = self._delivered
        dropped = self.queue.dropped.values()
        adopted, spooled = (0, 0) if self._store is None else (self._store.adopted_events, self._store.on_disk)
        accepted = self.queue.accepted.value() + adopted
        pending = accepted - delivered - sum(dropped.values())
        return Stats(accepted, delivered, pending, dropped, _guard.faults.values(), adopted, spooled)

    @property
    def is_spooling(self) -> bool:
        """Whether what is not delivered waits on disk."""
        return self._store is not None and self._store.works

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
        self.queue.put_task(lambda: self._open_ticket(ticket, last_chance=last_chance))
        self._runner.ensure_running()
        return ticket

    def replay(self) -> concurrent.futures.Future[None]:
        """Deliver what dead processes have left in the spool; done when nothing of it waits any more."""
        done: concurrent.futures.Future[None] = concurrent.futures.Future()
        self.queue.put_task(lambda: self._open_replay(done))
        self._runner.ensure_running()
        return done

    def result(self, ticket: Ticket) -> FlushResult:
        """What has become of a ticket's events so far."""
        return ticket.result(unopened=self.stats().pending)

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

    def stop(self, *, wait: bool = False) -> None:
        """End the thread once it has nothing on its way; what still waits stays in memory."""
        self._stopping = True
        self._runner.ring()
        if wait and self.queue.worker_thread != threading.get_ident():
            self._runner.join(_STOP_TIMEOUT)

    def _wait_for_events(self) -> None:
        """The thread has ended; if it died of a fault, the next event starts another one."""
        self.queue.before_sleep(wake_for_one=True)

    async def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        self._stopping = False
        self.queue.worker_thread = threading.get_ident()
        making = self._make_transport()
        try:
            while not self._stopping:
                self._runner.alarm.clear()
                self._take_in()
                self._timers.fire(self._now())
                if making.done():
                    self._send_ready(making.result())
                await self._sleep(loop, may_send=making.done())
        finally:
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)
            if self._stopping:
                self._take_in()
                self._close_store()
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

        if self._store is not None and self._runner.may_start:
            started(make, "mindlytics-import")
        else:
            make()
        return made

    def _take_in(self) -> None:
        items: list[Item] = []
        for thing in self.queue.taken():
            if isinstance(thing, Item):
                items.append(thing)
                if len(items) == _PORTION:
                    # What is on disk gives its place to new events, and must be gone before these come in.
                    self._admit(items)
                    items = []
            else:
                # A task is for after everything that was put before it.
                self._admit(items)
                items = []
                _guard.call_guarded("worker.task", thing)
        self._admit(items)
        if self._store is not None:
            self._read_back(self._store)

    def _admit(self, items: list[Item]) -> None:
        now = self._now()
        lanes = self._lanes
        to_lanes = items if self._store is None else self._store.take(items, lanes.events, lanes.bytes)
        for item in to_lanes:
            lanes.add(item, now)
        if self._store is None and self.options.overflow == "drop_oldest_session":
            self._evict()
        if self._store is not None:
            self.queue.may_wait = self._store.works

    def _evict(self) -> None:
        """Keep room for new events at the cost of old sessions."""
        lanes, options = self._lanes, self.options
        while lanes.events > _FULL * options.max_events or lanes.bytes > _FULL * options.max_bytes:
            evicted = lanes.evict_oldest_session()
            if not evicted:
                return
            for entry in evicted:
                self._give_up(entry, _stats.QUEUE_OVERFLOW)

    def _read_back(self, store: "Store") -> None:
        now = self._now()
        for item in store.read_back(self._lanes.bytes):
            if is_adopted(item):
                # Nobody waits for them here: they take no number that a flush would count.
                self._lanes.add(item, now, number=next(self._adopted_numbers))
            else:
                self._lanes.add(item, now)
        store.tidy()
        if self._replays and not store.has_adopted:
            replays, self._replays = self._replays, []
            for done in replays:
                done.set_result(None)

    def _open_replay(self, done: concurrent.futures.Future[None]) -> None:
        if self._store is None:
            done.set_result(None)
            return
        self._store.look_again()
        self._store.hurry()
        self._lanes.hurry()
        self._replays.append(done)

    def _new_store(self, directory: Path) -> "Store":
        # Late: who has no spool needs no SQLite.
        from mindlytics_core._store import Store  # noqa: PLC0415

        return Store(
            directory,
            self._destination,
            self.options,
            clock=self._clock,
            drop=self._drop_item,
            lost=self._drop_lost,
            freed=self._free,
        )

    def _close_store(self) -> None:
        if self._store is not None:
            with _guard.guarded("spool.close"):
                self._store.close()

    def _free(self, events: int, size: int) -> None:
        self.queue.free(events, size)

    def _drop_item(self, item: Item, reason: str) -> None:
        if item.body:
            self.queue.free(1, len(item.body))
        self.queue.drop(item.owner, item.session_id, reason)

    def _drop_lost(self, count: int, owner: Owner, reason: str) -> None:
        for _ in range(count):
            self.queue.drop(owner, "", reason)
            self._tell_tickets(self._lanes.skip(), reason)

    def _send_ready(self, transport: Transport) -> None:
        while (batch := self._lanes.next_batch(self._now())) is not None:
            task = asyncio.ensure_future(self._deliver(transport, batch))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _sleep(self, loop: asyncio.AbstractEventLoop, *, may_send: bool) -> None:
        now, alarm = self._now(), self._runner.alarm
        due = [] if self._timers.next_due is None else [self._timers.next_due]
        if self._store is not None:
            due.append(self._store.next_due())
        if may_send and (next_batch := self._lanes.next_due(now)) is not None:
            due.append(next_batch)
        wait = min(due) - now if due else None
        # Where nothing may leave, or we look again soon, the app's calls need not stop to wake us.
        lingers = wait is not None and wait <= self.options.linger
        holds = self._store is None and not (may_send and self._lanes.may_send(now))
        if wait is not None and lingers:
            wait = min(wait, self.options.linger / _LOOKS_WHILE_LINGERING, _LONGEST_LOOK_AWAY)
        if not self.queue.before_sleep(wake_for_one=not lingers and not holds):
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
            self._runner.alarm.set()

    def _settle(self, batch: Batch, answer: Answer) -> None:
        settled = self._lanes.settle(batch, answer, self._now())
        self._delivered += len(settled.delivered)
        for entry in settled.delivered:
            self._forget(entry.item)
            self._tell_tickets(entry.number, None)
        if settled.refused is not None:
            if self._store is not None:
                self._store.keep_refused(settled.refused.item, answer.status, answer.message)
            error = EventRefused(answer.message, status=answer.status, session_id=settled.refused.item.session_id)
            self._give_up(settled.refused, f"rejected_{answer.status}", error)
        if settled.paused:
            for owner in {entry.item.owner for entry in batch.entries}:
                owner.noticed(DeliveryPaused(answer.message, status=answer.status))

    def _give_up(self, entry: Entry, reason: str, error: EventRefused | None = None) -> None:
        self._forget(entry.item)
        self.queue.drop(entry.item.owner, entry.item.session_id, reason, error)
        self._tell_tickets(entry.number, reason)

    def _open_ticket(self, ticket: Ticket, *, last_chance: bool) -> None:
        self._lanes.hurry(last_chance=last_chance)
        if self._store is not None:
            self._store.hurry()
        self._tickets.append(ticket)
        waiting, adopted = (0, 0) if self._store is None else self._store.waiting()
        ticket.open(self._lanes.last_number + waiting, self._lanes.events + waiting - adopted)
        self._tickets = [ticket for ticket in self._tickets if not ticket.done.done()]

    def _forget(self, item: Item) -> None:
        if not is_on_disk(item):
            self.queue.free(1, len(item.body))
        if self._store is not None:
            self._store.settled(item)

    def _tell_tickets(self, number: int, dropped_as: str | None) -> None:
        for ticket in self._tickets:
            ticket.settle(number, dropped_as)
