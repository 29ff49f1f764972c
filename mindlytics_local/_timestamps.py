"""Points in time: compared as what they are, shown as they were written."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: The form of RFC 3339, which every browser reads; seconds may be left out. ISO 8601 has many more.
_READ_EVERYWHERE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class Timestamp:
    """
    One point in time.

    Attributes:
        us: Microseconds since 1970, to compare and sort by.

        text: The same as text: as it was received, or in UTC where few would read that form.
    """

    us: int
    text: str


def parse_timestamp(text: str) -> Timestamp:
    """
    Read ISO 8601 text.

    Args:
        text: Date and time with an offset, or with `Z`.

    Raises:
        ValueError: It is not that, or in UTC not within the years 1 to 9999.
    """
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("timestamp must be ISO 8601, such as 2025-01-31T12:00:00+00:00") from None
    if read.tzinfo is None:
        raise ValueError("timestamp must name its offset, such as 2025-01-31T12:00:00+00:00 or ...Z")
    try:
        in_utc = read.astimezone(UTC)
    except OverflowError:
        raise ValueError("timestamp must be within the years 1 to 9999") from None
    us = (in_utc - _EPOCH) // _MICROSECOND
    return Timestamp(us, text if _READ_EVERYWHERE.fullmatch(text) else timestamp_text(us))


def now() -> Timestamp:
    """This moment, in UTC."""
    current = datetime.now(UTC)
    return Timestamp((current - _EPOCH) // _MICROSECOND, current.isoformat(timespec="microseconds"))


def timestamp_text(us: int) -> str:
    """Microseconds since 1970 as ISO 8601 text in UTC."""
    return (_EPOCH + us * _MICROSECOND).isoformat(timespec="microseconds")
