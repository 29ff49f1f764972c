"""Answers that the app takes as an HTTP response: put together from the bytes that it reads, in whatever way."""

import json
from types import SimpleNamespace
from typing import Any

from mindlytics_openai._surface import Answer, Collector, Surface

_DATA = b"data:"
_DONE = b"[DONE]"
#: What some write before their first line.
_MARK = b"\xef\xbb\xbf"


def read_whole(surface: Surface, body: str | bytes) -> Answer:
    """An answer from its JSON."""
    try:
        return surface.answer(json.loads(body))
    except ValueError:
        return Answer(error="UnreadableAnswer")


class WholeBody:
    """
    Puts an answer together that comes as one JSON object.

    Args:
        surface: How it is read.
    """

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._parts: list[bytes] = []

    def add(self, part: Any) -> bool:
        """Take some bytes in; a piece of JSON shows the user nothing yet."""
        self._parts.append(part)
        return False

    def answer(self) -> Answer:
        """What has come; half an object says nothing."""
        answer = read_whole(self._surface, b"".join(self._parts))
        return Answer(is_complete=False) if answer.error == "UnreadableAnswer" else answer


class EventBody:
    """
    Puts an answer together that comes as server-sent events.

    Args:
        collector: Takes the events in.
    """

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        #: The beginning of a line, and the lines of an event, that are not over yet.
        self._rest = b""
        self._data: list[bytes] = []

    def add(self, part: Any) -> bool:
        """Take some bytes in; say whether the user sees something by them."""
        lines = (self._rest + part).splitlines(keepends=True)
        # A line is over when its end is all there: a "\r" may be half of one.
        self._rest = b"" if not lines or lines[-1].endswith(b"\n") else lines.pop()
        shown = [self._take(line.rstrip(b"\r\n")) for line in lines]
        return any(shown)

    def answer(self) -> Answer:
        """What has come so far."""
        for line in (*self._rest.splitlines(), b""):
            self._take(line)
        self._rest = b""
        return self._collector.answer()

    def _take(self, line: bytes) -> bool:
        line = line.removeprefix(_MARK)
        if line.startswith(_DATA):
            self._data.append(line.removeprefix(_DATA).strip())
        if line or not self._data:
            return False
        data = b"\n".join(self._data)
        self._data.clear()
        # With attributes, as the SDK's own objects have them.
        return not data.startswith(_DONE) and self._collector.add(json.loads(data, object_hook=_with_attributes))


def _with_attributes(fields: dict[str, Any]) -> SimpleNamespace:
    return SimpleNamespace(**fields)
