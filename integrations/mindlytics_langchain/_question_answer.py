"""What the user said and what the assistant answered, found in a run's input and output. No state."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from mindlytics_langchain._content import parts_text, without_data
from mindlytics_langchain._json import as_json
from mindlytics_langchain._langchain import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    PromptValue,
    ToolMessage,
    convert_to_messages,
)
from mindlytics_langchain._messages import last_of, text_of

#: A dict is recognised at once; whether something is another mapping takes ten times as long.
MAPPINGS = (dict, Mapping)
_LISTS = (list, tuple)
_SEQUENCES = (*_LISTS, PromptValue)
_HOLDERS = (BaseMessage, list, PromptValue)
_CONTAINERS = (*MAPPINGS, *_LISTS)
_MESSAGES = "messages"
#: Where LangChain's agents put a structured answer.
_STRUCTURED = "structured_response"
#: What `with_structured_output(include_raw=True)` gives.
_RAW, _PARSED = "raw", "parsed"
#: Names under which a dict's one text is looked for where it holds several.
_QUESTIONS = ("input", "question", "query", "user_input", "prompt", "text")
_ANSWERS = ("output", "answer", "response", "result", "text")


def messages_in(value: Any) -> list[BaseMessage]:
    """
    The messages that a run's input or output consists of; empty where it has none.

    Args:
        value: A message, messages in any form that LangChain takes, or a dict or state that holds them.
    """
    if value is None or isinstance(value, str):
        return []
    if type(value) is not dict:  # asked first: it takes no time, and whether something is a message does
        if isinstance(value, BaseMessage):
            return [value]
        if isinstance(value, _SEQUENCES):
            return value.to_messages() if isinstance(value, PromptValue) else _converted(value)
    held = _field(value, _MESSAGES)
    if isinstance(held, str):
        return [HumanMessage(held)]
    if held is not None:
        return messages_in(held) if not isinstance(held, MAPPINGS) else _converted([held])
    return []


def asked(value: Any) -> str | None:
    """
    The last human message of a run's input; None where it has no messages.

    Args:
        value: The input.
    """
    messages = messages_in(value) or _question_among(value)
    at = last_of(messages, HumanMessage)
    return None if at is None else text_of(messages[at])


def evident_question(value: Any) -> str | None:
    """The one text that an input without messages consists of, if there is one."""
    return _evident_text(_fields(value), _QUESTIONS, between="\n")


def whole_input(value: Any) -> str:
    """An input without a question among its messages, in full; messages that hold none say nothing."""
    text = evident_question(value)
    if text is not None:
        return text
    rest = None if _is_command(value) else _beside_messages(value)
    return "" if _is_nothing(rest) else as_json(rest)


def answered(output: Any, given: Any) -> str | None:
    """
    The answer in a run's output, as the user got it; None where the output has no evident text.

    Args:
        output: The output.

        given: The run's input: what an output repeats of it is no answer.
    """
    if output is None or isinstance(output, str):
        return output
    structured = output.get(_PARSED) if _is_raw(output) else _field(output, _STRUCTURED)
    if structured is not None:
        return as_json(structured)
    messages = messages_in(output)
    return _last_answer(messages) if messages else _evident_text(_new_in(output, given), _ANSWERS)


def whole_output(output: Any, given: Any) -> str | None:
    """An output without evident text, in full; None where there is nothing in it."""
    new = _new_in(output, given)
    if _is_nothing(new) or messages_in(output):
        return None
    return as_json({key: _readable(item) for key, item in new.items()} if isinstance(new, MAPPINGS) else new)


def asks_for_tools(output: Any) -> AIMessage | None:
    """The message at the end of an output that only asks for tools, if it is one."""
    messages = messages_in(output)
    last = messages[-1] if messages else None
    if isinstance(last, AIMessage) and last.tool_calls:
        return last
    return None


def ends_with_question(output: Any) -> bool:
    """Whether the last message of an output is a person's."""
    messages = messages_in(output)
    return bool(messages) and isinstance(messages[-1], HumanMessage)


def is_resume(value: Any) -> bool:
    """Whether a graph's input goes on with what was interrupted."""
    return value is None or _is_command(value)


