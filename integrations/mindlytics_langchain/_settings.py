"""What a handler was told: who records, whose conversation it is, and when that ends."""

from dataclasses import dataclass
from typing import Any

from mindlytics_core import Ids, InvalidArgument

#: The service's limit for ids, in characters.
_MOST_ID_CHARS = 100


@dataclass(frozen=True, slots=True)
class Settings:
    """
    What a handler was told.

    Attributes:
        ids: The ids given to the handler.

        continue_within: Seconds that an unnamed conversation waits for its next run.

        assistant_id: Which assistant answers; None for the agent's or graph's own name.
    """

    ids: Ids
    continue_within: float | None
    assistant_id: str | None


def checked_ids(ids: Ids) -> Ids:
    """Give ids back if each is a text of 1 to 100 characters; raise `InvalidArgument` otherwise."""
    given: tuple[Any, ...] = (ids.user_id, ids.device_id, ids.session_id, ids.conversation_id)
    for value in given:
        if value is not None and not (isinstance(value, str) and 1 <= len(value) <= _MOST_ID_CHARS):
            raise InvalidArgument(f"an id must be a text of 1 to {_MOST_ID_CHARS} characters")
    return ids
