"""JSON from outside: strict, and turned down with a text that says where it broke."""

import json
from typing import Any

import pydantic_core

from mindlytics_local._errors import Refused


def read(text: bytes | str, what: str) -> Any:
    """
    Read JSON that somebody sent.

    Args:
        text: The JSON.

        what: What to call it in the refusal.

    Raises:
        Refused: It is not valid JSON; lone surrogates, NaN and endless nesting are not.
    """
    try:
        return pydantic_core.from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise Refused(f"{what} is not valid JSON: {error}") from None


def answer(value: Any) -> bytes:
    """
    Write an answer.

    Args:
        value: What is answered.
    """
    return pydantic_core.to_json(value)


def write(value: Any) -> str:
    """Write JSON in ASCII, so that no text of a user can break the store that keeps it."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
