"""The content of a message as text: parts that are no text are named, never copied. No state."""

from collections.abc import Mapping, Sequence
from typing import Any

#: Parts that hold something else than text, with the word for it.
ATTACHMENTS = {
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
#: Parts of an answer that nobody is shown.
_UNSEEN = frozenset(("reasoning", "thinking", "redacted_thinking"))
#: How an address begins that is an attachment itself.
_DATA = "data:"
#: One of them stands beside the field `data` that holds an attachment.
_DATA_KINDS = ("format", "media_type", "mime_type")


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


def parts_text(value: Any, between: str = "") -> str | None:
    """
    A list of a message's parts as text; None for anything else.

    Args:
        value: What may be one.

        between: What stands between two parts.
    """
    return content_text(value, between) if type(value) is list and value and all(map(_is_part, value)) else None


def without_data(text: str) -> str:
    """A text, or the name of the attachment that it is."""
    if not text.startswith(_DATA):
        return text
    kind, is_data, _ = text[len(_DATA) :].partition("/")
    return f"[{kind}]" if is_data and kind.isalpha() else text


def is_data(key: object, part: Mapping[Any, Any]) -> bool:
    """Whether a field of a part is the attachment itself, as base64."""
    held = key == "base64" or (key == "data" and any(kind in part for kind in _DATA_KINDS))
    return held and isinstance(part[key], str)


def _is_part(part: Any) -> bool:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if not isinstance(kind, str):
        return False
    return kind in ATTACHMENTS or kind in _UNSEEN or isinstance(part.get(_TEXT_FIELDS.get(kind)), str)


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
    name = ATTACHMENTS.get(kind) if isinstance(kind, str) else None
    return f"[{name}]" if name else ""
