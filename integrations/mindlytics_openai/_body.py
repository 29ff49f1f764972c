"""What the bodies of several surfaces have in common."""

from collections.abc import Mapping, Sequence
from typing import Any

from mindlytics_core import Ids
from mindlytics_openai._content import shown
from mindlytics_openai._fields import as_list, read, text_or_none
from mindlytics_openai._surface import NO_IDS


def last_words(messages: Sequence[Any]) -> str | None:
    """What the user said last; None where no user has said anything."""
    for message in reversed(messages):
        if read(message, "role") == "user":
            return shown(read(message, "content"))
    return None


def ids_of(body: Mapping[str, Any], conversation_id: str | None = None) -> Ids:
    """The ids that an app gives OpenAI anyway."""
    user_id = text_or_none(body.get("safety_identifier") or body.get("user"))
    return Ids(user_id=user_id, conversation_id=conversation_id) if user_id or conversation_id else NO_IDS


def choices_of(body: Mapping[str, Any]) -> int:
    """How many answers are asked for."""
    count = body.get("n")
    return count if type(count) is int else 1


def forces_the_only_tool(choice: Any, offered: Any) -> bool:
    """Whether the call of the only tool offered is the answer: structured output."""
    return isinstance(choice, dict) and len(as_list(offered)) == 1 and choice.get("type") != "allowed_tools"
