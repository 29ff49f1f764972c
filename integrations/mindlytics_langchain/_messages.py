"""Messages and their content as text: parts that are no text are named, never copied. No state."""

from collections.abc import Mapping, Sequence
from typing import Any, overload

from mindlytics_core import Message
from mindlytics_langchain._json import as_json
from mindlytics_langchain._langchain import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

#: Parts that hold something else than text, with the word for it.
_NAMES = {
    "image": "image",
    "image_url": "image",
    "input_image": "image",
    "audio": "audio",
    "input_audio": "audio",
    "output_audio": "audio",
    "video": "video",
    "video_url": "video",
    "file": "file",
    "input_file": "file",
    "document": "file",
    "media": "file",
}
#: Parts that hold text, with the field that holds it.
_TEXT_FIELDS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal", "text-plain": "text"}
#: Characters of an attachment that tell it from others in a history; all of it may be megabytes.
_MARK_CHARS = 48


def text_of(message: BaseMessage) -> str:
    """A message as a person would read it: without reasoning and tool calls, with `[image]` and the like."""
    # An assistant's text comes in pieces that belong together; a person's parts are things of their own.
    return content_text(message.content, "" if isinstance(message, AIMessage) else "\n")


def content_text(content: Any, between: str = "") -> str:
    """
    The content of a message, or of a piece of one, as text.

    Args:
        content: A text, or a list of texts and blocks.

        between: What stands between two parts.
    """
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        content = [content]
    if not isinstance(content, Sequence):
        return ""
    return between.join(filter(None, map(_part_text, content)))


def delta_text(event: Any) -> str:
    """The text that an event of a model's stream adds to its answer."""
    delta = event.get("delta") if isinstance(event, Mapping) else None
    if not isinstance(delta, Mapping) or delta.get("type") != "text-delta":
        return ""
    text = delta.get("text")
    return text if isinstance(text, str) else ""


class History(Sequence[Message]):
    """
    A model's input as far as it tells conversations apart, made out when it is first looked at.

    Most runs are of conversations that nothing continues, and a history may be long.

    Args:
        messages: The input, as LangChain has it.
    """

    __slots__ = ("_made", "_messages")

    def __init__(self, messages: Sequence[BaseMessage]) -> None:
        self._messages = messages
        self._made: tuple[Message, ...] | None = None

    def __len__(self) -> int:
        return len(self._messages)

    @overload
    def __getitem__(self, at: int) -> Message: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Message]: ...

    def __getitem__(self, at: int | slice) -> Message | Sequence[Message]:
        return self.messages()[at]

    def messages(self) -> tuple[Message, ...]:
        """All of it."""
        if self._made is None:
            self._made = tuple(Message(_role(message), _told_apart(message)) for message in self._messages)
        return self._made

    def begins_with(self, other: "History") -> bool:
        """Whether it repeats another one and perhaps goes on."""
        return len(self) >= len(other) and (not other or self.messages()[: len(other)] == other.messages())


def last_of(messages: Sequence[BaseMessage], kind: type[BaseMessage]) -> int | None:
    """The place of the last message of a kind."""
    return next((at for at in reversed(range(len(messages))) if isinstance(messages[at], kind)), None)


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        return ""
    kind = part.get("type")
    field = _TEXT_FIELDS.get(kind) if isinstance(kind, str) else None
    if field is not None:
        text = part.get(field)
        return text if isinstance(text, str) else ""
    name = _NAMES.get(kind) if isinstance(kind, str) else None
    return f"[{name}]" if name else ""


def _role(message: BaseMessage) -> str:
    if isinstance(message, AIMessage):
        return "assistant"
    if isinstance(message, HumanMessage):
        return "user"
    if isinstance(message, SystemMessage):
        return "system"
    return "tool" if isinstance(message, ToolMessage) else message.type


def _told_apart(message: BaseMessage) -> str:
    """The text, with whatever else makes it this message: two pictures with one question are two messages."""
    text = text_of(message)
    if isinstance(message, AIMessage) and message.tool_calls:
        return f"{text}\0{as_json([[call['name'], call['args']] for call in message.tool_calls])}"
    if isinstance(message.content, str):
        return text
    return text + "".join(_mark(part) for part in message.content if isinstance(part, Mapping))


def _mark(part: Mapping[str, Any]) -> str:
    if part.get("type") not in _NAMES:
        return ""
    data = as_json(part)
    return f"\0{len(data)}\0{data[:_MARK_CHARS]}\0{data[-_MARK_CHARS:]}"
