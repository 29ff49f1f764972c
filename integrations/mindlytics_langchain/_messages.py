"""Messages as text, and as a history that tells conversations apart. No state."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

from mindlytics_core import Message
from mindlytics_langchain._content import ATTACHMENTS, content_text
from mindlytics_langchain._json import as_json
from mindlytics_langchain._langchain import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

#: Characters of an attachment that tell it from others in a history; all of it may be megabytes.
_MARK_CHARS = 48
#: Levels of a part that are looked at.
_DEEPEST = 4


def text_of(message: BaseMessage) -> str:
    """A message as a person would read it: without reasoning and tool calls, with `[image]` and the like."""
    # An assistant's text comes in pieces that belong together; a person's parts are things of their own.
    return content_text(message.content, "" if isinstance(message, AIMessage) else "\n")


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
    for at in range(len(messages) - 1, -1, -1):
        if isinstance(messages[at], kind):
            return at
    return None


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
    if part.get("type") not in ATTACHMENTS:
        return ""
    data = "\0".join(_texts_in(part, _DEEPEST))
    return f"\0{len(data)}\0{data[:_MARK_CHARS]}\0{data[-_MARK_CHARS:]}"


def _texts_in(value: Any, levels: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping) and levels:
        for item in value.values():
            yield from _texts_in(item, levels - 1)
