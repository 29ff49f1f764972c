"""What a handler was told: who records, whose conversation it is, and when that ends."""

from dataclasses import dataclass

from mindlytics_core import Ids, check_name


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
    for value in (ids.user_id, ids.device_id, ids.session_id, ids.conversation_id):
        if value is not None:
            check_name("an id", value)
    return ids
