"""Whether a client's options are what they must be, so that a wrong one is told where it was written."""

import math
from collections.abc import Sequence

from mindlytics_core._config import Delivery
from mindlytics_core._model import check_count
from mindlytics_core.exceptions import ConfigurationError, InvalidArgument


def check_options(
    *,
    delivery: object,
    redact: object,
    sample_rate: object,
    idle_timeout: object,
    continue_within: object,
    **functions: object,
) -> None:
    """
    Look at the options of `Client`; `functions` are those that may be None or a function.

    Raises:
        ConfigurationError: One is of the wrong kind.
    """
    _check_number("sample_rate", sample_rate, 1)
    _check_number("idle_timeout", idle_timeout)
    if continue_within is not None:
        _check_number("continue_within", continue_within)
    for option, value in functions.items():
        if not _may_be_called(value):
            raise ConfigurationError(f"{option} must be a function, not a {type(value).__name__}")
    if not isinstance(redact, Sequence) or not all(map(callable, redact)):
        raise ConfigurationError("redact must be a list of functions, such as redactors.ALL")
    if not isinstance(delivery, Delivery):
        raise ConfigurationError(f"delivery must be a Delivery, not a {type(delivery).__name__}")


def check_session_options(listen_timeout: object, **functions: object) -> None:
    """
    Look at the options of `Client.create_session`; `functions` are those that may be None or a function.

    Raises:
        InvalidArgument: One is of the wrong kind.
    """
    check_count("listen_timeout", listen_timeout)
    for option, value in functions.items():
        if not _may_be_called(value):
            raise InvalidArgument(f"{option} must be a function, not a {type(value).__name__}")


def _may_be_called(value: object) -> bool:
    return value is None or callable(value)


def _check_number(option: str, value: object, most: float = math.inf) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        limit = "of at least 0" if most == math.inf else f"from 0 to {most:g}"
        raise ConfigurationError(f"{option} must be a number {limit}, not {value!r}")
