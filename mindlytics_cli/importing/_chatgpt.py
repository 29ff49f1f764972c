"""
ChatGPT's data export, `conversations.json`: a tree of messages, of which one branch is what the user saw last.

Edited questions and regenerated answers make side branches; the one that ends at `current_node` is taken.
"""

from collections.abc import Iterator
from typing import Any

from mindlytics_cli.importing import _past
from mindlytics_cli.importing._messages import ASSISTANT, TOOL, USER, Message, turns
from mindlytics_cli.importing._past import Conversation, FunctionCall, Unreadable
from mindlytics_cli.importing._times import moment

#: What nobody was shown: the model's own thoughts, and the user's settings repeated in every conversation.
_UNSEEN = {"thoughts", "reasoning_recap", "user_editable_context", "model_editable_context"}
_PARTS = {"image": "[image]", "audio": "[audio]", "video": "[video]"}


def fits(record: dict[str, Any]) -> bool:
    """
    Whether a record means to be of this format.

    Args:
        record: The record.
    """
    return "mapping" in record


def read(record: dict[str, Any]) -> Conversation:
    """
    Read one record.

    Args:
        record: The record.

    Raises:
        Unreadable: Its tree has no branch to follow, or nobody says anything in it.
    """
    mapping = record.get("mapping")
    if not isinstance(mapping, dict):
        raise Unreadable("mapping: must be an object")
    heard = [message for node in _branch(mapping, record.get("current_node")) for message in _heard(node)]
    if not any(message.role == USER or message.text for message in heard):
        raise Unreadable("mapping: nobody says anything in it")
    title = record.get("title")
    conversation_id = record.get("conversation_id") or record.get("id")
    return Conversation(
        turns=turns(heard),
        conversation_id=conversation_id if isinstance(conversation_id, str) else None,
        started=moment(record.get("create_time"), "create_time"),
        properties={"title": title} if isinstance(title, str) and title else {},
    )


def _branch(mapping: dict[str, Any], leaf: Any) -> list[dict[str, Any]]:
    """The nodes from the root to the leaf."""
    if not isinstance(leaf, str) or leaf not in mapping:
        leaf = _latest_leaf(mapping)
    branch: list[dict[str, Any]] = []
    seen: set[str] = set()
    while leaf is not None:
        node = mapping.get(leaf) if isinstance(leaf, str) else None
        if not isinstance(node, dict) or leaf in seen:
            raise Unreadable("mapping: a message's parents lead nowhere")
        seen.add(leaf)
        branch.append(node)
        leaf = node.get("parent")
    return branch[::-1]


def _latest_leaf(mapping: dict[str, Any]) -> str | None:
    leaves = [name for name, node in mapping.items() if isinstance(node, dict) and not node.get("children")]
    return max(leaves, key=lambda name: _created(mapping[name]), default=None)


def _created(node: dict[str, Any]) -> float:
    message = node.get("message")
    created = message.get("create_time") if isinstance(message, dict) else None
    return created if isinstance(created, int | float) else 0.0


def _heard(node: dict[str, Any]) -> Iterator[Message]:
    message = node.get("message")
    if not isinstance(message, dict):
        return
    author, content = _object(message, "author"), _object(message, "content")
    metadata = _object(message, "metadata")
    role = author.get("role")
    if metadata.get("is_visually_hidden_from_conversation") or str(content.get("content_type")) in _UNSEEN:
        return
    text, at = _text(content), moment(message.get("create_time"), "create_time")
    recipient = message.get("recipient") or "all"
    if role == USER:
        yield Message(USER, text, at)
    elif role == TOOL:
        yield Message(TOOL, text, at, name=_string(author.get("name")))
    elif role == ASSISTANT and recipient != "all":
        # What it says to a tool are the tool's arguments.
        yield Message(ASSISTANT, "", at, calls={str(message.get("id")): FunctionCall(str(recipient), text)})
    elif role == ASSISTANT:
        model = metadata.get("model_slug")
        yield Message(ASSISTANT, text, at, details={"model": model} if isinstance(model, str) and model else {})


def _text(content: dict[str, Any]) -> str:
    parts = content.get("parts")
    if isinstance(parts, list):
        return "\n".join(filter(None, map(_part, parts)))
    return _past.as_text(content.get("text") or content.get("result")) or ""


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    kind = str(part.get("content_type"))
    # A spoken sentence comes as its transcription beside the sound.
    text = part.get("text")
    return text if isinstance(text, str) else next((shown for name, shown in _PARTS.items() if name in kind), "")


def _object(message: dict[str, Any], name: str) -> dict[str, Any]:
    value = message.get(name)
    return value if isinstance(value, dict) else {}


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None
