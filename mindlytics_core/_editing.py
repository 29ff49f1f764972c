"""What happens to an event between its making and its writing: sampling, privacy, and the longest text."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from mindlytics_core import _guard, _model, _stats, _wire
from mindlytics_core._model import Event, Scalar

#: Longest single text that is recorded, so that an event stays below its limit whatever it holds.
MAX_TEXT_CHARS = 30_000
#: How far redactors see beyond that, and as much is taken off the end of what they leave of a longer text: there may
#: be half of what they would have found. A little more than the longest that the ready-made ones look for.
_REDACTED_AHEAD = 8_500

BeforeSend: TypeAlias = Callable[[Event], Event | None]
Redactor: TypeAlias = Callable[[str], str]

#: The fields that hold what people and models said.
_TEXTS: Mapping[type[Event], tuple[str, ...]] = {
    _model.Turn: ("user", "assistant"),
    _model.FunctionCalled: ("args", "result"),
}
#: The field with an event's scalars, where that is not `properties`.
_SCALARS: Mapping[type[Event], str] = {
    _model.SessionStarted: "attributes",
    _model.SessionEnded: "attributes",
    _model.UserIdentified: "traits",
}


class Editor:
    """
    One client's rules about what leaves the process.

    Args:
        capture_content: Whether texts are recorded; otherwise their lengths are.

        redact: Applied to every text and every text property of a conversation's events, in this order.

        sample_rate: The share of conversations that is recorded, from 0 to 1.

        before_send: The app's own look at each event; gives the one to send, or None.
    """

    def __init__(
        self, *, capture_content: bool, redact: Sequence[Redactor], sample_rate: float, before_send: BeforeSend | None
    ) -> None:
        self._capture_content = capture_content
        self._redact = tuple(redact)
        self._sample_rate = sample_rate
        self._before_send = before_send
        #: Gives the event to send, or the reason why there is none; None where every event is sent as it is.
        self.edit: Callable[[Event], Event | str] | None = self._edit
        if capture_content and not self._redact and sample_rate >= 1 and before_send is None:
            self.edit = None

    @property
    def runs_app_code(self) -> bool:
        """Whether functions of the app's look at events."""
        return bool(self._redact) or self._before_send is not None

    def keeps(self, conversation_id: str) -> bool:
        """Whether a conversation is recorded: decided by its id alone, so that every process decides alike."""
        if self._sample_rate >= 1:
            return True
        digest = hashlib.blake2b(conversation_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest) < self._sample_rate * 2.0**64

    def _edit(self, event: Event) -> Event | str:
        conversation_id: str | None = getattr(event, "conversation_id", None)
        if conversation_id is not None and not self.keeps(conversation_id):
            return _stats.SAMPLED_OUT
        # A text that could not be looked at must not leave: whatever raises here gives no event.
        edited = _guard.call_guarded("before_send", self._edited, event)
        return _stats.BEFORE_SEND if edited is None else edited

    def _edited(self, event: Event) -> Event | None:
        if not self._capture_content:
            event = without_content(event)
        if self._redact:
            event = redacted(event, self._redact)
        event = fitted(event, self._redact)
        return event if self._before_send is None else self._before_send(event)


def without_content(event: Event) -> Event:
    """The event with the lengths of its texts in place of them."""
    if isinstance(event, _model.Turn):
        return event.replace(user="", assistant="", properties=_lengths(event))
    if isinstance(event, _model.FunctionCalled):
        return event.replace(args=None, result=None, properties=_lengths(event))
    if isinstance(event, _model.Tracked) and event.name in (_model.TURN_FAILED, _model.TURN_SUSPENDED):
        properties = dict(event.properties)
        if isinstance(user := properties.pop("user", None), str):
            properties["user_chars"] = len(user)
        return event.replace(properties=properties)
    return event


def redacted(event: Event, redactors: Sequence[Redactor]) -> Event:
    """
    The event with its texts as the redactors leave them; ids, names, attributes and traits stay.

    So do texts that are to be cut: `fitted` redacts those.
    """

    def clean(value: Any) -> Any:
        return _clean(value, redactors) if isinstance(value, str) and not _is_long(value) else value

    changed: dict[str, Any] = {name: clean(getattr(event, name)) for name in _TEXTS.get(type(event), ())}
    properties: Mapping[str, Scalar] | None = getattr(event, "properties", None)
    if properties:
        changed["properties"] = {name: clean(value) for name, value in properties.items()}
    return event.replace(**changed) if changed else event


