"""What a tracking call gives back: an answer at once, which may also be awaited."""

from collections.abc import Generator
from typing import Any

import msgspec


class Receipt(msgspec.Struct, frozen=True):
    """
    Whether an event was taken into the queue.

    `session.track_event(...)` and `await session.track_event(...)` do the same: there is nothing to wait for.

    Attributes:
        accepted: False when it was dropped on the spot; `stats()` tells why.
    """

    accepted: bool = True

    def __bool__(self) -> bool:
        return self.accepted

    def __await__(self) -> Generator[Any, Any, "Receipt"]:
        yield from ()
        return self


TAKEN = Receipt()
NOT_TAKEN = Receipt(accepted=False)
