"""What frameworks hand over, whatever it is, as what is recorded of it: an exchange must not fail for an odd value."""

from typing import Any

from mindlytics_core import _model

#: What is called nothing.
UNKNOWN = "unknown"
#: Beyond it no receiver holds a whole number exactly.
_MOST = 2**53


def text(value: Any) -> str:
    """A text as it is, anything else as its text, nothing as the empty one."""
    if value is None:
        return ""
    return value if isinstance(value, str) else str(value)


def optional_text(value: Any) -> str | None:
    """The same, where nothing stays nothing."""
    return None if value is None else text(value)


def name(value: Any) -> str:
    """A name, cut to the longest that the service takes."""
    return text(value)[: _model.MAX_NAME_CHARS]


def count(value: Any) -> int | None:
    """A token count: anything but a sensible number says nothing."""
    if value is None or isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _MOST:
        return None
    return int(value)


def milliseconds(value: Any) -> int | None:
    """A length of time as a whole number, of at least 0: anything but a number says nothing."""
    if value is None or isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MOST:
        return None
    return max(round(value), 0)


def class_name(error: Any) -> str:
    """An error's class; where only its name is known, that."""
    if isinstance(error, str):
        return error
    return error.__name__ if isinstance(error, type) else type(error).__name__
