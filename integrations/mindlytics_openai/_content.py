"""Message content as text: parts that are no text are named, never copied."""

from typing import Any

from mindlytics_openai._fields import as_text, read

#: Parts that hold text, with the field that holds it.
_TEXT_FIELDS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
#: Parts that hold something else, with the word for it.
_NAMES = {
    "image_url": "image",
    "input_image": "image",
    "input_audio": "audio",
    "output_audio": "audio",
    "audio": "audio",
    "file": "file",
    "input_file": "file",
    "video_url": "video",
    "computer_screenshot": "image",
    "image_generation_call": "image",
}
#: Parts that nobody is shown.
_HIDDEN = {"thinking", "redacted_thinking", "reasoning"}
#: Characters of an attachment that tell it from others in a history; all of it may be megabytes.
_MARK_CHARS = 48


def shown(content: Any) -> str:
    """The content as a person would read it, with `[image]` and the like in the place of what is no text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list | tuple):
        return ""
    return "\n".join(filter(None, map(_shown_part, content)))


def told_apart(content: Any) -> str:
    """The same, with a mark of each attachment: two pictures with the same question are two messages."""
    if not isinstance(content, list | tuple):
        return shown(content)
    return "\n".join(f"{_shown_part(part)}{_mark(part)}" for part in content)


def _shown_part(part: Any) -> str:
    if isinstance(part, str):
        return part
    kind = read(part, "type")
    field = _TEXT_FIELDS.get(kind)
    if field is not None:
        return as_text(read(part, field))
    return "" if kind in _HIDDEN else f"[{_NAMES.get(kind, kind or 'unknown')}]"


def _mark(part: Any) -> str:
    kind = read(part, "type")
    if isinstance(part, str) or kind in _TEXT_FIELDS:
        return ""
    data = as_text(read(part, kind) or part)
    return f"\0{len(data)}\0{data[:_MARK_CHARS]}\0{data[-_MARK_CHARS:]}"
