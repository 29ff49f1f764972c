"""
What to send next, decided without any I/O: events, ticks and answers in; batches and verdicts out.

Every session is a lane: its events leave in order, and at most one batch of it is on its way. A batch may
mix sessions; they take turns, so that a busy one does not hold up the others. One gate stands before the
destination: after a failure it closes, and when its time is up a single batch goes ahead as a probe before the
others follow.
"""

import bisect
import heapq
import itertools
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mindlytics_core import _retry
from mindlytics_core._batch import Batch, Doubt, Entry
from mindlytics_core._config import Delivery
from mindlytics_core._gate import Gate
from mindlytics_core._limits import Limits
from mindlytics_core._queue import Item
from mindlytics_core._retry import Answer, Verdict

_TOO_LARGE = 413


class Settled(NamedTuple):
    """
    What an answer decided.

    Attributes:
        delivered: Events that the service took.

        refused: The one event that it refused for good.

        paused: Whether this answer is the one that paused the queue.
    """

    delivered: Sequence[Entry] = ()
    refused: Entry | None = None
    paused: bool = False


class Lane:
    """One session's waiting events, and in how many unsettled batches it has others: then it sends nothing new."""

    __slots__ = ("bytes", "entries", "unsettled")

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        self.bytes = 0
        self.unsettled = 0

    def move(self, to: list[Entry], most_events: int, room: int) -> int:
        """Move events to a batch in the making while they fit, the very first in any case; give their bytes."""
        moved, entries = 0, self.entries
        while entries and len(to) < most_events:
            size = len(entries[0].item.body)
            if to and moved + size > room:
                break
            to.append(entries.popleft())
            moved += size
        self.bytes -= moved
        return moved


