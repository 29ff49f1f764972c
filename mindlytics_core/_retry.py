"""What an answer means and how long to wait. Pure: no clock, no socket, no randomness of its own."""

import enum
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple


class Answer(NamedTuple):
    """
    How one request ended.

    Attributes:
        status: HTTP status, 0 when there was no answer.

        message: What the service or the network said.

        retry_after: Seconds that the service asks us to wait, 0 for none.

        untrusted: Whether nothing was sent, because the other side has no certificate that is trusted here.
    """

    status: int
    message: str = ""
    retry_after: float = 0.0
    untrusted: bool = False


class Verdict(enum.Enum):
    """What to do about a batch, judged by its answer."""

    DELIVERED = "delivered"
    RETRY = "retry"
    PAUSE = "pause"
    SPLIT = "split"


#: Wrong key, wrong project, wrong address: an operator can mend it, so nothing is dropped.
_PAUSE = frozenset({401, 403, 404})
#: Refused for what it holds: split until the guilty event stands alone.
_SPLIT = frozenset({400, 413, 422})
_SUCCESS = range(200, 300)


def verdict(answer: Answer) -> Verdict:
    """Judge an answer. What nobody documented is tried again."""
    if answer.status in _SUCCESS:
        return Verdict.DELIVERED
    if answer.untrusted or answer.status in _PAUSE:
        return Verdict.PAUSE
    return Verdict.SPLIT if answer.status in _SPLIT else Verdict.RETRY


def backoff(failures: int, base: float, cap: float, random: Callable[[], float]) -> float:
    """
    Seconds to wait after so many failures in a row: between half and all of min(cap, base · 2ⁿ).

    Args:
        failures: Failures in a row, at least 1.

        base: Seconds after the first failure.

        cap: Most seconds.

        random: Gives a number from 0 to 1; jitter keeps many processes from coming back as one.
    """
    whole = min(cap, base * 2.0 ** min(failures - 1, 32))
    return whole * (0.5 + random() / 2)


def retry_after(value: str | None, now: datetime, cap: float) -> float:
    """
    Seconds that a `Retry-After` header asks for, 0 where it asks for nothing sensible (RFC 9110 § 10.2.3).

    Args:
        value: The header: a number of seconds or an HTTP date.

        now: The time now, with its zone.

        cap: Most seconds that are granted.
    """
    if not value:
        return 0.0
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value, now)
    return min(seconds, cap) if seconds > 0 else 0.0


def _seconds_until(date: str, now: datetime) -> float:
    try:
        then = parsedate_to_datetime(date)
    except ValueError:
        return 0.0
    return (then.replace(tzinfo=then.tzinfo or UTC) - now).total_seconds()
