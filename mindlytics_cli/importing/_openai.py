"""
OpenAI's chat records: `{"messages": [...]}` as fine-tuning files have them, and requests with their responses.

Read leniently: such files come from many tools, and what is not known here is left out, not refused.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mindlytics_cli.importing import _past
from mindlytics_cli.importing._messages import ASSISTANT, TOOL, USER, Message, turns
from mindlytics_cli.importing._past import Conversation, FunctionCall, Unreadable
from mindlytics_cli.importing._times import moment

_TIMES = ("timestamp", "created_at", "create_time", "created")
#: What stands in a turn for a part that is no text.
_PARTS = {"image": "[image]", "audio": "[audio]", "file": "[file]", "video": "[video]"}
_ITEMS = {"function_call": ASSISTANT, "function_call_output": TOOL}


def fits(record: dict[str, Any]) -> bool:
    """
    Whether a record means to be of this format.

    Args:
        record: The record.
    """
    return "messages" in record or ("request" in record and "response" in record)


def read(record: dict[str, Any]) -> Conversation:
    """
    Read one record.

    Args:
        record: The record.

    Raises:
        Unreadable: There are no messages in it, or one is none.
    """
    if "messages" not in record:
        record = _of_pair(record)
    messages = record.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Unreadable("messages: must be a list of messages")
    heard = list(_heard(messages, _usage(record)))
    if not heard:
        raise Unreadable("messages: nobody says anything in them")
    return Conversation(
        turns=turns(heard),
        conversation_id=_name(record, "conversation_id", "id"),
        session_id=_name(record, "session_id"),
        user_id=_name(record, "user_id", "user"),
        started=_time(record, "record"),
    )


def _of_pair(record: dict[str, Any]) -> dict[str, Any]:
    """A request and its response as one list of messages."""
    request, response = record.get("request"), record.get("response")
    if not isinstance(request, dict) or not isinstance(response, dict):
        raise Unreadable("has neither messages nor request and response")
    asked = request.get("messages", request.get("input"))
    asked = [{"role": USER, "content": asked}] if isinstance(asked, str) else asked
    if not isinstance(asked, list):
        raise Unreadable("request: has neither messages nor input")
    own = {name: record.get(name) or request.get(name) for name in ("user", "user_id", "session_id", "conversation_id")}
    times = {"created": response.get("created", response.get("created_at"))}
    answer = {"model": response.get("model"), "usage": response.get("usage"), "id": response.get("id")}
    return own | times | answer | {"messages": [*asked, *_answer(response)]}


def _answer(response: dict[str, Any]) -> list[Any]:
    output = response.get("output")
    if isinstance(output, list):
        return output
    choices = response.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(first, dict) and isinstance(first.get("message"), dict):
        return [first["message"]]
    raise Unreadable("response: has neither choices nor output")


def _heard(messages: list[Any], usage: Mapping[str, Any]) -> Iterator[Message]:
    last = max((i for i, each in enumerate(messages) if _role(each) == ASSISTANT), default=-1)
    for index, each in enumerate(messages):
        where = f"messages.{index}"
        role = _role(each)
        if role is None:
            raise Unreadable(f"{where}: must be an object with a role")
        # The figures of the whole record belong to its last answer.
        details = _usage(each) or (usage if index == last else {})
        if role in {USER, ASSISTANT}:
            text, at = _text(each, where), _time(each, where)
            yield Message(role, text, at, calls=dict(_calls(each, where)), details=details if role == ASSISTANT else {})
        elif role in {TOOL, "function"}:
            text = _text(each, where, "output" if "output" in each else "content")
            called = each.get("tool_call_id", each.get("call_id"))
            yield Message(TOOL, text, _time(each, where), call_id=_string(called), name=_string(each.get("name")))


def _role(message: Any) -> str | None:
    if not isinstance(message, dict):
        return None
    # The Responses API has items beside the messages; what is neither (reasoning, searches) is nobody's words.
    kind = message.get("type")
    role = message.get("role") or _ITEMS.get(str(kind)) or ("other" if kind else None)
    return role if isinstance(role, str) else None


def _text(message: dict[str, Any], where: str, name: str = "content") -> str:
    content = message.get(name)
    if content is None:
        content = message.get("refusal") or ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise Unreadable(f"{where}.{name}: must be text or a list of parts")
    return "\n".join(filter(None, map(_part, content)))


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    text = part.get("text", part.get("refusal"))
    if isinstance(text, str):
        return text
    kind = str(part.get("type"))
    return next((shown for name, shown in _PARTS.items() if name in kind), "")


def _calls(message: dict[str, Any], where: str) -> Iterator[tuple[str, FunctionCall]]:
    if message.get("type") == "function_call":
        yield _call(message, str(message.get("call_id")))
    asked = message.get("tool_calls") or []
    if not isinstance(asked, list):
        raise Unreadable(f"{where}.tool_calls: must be a list")
    for index, call in enumerate(asked):
        if not isinstance(call, dict):
            raise Unreadable(f"{where}.tool_calls.{index}: must be an object")
        # Custom tools stand under `custom` and have an input where functions have arguments.
        yield _call(call.get("function") or call.get("custom"), str(call.get("id", f"{where}.{index}")))
    if message.get("function_call"):
        yield _call(message["function_call"], where)


def _call(function: Any, key: str) -> tuple[str, FunctionCall]:
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise Unreadable("tool_calls: a call names no function")
    return key, FunctionCall(function["name"], _past.as_text(function.get("arguments", function.get("input"))))


def _usage(record: dict[str, Any]) -> dict[str, str | int]:
    """Model and tokens, by either of OpenAI's two sets of names; only whole, as the service takes them."""
    usage, model = record.get("usage"), record.get("model")
    if not isinstance(model, str):
        return {}
    tokens = {
        name: usage.get(name, usage.get(other)) if isinstance(usage, dict) else None
        for name, other in (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
    }
    known = {name: count for name, count in tokens.items() if isinstance(count, int)}
    return {"model": model, **(known if len(known) == len(tokens) else {})}


def _time(record: dict[str, Any], where: str) -> Any:
    name = next((name for name in _TIMES if record.get(name) is not None), "timestamp")
    return moment(record.get(name), f"{where}.{name}")


def _name(record: dict[str, Any], *names: str) -> str | None:
    return next((str(record[name]) for name in names if isinstance(record.get(name), str | int)), None)


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None
