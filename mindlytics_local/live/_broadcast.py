"""New events, handed to whoever watches at the moment: open pages, and listeners on a WebSocket."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mindlytics_local import _json
from mindlytics_local.live._subscriber import Subscriber
from mindlytics_local.model._live_events import LiveEvent, Outcome, error, live_events

#: Silence after which a page gets a sign of life, in seconds; proxies and browsers give up on a silent stream.
_SIGN_OF_LIFE_SECONDS = 15.0

#: Sent to a page in place of what it was too slow for: it has to look for itself.
_MISSED = "event: missed\ndata: {}\n\n"


@dataclass(frozen=True, slots=True)
class Scope:
    """
    What a listener is told about.

    Attributes:
        app_id: One project; empty for all of them.

        session_id: One session; None for all of them.
    """

    app_id: str = ""
    session_id: str | None = None

    def holds(self, event: LiveEvent) -> bool:
        """
        Whether an event is within it.

        Args:
            event: The event.
        """
        return self.app_id in {"", event["app_id"]} and self.session_id in {None, event["session_id"]}


class Broadcast:
    """Everybody who watches. Used on the service's event loop only."""

    def __init__(self) -> None:
        self._pages: set[Subscriber] = set()
        self._listeners: dict[Subscriber, Scope] = {}
        self._closed = False

    @property
    def pages(self) -> int:
        """How many pages are open."""
        return len(self._pages)

    def show(self, records: Sequence[dict[str, Any]]) -> None:
        """
        Hand stored events to every open page.

        Args:
            records: The events, in order.
        """
        if self._pages:
            self._show([f"id: {record['seq']}\nevent: event\ndata: {_json.write(record)}\n\n" for record in records])

    def changed(self) -> None:
        """Tell every page that more has changed than there are new events for."""
        for page in self._pages:
            page.miss()

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """
        Tell every listener what happened, in the shape of the API document.

        Args:
            outcomes: What new events did, in order.
        """
        if self._listeners:
            self._tell([event for outcome in outcomes for event in live_events(outcome)])

    def fault(self, text: str, app_id: str, session_id: str) -> None:
        """
        Tell pages and listeners that an event was refused.

        Args:
            text: What was wrong with it.

            app_id: Its project.

            session_id: Its session; empty if that could not be read.
        """
        told = error(session_id, app_id, text)
        self._show([f"event: refused\ndata: {_json.write(told)}\n\n"])
        self._tell([told])

    def close(self) -> None:
        """End every stream, and let none begin any more."""
        self._closed = True
        for watcher in (*self._pages, *self._listeners):
            watcher.end()

    async def stream(self) -> AsyncIterator[str]:
        """New events as Server-Sent Events, until the page goes or the service stops."""
        if self._closed:
            return
        page = Subscriber(_MISSED)
        self._pages.add(page)
        try:
            yield ": watching\n\n"
            while (message := await _next_or_sign_of_life(page)) is not None:
                yield message
        finally:
            self._pages.discard(page)

    @contextmanager
    def listening(self, scope: Scope) -> Iterator[Subscriber]:
        """
        Be told about what happens from now on, as JSON texts.

        Args:
            scope: What about.
        """
        missed = error(scope.session_id or "", scope.app_id, "events were left out: this listener is too slow")
        listener = Subscriber(_json.write(missed))
        if self._closed:
            listener.end()
        self._listeners[listener] = scope
        try:
            yield listener
        finally:
            del self._listeners[listener]

    def _show(self, messages: Sequence[str]) -> None:
        for page in self._pages:
            page.tell(messages)

    def _tell(self, events: Sequence[LiveEvent]) -> None:
        written = [(event, _json.write(event)) for event in events]
        for listener, scope in self._listeners.items():
            listener.tell([text for event, text in written if scope.holds(event)])


async def _next_or_sign_of_life(page: Subscriber) -> str | None:
    try:
        return await asyncio.wait_for(page.next(), _SIGN_OF_LIFE_SECONDS)
    except TimeoutError:
        return ": still here\n\n"
