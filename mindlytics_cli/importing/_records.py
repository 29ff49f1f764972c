"""From the text of one record to events, whichever format it has; either all of them are fit or none is."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from mindlytics_cli.importing import _chatgpt, _openai, _own, _past
from mindlytics_cli.importing._framing import MAX_RECORD_BYTES, Piece
from mindlytics_cli.importing._past import Conversation, Unreadable
from mindlytics_core import Event, InvalidArgument, event_from_json

AUTO, EVENTS = "auto", "events"


class Format(Protocol):
    """A module that reads one kind of conversation."""

    fits: Callable[[dict[str, Any]], bool]
    read: Callable[[dict[str, Any]], Conversation]


_FORMATS: Mapping[str, Any] = {"conversations": _own, "chatgpt": _chatgpt, "openai": _openai}
#: What `--format` takes.
FORMATS = (AUTO, *_FORMATS, EVENTS)


@dataclass(frozen=True, slots=True)
class Reading:
    """
    How records are read.

    Attributes:
        form: The format; `auto` looks at each record.

        user_id: Whose conversations are that name nobody.

        undated: The time of what has none.
    """

    form: str
    user_id: str | None
    undated: datetime

    def events(self, piece: Piece) -> list[Event]:
        """
        The events of one record.

        Args:
            piece: Its text.

        Raises:
            Unreadable: What is wrong with it.
        """
        record = _parsed(piece)
        form = _form_of(record) if self.form == AUTO else self.form
        if form == EVENTS:
            return [_checked(record)]
        past: Conversation = _FORMATS[form].read(record)
        if past.user_id is None and past.device_id is None:
            past = replace(past, user_id=self.user_id)
        told = _past.wire(past, name=_name(piece), undated=self.undated, source=form)
        return [_checked(event) for event in told]


def _parsed(piece: Piece) -> dict[str, Any]:
    if piece.text is None:
        raise Unreadable(f"longer than {MAX_RECORD_BYTES:,} bytes")
    try:
        record = json.loads(piece.text.decode())
    except UnicodeDecodeError:
        raise Unreadable("is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise Unreadable(f"is not JSON: {error.msg} at character {error.pos + 1}") from None
    except (RecursionError, ValueError):
        raise Unreadable("is JSON of a kind that nobody can read: nested too deeply, or a number too long") from None
    if not isinstance(record, dict):
        raise Unreadable("is JSON, but no object")
    return record


def _form_of(record: dict[str, Any]) -> str:
    for name, form in _FORMATS.items():
        if form.fits(record):
            return name
    if "session_id" in record and "type" in record:
        return EVENTS
    raise Unreadable("has none of the fields that a known format has: turns, mapping, messages, or type and session_id")


def _checked(data: dict[str, Any]) -> Event:
    try:
        return event_from_json(data)
    except InvalidArgument as error:
        raise Unreadable(str(error).replace("Value error, ", "")) from None


def _name(piece: Piece) -> str:
    """An id for a conversation without one: the same whenever the same file is read, and another for its double."""
    digest = hashlib.sha256(b"%d:%s" % (piece.number, piece.text))
    return f"import-{digest.hexdigest()[:24]}"
