"""Time and ids, which come in from outside wherever a test may want to choose them."""

import functools
import random
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from mindlytics_core._stats import Counter
from mindlytics_core.exceptions import InvalidArgument

#: A number from 0 to 1, for jitter. Not from `random` itself: its sequence is the app's, which may have seeded it.
chance: Callable[[], float] = random.SystemRandom().random


class Clock(msgspec.Struct, frozen=True):
    """
    The two clocks that everything here uses.

    Attributes:
        wall: Seconds since 1970, for timestamps.

        monotonic: Seconds that only ever grow, for waits and deadlines.
    """

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic


def iso(wall: float) -> str:
    """Write seconds since 1970 as ISO 8601 with offset, to the microsecond."""
    micros = str(round(wall * 1_000_000))
    if wall < 1:
        micros = micros.zfill(7)
    return f"{_to_the_second(micros[:-6])}.{micros[-6:]}+00:00"


@functools.lru_cache(maxsize=8)
def _to_the_second(second: str) -> str:
    """Most events share their second with others; formatting it is the dear part."""
    return datetime.fromtimestamp(int(second), UTC).isoformat(timespec="seconds")[:-6]


def timestamp(value: datetime | str | None, wall: Callable[[], float]) -> str:
    """
    Give the ISO 8601 text of a time that a caller named, or of now; in UTC, so that texts compare as times do.

    Args:
        value: A datetime or ISO 8601 text; without a zone it is local time.

        wall: The clock for `None`.

    Raises:
        InvalidArgument: The text is no time.
    """
    if value is None:
        return iso(wall())
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise InvalidArgument("timestamp must be a datetime or ISO 8601 text") from None
    if not isinstance(value, datetime):
        raise InvalidArgument(f"timestamp must be a datetime or ISO 8601 text, not a {type(value).__name__}")
    try:
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    except (OverflowError, ValueError, OSError):
        raise InvalidArgument("timestamp must be a time of the years 1 to 9999") from None


class Ids:
    """Ids that no other process makes: a random prefix of 80 bits, then a count."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Take a new prefix; a forked child must, or it repeats its parent's ids."""
        self._prefix = secrets.token_hex(10)
        self._count = Counter()

    def new(self) -> str:
        """An id that was never given before."""
        return f"{self._prefix}{self._count.raise_by_one():06x}"


#: The process's own ids.
IDS = Ids()
