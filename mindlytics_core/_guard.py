"""The one place that swallows errors, and counts them: the app never pays for a fault of ours."""

import functools
import logging
import sys
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, Self, TypeVar, TypeVarTuple

from mindlytics_core._stats import Tally

P = ParamSpec("P")
A = TypeVarTuple("A")
R = TypeVar("R")

logger = logging.getLogger("mindlytics")

#: Swallowed errors by place, for `stats()`.
faults = Tally()


class Guard:
    """
    Swallows and counts any error inside its block; what is no `Exception`, such as a Ctrl-C, passes.

    Written out, because a generator's context manager costs three times as much, and this one is everywhere.

    Args:
        place: A short name for the counter and the log, such as `langchain.on_chain_end`.

        mend: Called after an error was swallowed; guards itself.
    """

    __slots__ = ("_mend", "_place")

    def __init__(self, place: str, mend: Callable[[], None] | None) -> None:
        self._place = place
        self._mend = mend

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        report(self._place, error)
        if self._mend is not None:
            self._mend()
        return True


def guarded(place: str, mend: Callable[[], None] | None = None) -> Guard:
    """
    Swallow and count any error inside the block.

    Args:
        place: A short name for the counter and the log, such as `langchain.on_chain_end`.

        mend: Called after an error was swallowed; guards itself.
    """
    return Guard(place, mend)


def call_guarded(place: str, function: Callable[[*A], R], *args: *A) -> R | None:
    """Call `function` and give its result, or None when it raised; the same as `guarded`, and quicker."""
    try:
        return function(*args)
    except Exception as error:  # noqa: BLE001  # this is the guard
        report(place, error)
        return None


def guarding(place: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """
    Decorate a function so that it swallows and counts any error; one call deep, for what is called all the time.

    Args:
        place: A short name for the counter and the log, such as `langchain.on_chain_end`.
    """

    def decorate(function: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(function)
        def guard(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                function(*args, **kwargs)
            except Exception as error:  # noqa: BLE001  # this is the guard
                report(place, error)

        return guard

    return decorate


def report(place: str, error: BaseException) -> None:
    """Count a swallowed error, and log the first of each place; never its text, which may hold a user's words."""
    first = place not in faults.values()
    faults.add(place)
    # While the interpreter is torn down, a thread may be frozen with the log's lock.
    if first and not sys.is_finalizing():
        logger.warning(
            "mindlytics: %s in %s was swallowed to spare the app; further ones are only counted",
            type(error).__name__,
            place,
            extra={"mindlytics_place": place},
        )