def _last_answer(messages: Sequence[BaseMessage]) -> str | None:
    """The text at the end of what came after the last question: a checkpointed graph gives its whole history."""
    start = last_of(messages, HumanMessage)
    since = messages[0 if start is None else start + 1 :]
    if not since:
        return None
    if isinstance(since[-1], ToolMessage):
        # A tool whose result is the answer.
        return text_of(since[-1])
    at = last_of(since, AIMessage)
    return None if at is None else text_of(since[at])


def _new_in(output: Any, given: Any) -> Any:
    """An output without what it repeats of the input."""
    if not isinstance(output, MAPPINGS):
        return output
    known = given if isinstance(given, MAPPINGS) else {}
    return {
        key: item for key, item in output.items() if item is not None and not (key in known and _same(known[key], item))
    }


def _same(one: Any, other: Any) -> bool:
    # Only what compares cheaply and safely: an array's `==` is no truth value.
    return one is other or (isinstance(one, str) and isinstance(other, str) and one == other)


def _is_raw(output: Any) -> bool:
    return isinstance(output, dict) and _PARSED in output and isinstance(output.get(_RAW), BaseMessage)


def _is_nothing(value: Any) -> bool:
    # Only what is known to have a truth value is asked for it.
    return value is None or (isinstance(value, _CONTAINERS) and not value)


def _beside_messages(value: Any) -> Any:
    if isinstance(value, MAPPINGS):
        return {name: item for name, item in value.items() if name != _MESSAGES}
    if _field(value, _MESSAGES) is not None:
        return {name: item for name, item in vars(value).items() if name != _MESSAGES and item}
    return None if messages_in(value) else value


def _readable(value: Any, between: str = "") -> Any:
    if isinstance(value, str):
        return without_data(value)
    if isinstance(value, BaseMessage):
        # What only asks for tools says nothing.
        return text_of(value) or (value if getattr(value, "tool_calls", None) else "")
    text = parts_text(value, between)
    return value if text is None else text


def _evident_text(value: Any, names: Iterable[str], between: str = "") -> str | None:
    """The text, the only text in a dict, or the one under a usual name."""
    readable = _readable(value, between)
    if isinstance(readable, str):
        return readable
    if not isinstance(value, MAPPINGS):
        return None
    texts: dict[Any, str] = {}
    for key, item in value.items():
        readable = _readable(item, between)
        if isinstance(readable, str):
            texts[key] = readable
    if len(texts) == 1:
        return next(iter(texts.values()))
    return next((texts[name] for name in names if name in texts), None)


def _question_among(value: Any) -> list[BaseMessage]:
    """The messages in a dict that end with a question; a history that ends with an answer is none."""
    if not isinstance(value, MAPPINGS):
        return []
    for item in value.values():
        held = [] if isinstance(item, str) or not isinstance(item, _HOLDERS) else messages_in(item)
        if held and isinstance(held[-1], HumanMessage):
            return held
    return []


def _converted(items: Sequence[Any]) -> list[BaseMessage]:
    """The items as messages, if all of them are messages in some form."""
    if not all(map(_is_message, items)):
        # A pair such as ("user", "Hi") is one message.
        return _converted([items]) if isinstance(items, tuple) and _is_message(items) else []
    try:
        return convert_to_messages(items)
    except (ValueError, NotImplementedError, KeyError):
        # Roles that LangChain does not know, for example.
        return [item for item in items if isinstance(item, BaseMessage)]


def _is_message(item: Any) -> bool:
    if isinstance(item, BaseMessage):
        return True
    if isinstance(item, MAPPINGS):
        return "content" in item and ("role" in item or "type" in item)
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str) and isinstance(item[1], str | list)  # noqa: PLR2004  # a pair


def _field(value: Any, name: str) -> Any:
    if isinstance(value, MAPPINGS):
        return value.get(name)
    return getattr(value, name, None) if _is_state(value) else None


def _fields(value: Any) -> Any:
    """What is set of a state's fields; anything else as it is."""
    if not _is_state(value) or not hasattr(value, "__dict__"):
        return value
    return {name: item for name, item in vars(value).items() if not _is_unset(item)}


def _is_unset(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value)


def _is_state(value: Any) -> bool:
    return isinstance(value, BaseModel) or hasattr(type(value), "__dataclass_fields__")


def _is_command(value: Any) -> bool:
    return type(value).__name__ == "Command"
