"""Points in time: compared as what they are, shown as they were written."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Moment:
    """
    One point in time.

    Attributes:
        us: Microseconds since 1970, to compare and sort by.

        text: The same as ISO 8601 text, kept as it was received.
    """

    us: int
    text: str


def moment(text: str) -> Moment:
    """
    Read ISO 8601 text.

    Args:
        text: Date and time with an offset, or with `Z`.

    Raises:
        ValueError: It is not that.
    """
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("timestamp must be ISO 8601, such as 2025-01-31T12:00:00+00:00") from None
    if read.tzinfo is None:
        raise ValueError("timestamp must name its offset, such as 2025-01-31T12:00:00+00:00 or ...Z")
    return Moment((read - _EPOCH) // _MICROSECOND, text)


def now() -> Moment:
    """This moment, in UTC."""
    current = datetime.now(UTC)
    return Moment((current - _EPOCH) // _MICROSECOND, current.isoformat(timespec="microseconds"))


def written(us: int) -> str:
    """Microseconds since 1970 as ISO 8601 text in UTC."""
    return (_EPOCH + us * _MICROSECOND).isoformat(timespec="microseconds")