class Lanes:
    """
    The state of delivery to one destination.

    Args:
        options: Sizes and waits.

        random: Gives a number from 0 to 1, for jitter.

        new_key: Names a new batch.
    """

    def __init__(self, options: Delivery, random: Callable[[], float], new_key: Callable[[], str]) -> None:
        self._options = options
        self._new_key = new_key
        self._batch_numbers = itertools.count()
        #: The last number given.
        self.last_number = 0
        self._lanes: dict[str, Lane] = {}
        #: The lanes that may send, in the order of their turns, and what is in them.
        self._ready: OrderedDict[str, Lane] = OrderedDict()
        self._ready_events = 0
        self._ready_bytes = 0
        #: The oldest event of each ready lane, oldest first; may hold some that have left.
        self._heads: list[tuple[float, int, str]] = []
        #: Batches that failed or were split, and wait for their next attempt, oldest first.
        self._again: list[Batch] = []
        self._on_their_way: set[Batch] = set()
        #: Events up to this number do not linger: somebody flushes.
        self._hurry_to = 0
        self._limits = Limits(options)
        #: From so much on nothing lingers: where memory holds less than a batch, it would be full before.
        self._much_events, self._much_bytes = options.max_events / 2, options.max_bytes / 2
        self.gate = Gate(options, random)
        #: Events and bytes that are not settled.
        self.events = 0
        self.bytes = 0

    def skip(self) -> int:
        """Give the next number away, for an event that is lost before it comes here."""
        self.last_number += 1
        return self.last_number

    def add(self, item: Item, now: float, *, number: int | None = None) -> None:
        """Take one event in; one that this process did not make has a number of its own, below 0."""
        number = self.skip() if number is None else number
        session, size = item.session_id, len(item.body)
        lane = self._lanes.get(session)
        if lane is None:
            lane = self._lanes[session] = Lane()
        lane.entries.append(Entry(number, now, item))
        lane.bytes += size
        self.events += 1
        self.bytes += size
        if session in self._ready:
            self._ready_events += 1
            self._ready_bytes += size
        elif not lane.unsettled:
            self._make_ready(session, lane)

    def evict_oldest_session(self) -> Sequence[Entry]:
        """Give up what waits of the session that came first, but for its batch; nothing where it is the only one."""
        waiting = ((session, lane) for session, lane in self._lanes.items() if lane.entries)
        oldest, other = next(waiting, None), next(waiting, None)
        if oldest is None or other is None:
            return ()
        session, lane = oldest
        entries, size = list(lane.entries), lane.bytes
        lane.entries.clear()
        lane.bytes = 0
        self.events -= len(entries)
        self.bytes -= size
        if self._ready.pop(session, None) is not None:
            self._ready_events -= len(entries)
            self._ready_bytes -= size
        if not lane.unsettled:
            del self._lanes[session]
        return entries

    def hurry(self, *, last_chance: bool = False) -> None:
        """
        Send what is here without lingering, and try a paused destination once.

        Args:
            last_chance: The process ends: try any destination now, unless it asked for a later time.
        """
        self._hurry_to = self.last_number
        self.gate.hurry(last_chance=last_chance)

    def may_send(self, now: float) -> bool:
        """Whether a request may leave now, if there is anything to send."""
        return len(self._on_their_way) < self._options.concurrency and self.gate.allows(now)

    def next_batch(self, now: float) -> Batch | None:
        """The batch to send now, or None. Each one must come back through `settle`."""
        if not self.may_send(now):
            return None
        batch = self._again_batch() or self._new_batch(now)
        while batch is not None and self._limits.bare and not batch.bare:
            self._send_bare(batch)
            batch = self._again_batch()
        if batch is not None:
            self._on_their_way.add(batch)
            self.gate.passed(batch)
        return batch

    def settle(self, batch: Batch, answer: Answer, now: float) -> Settled:
        """Take the answer to a batch in, and say what it decided."""
        self._on_their_way.discard(batch)
        verdict = _retry.verdict(answer)
        if verdict in {Verdict.RETRY, Verdict.PAUSE}:
            self._put_back(batch)
            return Settled(paused=self.gate.failed(batch, answer, now, paused=verdict is Verdict.PAUSE))
        self.gate.answered(batch, now)
        if verdict is Verdict.SPLIT:
            return self._split(batch, too_large=answer.status == _TOO_LARGE)
        self._limits.delivered(batch)
        self._forget(batch)
        return Settled(delivered=batch.entries)

    def next_due(self, now: float) -> float:
        """
        When `next_batch` may have something next, if nothing else happens; infinity for never.

        Only right when `next_batch` has just given None for the same `now`.
        """
        if not self.events or self.gate.probe or len(self._on_their_way) >= self._options.concurrency:
            return math.inf
        if self.gate.closed_until is not None and not self.gate.allows(now):
            return self.gate.closed_until
        oldest = self._oldest()
        return math.inf if oldest is None else oldest[0] + self._options.linger

    def _make_ready(self, session: str, lane: Lane) -> None:
        self._ready[session] = lane
        self._ready_events += len(lane.entries)
        self._ready_bytes += lane.bytes
        first = lane.entries[0]
        heapq.heappush(self._heads, (first.came_at, first.number, session))

    def _oldest(self) -> tuple[float, int] | None:
        """Time and number of the oldest event that may leave."""
        while self._heads:
            came_at, number, session = self._heads[0]
            lane = self._ready.get(session)
            if lane is not None and lane.entries[0].number == number:
                return came_at, number
            heapq.heappop(self._heads)
        return None

    def _again_batch(self) -> Batch | None:
        """The oldest waiting batch none of whose sessions is ahead of it, here or on its way."""
        if not self._again:
            return None
        ahead = {session for batch in self._on_their_way for session in batch.sessions}
        for batch in self._again:
            if ahead.isdisjoint(batch.sessions):
                self._again.remove(batch)
                return batch
            ahead |= batch.sessions
        return None

    def _new_batch(self, now: float) -> Batch | None:
        if not self._due(now):
            return None
        entries: list[Entry] = []
        most_events, room = self._limits.events, self._limits.bytes
        while self._ready and len(entries) < most_events:
            session, lane = next(iter(self._ready.items()))
            before, waiting = len(entries), lane.bytes
            moved = lane.move(entries, most_events, room)
            if len(entries) == before:
                break
            room -= moved
            lane.unsettled += 1
            del self._ready[session]
            self._ready_events -= len(entries) - before + len(lane.entries)
            self._ready_bytes -= waiting
        return Batch(entries, self._new_key(), (next(self._batch_numbers),), bare=self._limits.bare)

    def _due(self, now: float) -> bool:
        oldest = self._oldest()
        return oldest is not None and (
            now >= oldest[0] + self._options.linger
            or oldest[1] <= self._hurry_to
            or self._ready_events >= min(self._limits.events, self._much_events)
            or self._ready_bytes >= min(self._limits.bytes, self._much_bytes)
        )

    def _split(self, batch: Batch, *, too_large: bool) -> Settled:
        if len(batch.entries) > 1:
            doubts = self._limits.too_large(batch) if too_large else batch.doubts
            middle = len(batch.entries) // 2
            self._replace(batch, [batch.entries[:middle], batch.entries[middle:]], doubts)
        elif self._limits.may_want_it_bare(batch) and not too_large:
            self._send_bare(batch)
        else:
            self._limits.refused(batch, too_large=too_large)
            self._forget(batch)
            return Settled(refused=batch.entries[0])
        return Settled()

    def _send_bare(self, batch: Batch) -> None:
        """Try each event in the form of a single object."""
        self._replace(batch, [[entry] for entry in batch.entries], batch.doubts, bare=True)

    def _replace(
        self, batch: Batch, parts: list[Sequence[Entry]], doubts: tuple[Doubt, ...], *, bare: bool = False
    ) -> None:
        """Each part has another body than the whole, and so another key."""
        for number, entries in enumerate(parts):
            part = Batch(entries, self._new_key(), (*batch.order, number), bare=bare, doubts=doubts)
            for session in part.sessions:
                self._lanes[session].unsettled += 1
            self._put_back(part)
        for session in batch.sessions:
            self._lanes[session].unsettled -= 1

    def _put_back(self, batch: Batch) -> None:
        bisect.insort(self._again, batch, key=_order)

    def _forget(self, batch: Batch) -> None:
        self.events -= len(batch.entries)
        self.bytes -= batch.size
        for session in batch.sessions:
            lane = self._lanes[session]
            lane.unsettled -= 1
            if lane.unsettled:
                continue
            if lane.entries:
                self._make_ready(session, lane)
            else:
                del self._lanes[session]


def _order(batch: Batch) -> tuple[int, ...]:
    return batch.order
