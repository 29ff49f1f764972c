"""What a tool gave back, as text. No state."""

from typing import Any, NamedTuple

from mindlytics_langchain._content import parts_text
from mindlytics_langchain._json import as_json
from mindlytics_langchain._langchain import BaseMessage, ToolMessage
from mindlytics_langchain._messages import text_of
from mindlytics_langchain._question_answer import messages_in

#: What LangChain turns into an answer by itself is an error of this class, or of one that it does not tell.
_TOLD_TO_THE_MODEL = "ToolException"


class Outcome(NamedTuple):
    """
    The outcome of a tool.

    Attributes:
        result: What it gave back, as text.

        error: The class of what it raised, where the model was told of it.
    """

    result: str | None
    error: str | None = None


def outcome(output: Any) -> Outcome:
    """A tool's outcome: a text as it is, a message's text, anything else as JSON."""
    if output is None or isinstance(output, str):
        return Outcome(output)
    messages = messages_in(getattr(output, "update", None) if type(output).__name__ == "Command" else output)
    if not messages:
        text = parts_text(output, "\n")
        return Outcome(as_json(output) if text is None else text)
    errored = any(isinstance(message, ToolMessage) and message.status == "error" for message in messages)
    return Outcome(_texts(messages), _TOLD_TO_THE_MODEL if errored else None)


def _texts(messages: list[BaseMessage]) -> str:
    return "\n".join(filter(None, map(text_of, messages)))
