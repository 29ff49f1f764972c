"""New events, handed to whoever watches at the moment."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mindlytics_local import _json

#: How far a watcher may be behind before the rest is left out, in characters.
_BEHIND_CHARS = 16 * 1024 * 1024
#: Silence after which a watcher gets a sign of life, in seconds; proxies and browsers give up on a silent stream.
_SIGN_OF_LIFE_SECONDS = 15.0

#: Sent in place of what a watcher was too slow for: it has to look for itself.
_MISSED = "event: missed\ndata: {}\n\n"


class Live:
    """Everybody who watches. Used on the service's event loop only."""

    def __init__(self) -> None:
        self._watchers: set[_Watcher] = set()
        self._closed = False

    @property
    def watchers(self) -> int:
        """How many watch."""
        return len(self._watchers)

    def publish(self, records: Sequence[dict[str, Any]]) -> None:
        """
        Hand stored events to everybody who watches.

        Args:
            records: The events, in order.
        """
        if not self._watchers:
            return
        messages = [f"id: {record['seq']}\nevent: event\ndata: {_json.write(record)}\n\n" for record in records]
        for watcher in self._watchers:
            watcher.tell(messages)

    def changed(self) -> None:
        """Tell everybody that more has changed than there are new events for."""
        for watcher in self._watchers:
            watcher.miss()

    def close(self) -> None:
        """End every stream, and let none begin any more."""
        self._closed = True
        for watcher in self._watchers:
            watcher.end()

    async def stream(self) -> AsyncIterator[str]:
        """New events as Server-Sent Events, until the watcher goes or the service stops."""
        if self._closed:
            return
        with self._watching() as watcher:
            yield ": watching\n\n"
            while (message := await watcher.next()) is not None:
                yield message

    @contextmanager
    def _watching(self) -> "Iterator[_Watcher]":
        watcher = _Watcher()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)


class _Watcher:
    """One open stream: what it has not been sent yet."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[str | None] = asyncio.Queue()
        #: Characters in there.
        self._behind = 0
        self._missing = False

    def tell(self, messages: Sequence[str]) -> None:
        size = sum(map(len, messages))
        if self._behind + size > _BEHIND_CHARS:
            self.miss()
            return
        self._missing = False
        self._behind += size
        for message in messages:
            self._waiting.put_nowait(message)

    def miss(self) -> None:
        if not self._missing:
            self._missing = True
            self._behind += len(_MISSED)
            self._waiting.put_nowait(_MISSED)

    def end(self) -> None:
        self._waiting.put_nowait(None)

    async def next(self) -> str | None:
        try:
            message = await asyncio.wait_for(self._waiting.get(), _SIGN_OF_LIFE_SECONDS)
        except TimeoutError:
            return ": still here\n\n"
        self._behind -= len(message or "")
        return message
