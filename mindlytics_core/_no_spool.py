"""Where events wait without a spool: nowhere but in the lanes. The same methods as `Store` has, and no SQLite."""

import math
from collections.abc import Iterable, Sequence

from mindlytics_core._queue import Item


class NoSpool:
    """Keeps nothing."""

    is_spool = False
    works = False
    on_disk = 0
    adopted_events = 0
    has_adopted = False
    #: Nothing has to be written down before a call returns.
    log = None

    def waiting(self) -> tuple[int, int]:
        """Nothing waits outside the lanes."""
        return 0, 0

    def hurry(self) -> None:
        """Nothing is held back."""

    def look_again(self) -> None:
        """Nothing was left behind."""

    def next_due(self) -> float:
        """Never is there anything to do."""
        return math.inf

    def take(self, items: Sequence[Item], held_events: int, held_bytes: int) -> Sequence[Item]:
        """Everything goes on to the lanes at once."""
        del held_events, held_bytes
        return items

    def read_back(self, held_bytes: int) -> Iterable[Item]:
        """There is nothing else for the lanes."""
        del held_bytes
        return ()

    def settled(self, items: Sequence[Item]) -> None:
        """Nobody has them any more."""

    def keep_refused(self, item: Item, status: int, message: str) -> None:
        """What was refused is in the app's hands alone."""

    def tidy(self) -> None:
        """Nothing is left lying about."""

    def abandon(self) -> None:
        """Nothing is the parent's."""

    def close(self) -> None:
        """Nothing is open."""
