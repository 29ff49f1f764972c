"""Points in time as files write them: ISO 8601, or seconds or milliseconds since 1970."""

from datetime import UTC, datetime, timedelta
from typing import Any

from mindlytics_cli.importing._past import Unreadable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Above it a number can only be milliseconds: as seconds it would be in the year 5138.
_MILLISECONDS_FROM = 1e11


def moment(value: Any, what: str) -> datetime | None:
    """
    Read a time; None for none.

    Args:
        value: Text or number.

        what: The field, for the error.

    Raises:
        Unreadable: It is no time, or does not say in which zone.
    """
    if value is None:
        return None
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _EPOCH + timedelta(seconds=value / 1000 if abs(value) >= _MILLISECONDS_FROM else value)
        read = datetime.fromisoformat(value)
        # Also the year must survive the way to UTC.
        return read.astimezone(UTC) if read.tzinfo is not None else _without_zone(what)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(f"{what} must be ISO 8601 text or seconds since 1970") from None


def _without_zone(what: str) -> datetime:
    raise Unreadable(f"{what} must name its offset, such as 2025-01-31T12:00:00+00:00 or …Z")
