"""What is to be called at a time."""

import heapq
import itertools
import math
from collections.abc import Callable

from mindlytics_core import _guard


class Timers:
    """Calls each function once, when its time has come; the earlier first."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    @property
    def next_due(self) -> float:
        """When the next one is due; infinity for never."""
        return self._waiting[0][0] if self._waiting else math.inf

    def add(self, when: float, task: Callable[[], None]) -> None:
        """Have `task` called at a time of the monotonic clock."""
        heapq.heappush(self._waiting, (when, next(self._numbers), task))

    def fire(self, now: float) -> None:
        """Call what is due."""
        while self._waiting and self._waiting[0][0] <= now:
            _guard.call_guarded("worker.timer", heapq.heappop(self._waiting)[2])
