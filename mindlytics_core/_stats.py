"""Counters that add up: accepted = delivered + pending + Σ dropped[reason], at every moment."""

import itertools
from collections import deque
from collections.abc import Mapping

import msgspec

QUEUE_OVERFLOW = "queue_overflow"
TOO_LARGE = "too_large"
ENCODE_ERROR = "encode_error"
CLOSED = "closed"
BEFORE_SEND = "before_send"
EXPIRED = "expired"
SPOOL_FULL = "spool_full"
SPOOL_CORRUPT = "spool_corrupt"
SAMPLED_OUT = "sampled_out"


class Counter:
    """
    A number that threads, signal handlers and finalisers may raise without a lock.

    `itertools.count` moves on in one step that nothing can interrupt; its repr is the one way to look
    at it without moving it.
    """

    __slots__ = ("_count", "raise_by_one")

    def __init__(self) -> None:
        self._count = itertools.count()
        #: Raise the number by one.
        self.raise_by_one = self._count.__next__

    def value(self) -> int:
        """The number now."""
        return int(repr(self._count)[len("count(") : -1])


class Sum:
    """
    A total that threads, signal handlers and finalisers may add to without waiting.

    An amount is put down in one step, and taken up and added in another one, which nothing can interrupt either:
    whoever is broken off between them leaves it for the next to add.
    """

    __slots__ = ("_amounts", "_totals", "total")

    def __init__(self) -> None:
        #: The sum so far.
        self.total = 0
        self._amounts: deque[int] = deque()
        self._totals = itertools.accumulate(iter(self._amounts.popleft, None))

    def add(self, amount: int) -> int:
        """Add, and give the total."""
        self._amounts.append(amount)
        total = self.total
        try:
            while self._amounts:
                self.total = total = next(self._totals)
        except IndexError:  # somebody else was quicker
            pass
        return total


class Tally:
    """Numbers by reason, raised from anywhere."""

    def __init__(self) -> None:
        self._counters: dict[str, Counter] = {}

    def add(self, reason: str) -> None:
        """Count one more for `reason`."""
        # setdefault is one step: two threads get the same counter.
        (self._counters.get(reason) or self._counters.setdefault(reason, Counter())).raise_by_one()

    def values(self) -> dict[str, int]:
        """The numbers now, without the reasons that never happened."""
        return {reason: counter.value() for reason, counter in list(self._counters.items())}


class Stats(msgspec.Struct, frozen=True):
    """
    What became of every event since the start of the process.

    Attributes:
        accepted: Events that passed the checks at the call.

        delivered: Events that the service took.

        pending: Events that wait or are on their way.

        dropped: Events given up, by reason.

        faults: Errors inside this package that were swallowed to spare the app, by place.

        adopted: How many of the accepted ones dead processes had left in the spool.

        spooled: How many of the pending ones are on disk.
    """

    accepted: int = 0
    delivered: int = 0
    pending: int = 0
    dropped: Mapping[str, int] = msgspec.field(default_factory=dict)
    faults: Mapping[str, int] = msgspec.field(default_factory=dict)
    adopted: int = 0
    spooled: int = 0


class FlushResult(msgspec.Struct, frozen=True):
    """
    What became of the events that were accepted and unsettled when `flush` was called.

    Attributes:
        ok: Whether the service took every one of them.

        delivered: Events that the service took.

        pending: Events that are still waiting or on their way; they are not lost.

        dropped: Events given up, by reason.
    """

    ok: bool
    delivered: int = 0
    pending: int = 0
    dropped: Mapping[str, int] = msgspec.field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.ok


def combined(results: list[FlushResult]) -> FlushResult:
    """Several flushes as one."""
    dropped: dict[str, int] = {}
    for result in results:
        for reason, count in result.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
    return FlushResult(
        ok=all(result.ok for result in results),
        delivered=sum(result.delivered for result in results),
        pending=sum(result.pending for result in results),
        dropped=dropped,
    )