def _clean(text: str, redactors: Sequence[Redactor]) -> str:
    for redactor in redactors:
        text = redactor(text)
    return text


def encoded(event: Event) -> bytes:
    """One event as JSON, its texts cut to the longest that is recorded."""
    chars = 0
    # (Written out, as every event passes here.)
    try:
        if isinstance(event, _model.Turn):
            chars = len(event.user) + len(event.assistant)
        elif isinstance(event, _model.FunctionCalled):
            chars = len(event.args or "") + len(event.result or "")
    except TypeError:  # `before_send` may have put there what has no length
        pass
    # What people, models and tools say may be megabytes: nobody waits for those to be written and thrown away.
    if chars > MAX_TEXT_CHARS:
        return _wire.encode(fitted(event))
    body = _wire.encode(event)
    # Only then can a property be too long; to look at each of them takes longer than to write most events.
    if len(body) <= MAX_TEXT_CHARS:
        return body
    left = fitted(event)
    return body if left is event else _wire.encode(left)


def fitted(event: Event, redactors: Sequence[Redactor] = ()) -> Event:
    """
    The event with every text cut to the longest that is recorded, and what is cut as the redactors leave it.

    For each there is a property with its whole length (`user_chars`), and `truncated_chars` says how much is
    missing in all.
    """
    kind = type(event)
    for name in _TEXTS.get(kind, ()):
        if _is_long(getattr(event, name)):
            return _cut(event, redactors)
    values: Mapping[str, Scalar] | None = getattr(event, _SCALARS.get(kind, "properties"), None)
    return _cut(event, redactors) if values and any(map(_is_long, values.values())) else event


def _cut(event: Event, redactors: Sequence[Redactor]) -> Event:
    group = _SCALARS.get(type(event), "properties")
    texts = {name: text for name in _TEXTS.get(type(event), ()) if _is_long(text := getattr(event, name))}
    values = _shortened(getattr(event, group), redactors if group == "properties" else ())
    # What is in a property's name already is somebody else's.
    changed: dict[str, Any] = {group: {**values, **_notes(texts, values)}}
    changed |= {name: _short(text, redactors) for name, text in texts.items()}
    return event.replace(**changed)


def _short(text: str, redactors: Sequence[Redactor]) -> str:
    # Nothing beyond is recorded, and nobody waits for ten megabytes to be searched.
    seen = text[: MAX_TEXT_CHARS + _REDACTED_AHEAD] if redactors else text
    left = _clean(seen, redactors)
    return left[
        : MAX_TEXT_CHARS if len(seen) == len(text) else min(MAX_TEXT_CHARS, max(len(left) - _REDACTED_AHEAD, 0))
    ]


def _shortened(values: Mapping[str, Scalar], redactors: Sequence[Redactor]) -> dict[str, Scalar]:
    long = {name: value for name, value in values.items() if isinstance(value, str) and _is_long(value)}
    short: dict[str, Scalar] = {**values, **{name: _short(value, redactors) for name, value in long.items()}}
    return short | _notes(long, short)


def _notes(long: Mapping[str, str], beside: Mapping[str, Scalar]) -> dict[str, Scalar]:
    if not long:
        return {}
    already = beside.get("truncated_chars", 0)
    missing = sum(len(text) - MAX_TEXT_CHARS for text in long.values())
    total = missing + (already if isinstance(already, int) else 0)
    return {**{f"{name}_chars": len(text) for name, text in long.items()}, "truncated_chars": total}


def _lengths(event: _model.ConversationEvent) -> dict[str, Scalar]:
    texts = {name: getattr(event, name) for name in _TEXTS[type(event)]}
    return {**event.properties, **{f"{name}_chars": len(text) for name, text in texts.items() if text is not None}}


def _is_long(value: object) -> bool:
    return isinstance(value, str) and len(value) > MAX_TEXT_CHARS
