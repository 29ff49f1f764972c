"""The one place that swallows errors, and counts them: the app never pays for a fault of ours."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from mindlytics_core._stats import Tally

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("mindlytics")

#: Swallowed errors by place, for `stats()`.
faults = Tally()


@contextmanager
def guarded(place: str) -> Iterator[None]:
    """
    Swallow and count any error inside the block.

    Args:
        place: A short name for the counter and the log, such as `langchain.on_chain_end`.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001  # this is the guard
        report(place, error)


def call_guarded(place: str, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
    """Call `function` and give its result, or None when it raised; the same as `guarded`, and quicker."""
    try:
        return function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001  # this is the guard
        report(place, error)
        return None


def report(place: str, error: BaseException) -> None:
    """Count a swallowed error, and log the first of each place; never its text, which may hold a user's words."""
    first = place not in faults.values()
    faults.add(place)
    if first:
        logger.warning(
            "mindlytics: %s in %s was swallowed to spare the app; further ones are only counted",
            type(error).__name__,
            place,
            extra={"mindlytics_place": place},
        )
