"""A client's book under a clock that the test turns: every event as it would leave, and no thread or socket."""

import heapq
import itertools
import json
from collections.abc import Callable
from typing import Any

from mindlytics_core import Delivery, Ids, Session, _config
from mindlytics_core._book import Book
from mindlytics_core._clock import Clock
from mindlytics_core._editing import Editor
from mindlytics_core._history import Message
from mindlytics_core._model import Event
from mindlytics_core._reports import Reports
from mindlytics_core._scope import current_scope
from mindlytics_core._wire import encode
from mindlytics_core.exchange import Exchange


class Desk:
    """
    Sessions, conversations and exchanges of one client.

    Args:
        idle_timeout: As of a client.

        end_on_exit: As of a client.

        sample_rate: As of a client.
    """

    def __init__(self, *, idle_timeout: float = 1800.0, end_on_exit: bool = True, keep: bool = True) -> None:
        self.wall = 1_700_000_000.0
        self.now = 1_000.0
        self.recorded: list[Event] = []
        self._wire: list[dict[str, Any]] = []
        self.count = 0
        self._keep = keep
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self.book = Book(
            _config.load("key", "project", "http://desk.invalid", None, {}),
            Delivery(),
            Reports(None, None),
            editor=Editor(capture_content=True, redact=(), sample_rate=1.0, before_send=self._take),
            idle_timeout=idle_timeout,
            end_on_exit=end_on_exit,
            clock=Clock(lambda: self.wall, lambda: self.now),
            call_at=lambda when, task: heapq.heappush(self._timers, (when, next(self._numbers), task)),
        )

    @property
    def events(self) -> list[dict[str, Any]]:
        """What has left so far, as it would be on the wire."""
        self._wire += [json.loads(encode(event)) for event in self.recorded[len(self._wire) :]]
        return self._wire

    def session(self, **arguments: Any) -> Session:
        """A session as `Client.create_session` makes it."""
        conversation_id = arguments.pop("conversation_id", None)
        ids = Ids(arguments.pop("id", None), arguments.pop("device_id", None), arguments.pop("session_id", None))
        lifecycle = self.book.lifecycle(ids, attributes=arguments.pop("attributes", None))
        identity = ids.other_than(lifecycle.identity)
        return Session(self.book, lifecycle, conversation_id=conversation_id, identity=identity)

    def exchange(
        self, ids: Ids | None = None, messages: list[Message] | None = None, *, continue_within: float = 0.0
    ) -> Exchange:
        """An exchange as `Client.exchange` opens it."""
        scope = current_scope()
        known = (ids or Ids()).or_else(scope.ids if scope else Ids())
        return self.book.open_exchange(
            known,
            scope,
            messages or [],
            user="Hi",
            continue_within=continue_within,
            assistant_id=None,
            properties={},
        )

    def pass_time(self, seconds: float, *, wall: float | None = None) -> None:
        """Turn the clocks on, and let happen what falls due; `wall` says how far the wall clock jumps instead."""
        until = self.now + seconds
        self.wall += seconds if wall is None else wall
        self.run_timers(until)
        self.now = until

    def run_timers(self, until: float | None = None) -> None:
        """Let happen what is due, now or up to a later time."""
        until = self.now if until is None else until
        while self._timers and self._timers[0][0] <= until:
            when, _, task = heapq.heappop(self._timers)
            self.now = max(self.now, when)
            task()

    def _take(self, event: Event) -> None:
        self.count += 1
        if self._keep:
            self.recorded.append(event)
