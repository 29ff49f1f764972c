"""Fields of the SDK's objects and of plain JSON alike, whatever a foreign server left out or made of them."""

import json
from collections.abc import Sequence
from typing import Any


def read(source: Any, name: str) -> Any:
    """A field of an object or of a mapping; None where it is missing, as foreign servers leave out what they like."""
    if type(source) is dict:
        return source.get(name)
    return getattr(source, name, None)


def text_or_none(value: Any) -> str | None:
    """An id as it is, a number as its text, anything else as nothing."""
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def as_list(value: Any) -> Sequence[Any]:
    """A list or tuple as it is; anything else is left alone, because a one-shot iterator belongs to the app."""
    return value if isinstance(value, list | tuple) else ()


def as_text(value: Any) -> str:
    """A text as it is, anything else as its JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    """An object of the SDK's as JSON has it."""
    return value.to_dict(mode="json") if hasattr(value, "to_dict") else str(value)
