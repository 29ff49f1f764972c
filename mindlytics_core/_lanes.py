"""
What to send next, decided without any I/O: events, ticks and answers in; batches and verdicts out.

Every session is a lane: its events leave in order, and at most one batch of it is on its way. A batch may
mix sessions. One gate stands before the destination: after a failure it closes, and when its time is up a
single batch goes ahead as a probe before the others follow.
"""

import itertools
from collections import Counter as Multiset
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from mindlytics_core import _retry
from mindlytics_core._config import Delivery
from mindlytics_core._queue import Item
from mindlytics_core._retry import Answer, Verdict


class Entry(NamedTuple):
    """An item with its place in the order of arrival and the time when it came in."""

    number: int
    came_at: float
    item: Item


class Limits(NamedTuple):
    """What fits into one request, in events and in bytes."""

    events: int
    bytes: int

    def halved(self, batch: "Batch") -> "Limits":
        """What may fit after a batch was too large."""
        return Limits(min(self.events, len(batch.entries) // 2), min(self.bytes, max(batch.size() // 2, 1)))


@dataclass(slots=True, eq=False)
class Batch:
    """
    Events that travel together until they are delivered or split.

    Attributes:
        entries: The events, each session's in order.

        key: Names this very set of events; the same on every attempt.

        place: Where it stands among batches that are sent again: its first event's number, then which half of a half.

        limits_before: What was believed to fit a request before a larger batch with these events was too large.
    """

    entries: tuple[Entry, ...]
    key: str
    place: tuple[int, ...]
    limits_before: "Limits | None" = None
    sessions: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.sessions = frozenset(entry.item.session_id for entry in self.entries)

    def body(self) -> bytes:
        """The JSON array that the service documents."""
        return b"[" + b",".join(entry.item.body for entry in self.entries) + b"]"

    def size(self) -> int:
        """Bytes of the events, without the array's own."""
        return sum(len(entry.item.body) for entry in self.entries)


class Settled(NamedTuple):
    """
    What an answer decided.

    Attributes:
        delivered: Events that the service took.

        refused: The one event that it refused for good.

        paused: Whether this answer is the one that paused the queue.
    """

    delivered: tuple[Entry, ...] = ()
    refused: Entry | None = None
    paused: bool = False


class Gate:
    """Whether requests may leave: open, closed until a time, or with one probe on its way."""

    def __init__(self) -> None:
        self.failures = 0
        self.closed_until: float | None = None
        #: The service asked for no request before this time.
        self.asked_until = 0.0
        self.paused = False
        self.probe: Batch | None = None

    def allows(self, now: float) -> bool:
        """Whether a request may leave now."""
        if self.closed_until is None:
            return True
        return self.probe is None and now >= self.closed_until


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
        self._random = random
        self._new_key = new_key
        self._numbers = itertools.count(1)
        #: The last number given.
        self.last_number = 0
        #: Each session's waiting events; sessions in the order of their oldest event, but a cut one comes last.
        self._lanes: OrderedDict[str, deque[Entry]] = OrderedDict()
        self._lane_events = 0
        self._lane_bytes = 0
        #: Batches that failed or were split, and wait for their next attempt, oldest first.
        self._again: deque[Batch] = deque()
        self._on_their_way: set[Batch] = set()
        #: In how many unsettled batches a session has events; such a session sends nothing new.
        self._busy: Multiset[str] = Multiset()
        #: Learned from the service's 413 answers.
        self._limits = Limits(options.batch_events, options.batch_bytes)
        #: Sessions whose lanes did not fit into a batch whole; their rest has lingered enough.
        self._cut: set[str] = set()
        #: Events up to this number do not linger: somebody flushes.
        self._hurry_to = 0
        self.gate = Gate()
        #: Events and bytes that are not settled.
        self.events = 0
        self.bytes = 0

    def skip(self) -> int:
        """Give the next number away, for an event that is lost before it comes here."""
        self.last_number = next(self._numbers)
        return self.last_number

    def add(self, item: Item, now: float, *, number: int | None = None) -> None:
        """Take one event in; one that this process did not make has a number of its own, below 0."""
        number = self.skip() if number is None else number
        lane = self._lanes.setdefault(item.session_id, deque())
        lane.append(Entry(number, now, item))
        self._lane_events += 1
        self._lane_bytes += len(item.body)
        self.events += 1
        self.bytes += len(item.body)

    def hurry(self, *, last_chance: bool = False) -> None:
        """
        Send what is here without lingering, and try a paused destination once.

        Args:
            last_chance: The process ends: try any destination now, unless it asked for a later time.
        """
        self._hurry_to = self.last_number
        if self.gate.paused or (last_chance and self.gate.closed_until is not None):
            self.gate.failures = 0
            self.gate.closed_until = self.gate.asked_until

    def next_batch(self, now: float) -> Batch | None:
        """The batch to send now, or None. Each one must come back through `settle`."""
        if len(self._on_their_way) >= self._options.concurrency or not self.gate.allows(now):
            return None
        batch = self._again_batch() or self._new_batch(now)
        if batch is not None:
            self._on_their_way.add(batch)
            if self.gate.closed_until is not None:
                self.gate.probe = batch
        return batch

    def settle(self, batch: Batch, answer: Answer, now: float) -> Settled:
        """Take the answer to a batch in, and say what it decided."""
        self._on_their_way.discard(batch)
        verdict = _retry.verdict(answer.status)
        if verdict in {Verdict.RETRY, Verdict.PAUSE}:
            self._put_back(batch)
            return Settled(paused=self._close_gate(batch, answer, now, paused=verdict is Verdict.PAUSE))
        # Only a probe opens a closed gate: one that left before the gate closed says nothing about now.
        if self.gate.probe is batch:
            self._open_gate(now)
        if verdict is Verdict.SPLIT:
            return self._split(batch, answer.status)
        self._forget(batch)
        return Settled(delivered=batch.entries)

    def next_due(self, now: float) -> float | None:
        """
        When `next_batch` may have something next, if nothing else happens; None for never.

        Only right when `next_batch` has just given None.
        """
        if not self.events or self.gate.probe or len(self._on_their_way) >= self._options.concurrency:
            return None
        if not self.gate.allows(now):
            return self.gate.closed_until
        oldest = next(self._ready_lanes(), None)
        return None if oldest is None else oldest[0].came_at + self._options.linger

    def _ready_lanes(self) -> Iterator[deque[Entry]]:
        return (lane for session, lane in self._lanes.items() if not self._busy[session])

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
        size = 0
        for lane in self._ready_lanes():
            while lane and len(entries) < self._limits.events:
                size += len(lane[0].item.body)
                if entries and size > self._limits.bytes:
                    return self._gathered(entries)
                entries.append(lane.popleft())
            if len(entries) >= self._limits.events:
                break
        return self._gathered(entries)

    def _due(self, now: float) -> bool:
        oldest = next(self._ready_lanes(), None)
        return oldest is not None and (
            any(not self._busy[session] for session in self._cut)
            or self._lane_events >= self._limits.events
            or self._lane_bytes >= self._limits.bytes
            or now >= oldest[0].came_at + self._options.linger
            or self._hurried()
        )

    def _hurried(self) -> bool:
        if self._hurry_to and not any(lane[0].number <= self._hurry_to for lane in self._lanes.values()):
            self._hurry_to = 0
        return self._hurry_to > 0 and any(lane[0].number <= self._hurry_to for lane in self._ready_lanes())

    def _gathered(self, entries: list[Entry]) -> Batch:
        batch = Batch(tuple(entries), self._new_key(), (entries[0].number,))
        self._lane_events -= len(entries)
        self._lane_bytes -= batch.size()
        for session in batch.sessions:
            self._busy[session] += 1
            self._cut.discard(session)
            if not self._lanes[session]:
                del self._lanes[session]
            else:
                # Behind the others, who would never have their turn beside a session that always has more.
                self._lanes.move_to_end(session)
                self._cut.add(session)
        return batch

    def _split(self, batch: Batch, status: int) -> Settled:
        limits_before = batch.limits_before
        if len(batch.entries) == 1:
            if status == _TOO_LARGE and limits_before is not None:
                # It was this one event; the batches that it was in say nothing about others.
                self._limits = Limits(*map(max, self._limits, limits_before))
            self._forget(batch)
            return Settled(refused=batch.entries[0])
        if status == _TOO_LARGE:
            limits_before = limits_before or self._limits
            self._limits = self._limits.halved(batch)
        middle = len(batch.entries) // 2
        parts = batch.entries[:middle], batch.entries[middle:]
        halves = [Batch(part, self._new_key(), (*batch.place, half), limits_before) for half, part in enumerate(parts)]
        self._busy.subtract(batch.sessions)
        for half in halves:
            self._busy.update(half.sessions)
            self._put_back(half)
        return Settled()

    def _put_back(self, batch: Batch) -> None:
        """Keep batches in their places: of two that share a session, the one with its earlier events comes first."""
        at = next((at for at, other in enumerate(self._again) if other.place > batch.place), len(self._again))
        self._again.insert(at, batch)

    def _forget(self, batch: Batch) -> None:
        self.events -= len(batch.entries)
        self.bytes -= batch.size()
        for session in batch.sessions:
            self._busy[session] -= 1
            if not self._busy[session]:
                del self._busy[session]

    def _open_gate(self, now: float) -> None:
        """Open the gate, or as soon as the service wished in an answer to a request that left before it closed."""
        asked_until, self.gate = self.gate.asked_until, Gate()
        if asked_until > now:
            self.gate.asked_until = self.gate.closed_until = asked_until

    def _close_gate(self, batch: Batch, answer: Answer, now: float, *, paused: bool) -> bool:
        """Close the gate, or keep it closed for longer; True when this is the start of a pause."""
        gate, options = self.gate, self._options
        newly_paused = paused and not gate.paused
        # Several batches may fail of one cause; only the first of them and each probe count.
        if gate.probe is batch or gate.closed_until is None:
            gate.failures += 1
        if paused:
            wait = options.pause_interval
        else:
            wait = _retry.backoff(gate.failures, options.retry_base, options.retry_cap, self._random)
        gate.probe = None if gate.probe is batch else gate.probe
        gate.paused = paused
        gate.asked_until = max(gate.asked_until, now + answer.retry_after)
        gate.closed_until = max(gate.closed_until or 0.0, gate.asked_until, now + wait)
        return newly_paused


_TOO_LARGE = 413
