"""The exchanges that wait for a person or for an app's own tools, so that the next run can go on with them."""

import time
import weakref
from collections import OrderedDict

from mindlytics_core import Exchange, Message

#: Turns that are over of which it is remembered that no resumed run can complete them.
_MOST_OVER = 1_000


class Waiting:
    """The exchanges of one client that wait; the core keeps them alive, and gives them up in the end."""

    def __init__(self) -> None:
        #: By the name of the graph's thread.
        self._threads: weakref.WeakValueDictionary[str, Exchange] = weakref.WeakValueDictionary()
        #: When an exchange began to wait for its tools, on the monotonic clock.
        self._tools: weakref.WeakKeyDictionary[Exchange, float] = weakref.WeakKeyDictionary()
        self._over: OrderedDict[str, None] = OrderedDict()

    def for_person(self, exchange: Exchange, thread_id: str) -> None:
        """A graph was interrupted; the run that resumes its thread completes the exchange."""
        self._threads[thread_id] = exchange
        exchange.await_person((_mark(thread_id),))

    def is_interrupted(self, thread_id: str | None) -> bool:
        """Whether an exchange waits for this thread to be resumed."""
        exchange = self._threads.get(thread_id) if thread_id is not None else None
        return exchange is not None and exchange.is_open

    def messages(self, thread_id: str) -> tuple[Message, ...]:
        """What the core recognises a thread's exchange by; it waits no longer."""
        self._threads.pop(thread_id, None)
        return (_mark(thread_id),)

    def is_over(self, turn_id: str) -> bool:
        """Whether a turn of this id was completed by this process."""
        return turn_id in self._over

    def note_over(self, turn_id: str) -> None:
        """A turn is complete: whatever goes on from there is another one."""
        self._over[turn_id] = None
        while len(self._over) > _MOST_OVER:
            self._over.popitem(last=False)

    def for_tools(self, exchange: Exchange, messages: tuple[Message, ...]) -> None:
        """A model asked the app for tools; the model call that brings their results goes on."""
        self._tools[exchange] = time.monotonic()
        exchange.await_tools(messages)

    def took(self, exchange: Exchange) -> float | None:
        """For how many milliseconds an exchange waited for its tools; None if it is new."""
        since = self._tools.pop(exchange, None)
        return None if since is None else (time.monotonic() - since) * 1000


def _mark(thread_id: str) -> Message:
    return Message("assistant", f"\0interrupted\0{thread_id}")
