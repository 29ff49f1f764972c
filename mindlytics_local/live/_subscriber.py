"""One open stream: what it has not been sent yet, within bounds."""

import asyncio
from collections.abc import Sequence

#: How far a watcher may be behind before the rest is left out, in characters.
_BEHIND_CHARS = 16 * 1024 * 1024


class Subscriber:
    """
    What somebody who watches is still to be sent. Used on the service's event loop only.

    Args:
        missed: Sent in place of what it was too slow for.
    """

    def __init__(self, missed: str) -> None:
        self._missed = missed
        self._waiting: asyncio.Queue[str | None] = asyncio.Queue()
        #: Characters in there.
        self._behind = 0
        self._missing = False

    def tell(self, messages: Sequence[str]) -> None:
        """
        Have something sent, all of it or nothing.

        Args:
            messages: The messages, in order.
        """
        size = sum(map(len, messages))
        if self._behind + size > _BEHIND_CHARS:
            self.miss()
            return
        self._missing = False
        self._behind += size
        for message in messages:
            self._waiting.put_nowait(message)

    def miss(self) -> None:
        """Tell that something was left out, once until there is room again."""
        if not self._missing:
            self._missing = True
            self._behind += len(self._missed)
            self._waiting.put_nowait(self._missed)

    def end(self) -> None:
        """Have nothing sent any more."""
        self._waiting.put_nowait(None)

    async def next(self) -> str | None:
        """The next message, as soon as there is one; None when the stream is to end."""
        message = await self._waiting.get()
        self._behind -= len(message or "")
        return message
