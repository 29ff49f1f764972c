"""Every event that was accepted and is not settled: where it waits, what becomes of it, and who is told."""

import concurrent.futures
import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mindlytics_core import _guard, _stats
from mindlytics_core._batch import Batch, Entry
from mindlytics_core._clock import IDS, Clock, chance
from mindlytics_core._config import Delivery, Destination
from mindlytics_core._flush import Ticket
from mindlytics_core._lanes import Lanes
from mindlytics_core._no_spool import NoSpool
from mindlytics_core._queue import Item, Owner, Queue
from mindlytics_core._retry import Answer
from mindlytics_core._rows import is_adopted, is_on_disk
from mindlytics_core._stats import Stats
from mindlytics_core.exceptions import DeliveryPaused, EventRefused

if TYPE_CHECKING:
    from mindlytics_core._store import Store

#: So many events are taken in at once.
_PORTION = 1_000
#: The share of the bounds from which on old sessions make room for new events, where that is asked for.
_FULL = 0.9


class Pending:
    """
    The queue that the app's threads fill, the store and the lanes behind it, and the books over all of them.

    Everything but the queue and `stats` is for the worker's thread alone.

    Args:
        destination: Where the events go.

        options: Bounds, sizes and waits.

        spool_dir: Where events wait on disk; None for memory alone.

        clock: Time.

        wake: Wakes the worker.
    """

    def __init__(
        self,
        destination: Destination,
        options: Delivery,
        spool_dir: Path | None,
        *,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        self._destination = destination
        self._options = options
        self._clock = clock
        self.store: Store | NoSpool = NoSpool() if spool_dir is None else self._new_store(spool_dir)
        log = self.store.log if options.durability == "call" else None
        self.queue = Queue(options, wake, log=log, may_wait=self.store.is_spool)
        self.lanes = Lanes(options, chance, IDS.new)
        self._delivered = 0
        #: Flushes that are not answered; added by whoever flushes, before the worker comes to open them.
        self.tickets: set[Ticket] = set()
        self._replays: list[concurrent.futures.Future[None]] = []
        self._adopted_numbers = itertools.count(-(2**62))

    def stats(self) -> Stats:
        """What became of every event. Read in this order, nothing can look negative."""
        delivered = self._delivered
        dropped = self.queue.dropped.values()
        adopted, spooled = self.store.adopted_events, self.store.on_disk
        accepted = self.queue.accepted.value() + adopted
        pending = accepted - delivered - sum(dropped.values())
        return Stats(accepted, delivered, pending, dropped, _guard.faults.values(), adopted, spooled)

    def take_in(self) -> None:
        """Bring what came in to the lanes, by way of the store, and call the tasks among it."""
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
        self._read_back()

    def settle(self, batch: Batch, answer: Answer) -> None:
        """Take the answer to a batch in, and tell whoever wants to know."""
        settled = self.lanes.settle(batch, answer, self._clock.monotonic())
        self._delivered += len(settled.delivered)
        self._forget(settled.delivered)
        for ticket in list(self.tickets):
            ticket.delivered(settled.delivered)
        if settled.refused is not None:
            item = settled.refused.item
            self.store.keep_refused(item, answer.status, answer.message)
            error = EventRefused(answer.message, status=answer.status, session_id=item.session_id)
            self._give_up(settled.refused, f"rejected_{answer.status}", error)
        if settled.paused:
            for owner in {entry.item.owner for entry in batch.entries}:
                owner.noticed(DeliveryPaused(answer.message, status=answer.status))

    def flush(self, ticket: Ticket, *, last_chance: bool) -> None:
        """Let what is here leave without lingering, and have the ticket follow it."""
        self.lanes.hurry(last_chance=last_chance)
        self.store.hurry()
        waiting, adopted = self.store.waiting()
        ticket.open(self.lanes.last_number + waiting, self.lanes.events + waiting - adopted)
        self.tickets.difference_update([each for each in list(self.tickets) if each.done.done()])

    def replay(self, done: concurrent.futures.Future[None]) -> None:
        """Look for what dead processes have left, and say when nothing of it waits any more."""
        self.store.look_again()
        self.store.hurry()
        self.lanes.hurry()
        self._replays.append(done)

    def close(self) -> None:
        """Take in what is left, and let the store's files go."""
        self.take_in()
        with _guard.guarded("spool.close"):
            self.store.close()

    def _new_store(self, directory: Path) -> "Store":
        # Late: who has no spool needs no SQLite.
        from mindlytics_core._store import Store  # noqa: PLC0415

        return Store(
            directory,
            self._destination,
            self._options,
            clock=self._clock,
            drop=self._drop,
            lost=self._drop_lost,
            freed=self._free,
        )

    def _admit(self, items: list[Item]) -> None:
        now, lanes = self._clock.monotonic(), self.lanes
        for item in self.store.take(items, lanes.events, lanes.bytes):
            lanes.add(item, now)
        self.queue.may_wait = self.store.works
        if self._options.overflow == "drop_oldest_session" and not self.store.is_spool:
            self._evict()

    def _evict(self) -> None:
        """Keep room for new events at the cost of old sessions."""
        lanes, options = self.lanes, self._options
        while lanes.events > _FULL * options.max_events or lanes.bytes > _FULL * options.max_bytes:
            evicted = lanes.evict_oldest_session()
            if not evicted:
                return
            for entry in evicted:
                self._give_up(entry, _stats.QUEUE_OVERFLOW)

    def _read_back(self) -> None:
        now = self._clock.monotonic()
        for item in self.store.read_back(self.lanes.bytes):
            # Nobody waits here for what a dead process left: it takes no number that a flush would count.
            self.lanes.add(item, now, number=next(self._adopted_numbers) if is_adopted(item) else None)
        self.store.tidy()
        if self._replays and not self.store.has_adopted:
            replays, self._replays = self._replays, []
            for done in replays:
                done.set_result(None)

    def _free(self, events: int, size: int) -> None:
        self.queue.free(events, size)

    def _drop(self, item: Item, reason: str) -> None:
        if item.body:
            self.queue.free(1, len(item.body))
            self._tell_of_drop(math.inf, reason)
        self.queue.drop(item.owner, item.session_id, reason)

    def _drop_lost(self, count: int, owner: Owner, reason: str) -> None:
        for _ in range(count):
            self.queue.drop(owner, "", reason)
            self._tell_of_drop(self.lanes.skip(), reason)

    def _give_up(self, entry: Entry, reason: str, error: EventRefused | None = None) -> None:
        self._forget([entry])
        self.queue.drop(entry.item.owner, entry.item.session_id, reason, error)
        self._tell_of_drop(entry.number, reason)

    def _forget(self, entries: Sequence[Entry]) -> None:
        items = [entry.item for entry in entries]
        # (Most have never been near a disk.)
        sizes = [len(item.body) for item in items if item.row is None or not is_on_disk(item)]
        self.queue.free(len(sizes), sum(sizes))
        self.store.settled(items)

    def _tell_of_drop(self, number: float, reason: str) -> None:
        for ticket in list(self.tickets):
            ticket.dropped(number, reason)
