"""Points in time: compared as what they are, shown as they were written."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Timestamp:
    """
    One point in time.

    Attributes:
        us: Microseconds since 1970, to compare and sort by.

        text: The same as ISO 8601 text, kept as it was received.
    """

    us: int
    text: str


def parse_timestamp(text: str) -> Timestamp:
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
    return Timestamp((read - _EPOCH) // _MICROSECOND, text)


def now() -> Timestamp:
    """This moment, in UTC."""
    current = datetime.now(UTC)
    return Timestamp((current - _EPOCH) // _MICROSECOND, current.isoformat(timespec="microseconds"))


def timestamp_text(us: int) -> str:
    """Microseconds since 1970 as ISO 8601 text in UTC."""
    return (_EPOCH + us * _MICROSECOND).isoformat(timespec="microseconds")
