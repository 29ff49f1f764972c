"""Answers that the app takes as an HTTP response: put together from the bytes that it reads, in whatever way."""

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from mindlytics_openai._surface import Answer, Collector, Surface

_DATA = b"data:"
_DONE = b"[DONE]"


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
        try:
            body = json.loads(b"".join(self._parts))
        except ValueError:
            return Answer(is_complete=False)
        return self._surface.answer(body)


class EventBody:
    """
    Puts an answer together that comes as server-sent events.

    Args:
        collector: Takes the events in.
    """

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._rest = b""

    def add(self, part: Any) -> bool:
        """Take some bytes in; say whether the user sees something by them."""
        *lines, self._rest = (self._rest + part).split(b"\n")
        shown = [self._collector.add(event) for event in _events(lines)]
        return any(shown)

    def answer(self) -> Answer:
        """What has come so far."""
        return self._collector.answer()


def _events(lines: list[bytes]) -> Iterator[Any]:
    """What stands in lines of data; the providers write each event into one line."""
    for line in lines:
        data = line.removeprefix(_DATA).strip()
        if line.startswith(_DATA) and not data.startswith(_DONE):
            # With attributes, as the SDK's own objects have them.
            yield json.loads(data, object_hook=_with_attributes)


def _with_attributes(fields: dict[str, Any]) -> SimpleNamespace:
    return SimpleNamespace(**fields)
