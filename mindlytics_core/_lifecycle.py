"""What starts and ends by itself in a session, in the right order, each start and each end once."""

import threading
from collections import OrderedDict
from typing import Any, Protocol

from mindlytics_core import _model
from mindlytics_core._clock import IDS, Clock
from mindlytics_core._model import Identity, Properties
from mindlytics_core._receipt import NOT_TAKEN, Receipt

_MOST_FINISHED = 1_000


class Recorder(Protocol):
    """What a session needs from its client."""

    clock: Clock

    def record(self, event: _model.Event) -> Receipt:
        """Put an event into the queue; never raises."""
        ...

    def refuse(self, event: _model.Event) -> Receipt:
        """Count an event that came after the end of its session."""
        ...

    def opened(self, lifecycle: "Lifecycle") -> None:
        """A session began: it must be ended before the process is."""
        ...

    def ended(self, lifecycle: "Lifecycle") -> None:
        """A session is over."""
        ...


class Lifecycle:
    """
    One session's starts, events and ends.

    Args:
        recorder: Takes the events.

        session_id: The session.

        identity: Who later events belong to.

        attributes: Sent with the session's start.

        announce: Whether a start is sent; otherwise the service opens the session with its first event.

        named: Whether the app chose an id in it, so that it may go on in another process.

        ends_when_idle: False when its conversation decides about its end.
    """

    def __init__(
        self,
        recorder: Recorder,
        session_id: str,
        identity: Identity,
        attributes: Properties,
        *,
        announce: bool,
        named: bool,
        ends_when_idle: bool,
    ) -> None:
        self.session_id = session_id
        #: Whether the app chose an id in it, so that it may go on in another process.
        self.named = named
        #: False when its conversation decides about its end.
        self.ends_when_idle = ends_when_idle
        self.identity = identity
        #: The conversation of events that name none, once there is one.
        self.own_conversation_id: str | None = None
        #: When it was last used, on the monotonic clock.
        self.touched = recorder.clock.monotonic()
        self._recorder = recorder
        self._attributes = attributes
        self._announce = announce
        # Re-entrant: a signal handler or finaliser may track while a call of ours is under way.
        self.lock = threading.RLock()
        #: Open conversations, with the time of the last event in each.
        self._open: dict[str, str] = {}
        #: What was open at a fork: the parent ends it, and the session too.
        self._parents: frozenset[str] | None = None
        self._finished: OrderedDict[str, None] = OrderedDict()
        self._last_at: str | None = None
        self._ended = False

    @property
    def has_ended(self) -> bool:
        """Whether it takes no more events."""
        return self._ended

    def is_open(self, conversation_id: str) -> bool:
        """Whether a conversation was started here and not ended."""
        return conversation_id in self._open or conversation_id in (self._parents or ())

    def inherit(self) -> None:
        """In a forked child: what the parent began may be added to, and is left to the parent to end."""
        self.lock = threading.RLock()
        if self._last_at is not None:
            self._parents = frozenset(self._open) | (self._parents or frozenset())
            self._open.clear()

    def record(self, kind: type[_model.Event], at: str, **fields: Any) -> Receipt:
        """Start the session if that is still to be done, and record one event."""
        with self.lock:
            self._start(at)
            return self._emit(kind, at, **fields)

    def record_in_conversation(
        self, kind: type[_model.Event], at: str, conversation_id: str | None, **fields: Any
    ) -> Receipt:
        """Start session and conversation if that is still to be done, and record one event there."""
        with self.lock:
            inside = conversation_id or self._own()
            self.start_conversation(inside, at, {})
            if inside in self._open:
                self._open[inside] = at
            return self._emit(kind, at, conversation_id=inside, **fields)

    def start_conversation(self, conversation_id: str | None, at: str, properties: Properties) -> Receipt:
        """Start a conversation unless it is open."""
        with self.lock:
            self._start(at)
            inside = conversation_id or self._own()
            if self.is_open(inside):
                return NOT_TAKEN
            receipt = self._emit(_model.ConversationStarted, at, conversation_id=inside, properties=properties)
            if not self._ended:
                self._open[inside] = at
                self._finished.pop(inside, None)
                # For a session of this process's own the second time; for an inherited one the first.
                self._recorder.opened(self)
            return receipt

    def end_conversation(self, conversation_id: str | None, at: str | None, properties: Properties) -> Receipt:
        """
        End a conversation once. One that was never seen here ends too: another process may have opened it.

        Args:
            conversation_id: Its id; None for the session's own.

            at: When; None for the time of its last event.

            properties: Sent with the end.
        """
        with self.lock:
            which = conversation_id or self.own_conversation_id
            if which is None or which in self._finished:
                return NOT_TAKEN
            at = at or self._open.get(which) or self._last_at
            if at is None:
                return NOT_TAKEN
            self._start(at)
            self._open.pop(which, None)
            self._parents = self._parents and self._parents - {which}
            self._finish(which)
            return self._emit(_model.ConversationEnded, at, conversation_id=which, properties=properties)

    def end(self, at: str | None, attributes: Properties) -> Receipt:
        """
        End the open conversations, each as of its last event, then the session; once.

        A session that was begun before a fork is left to the parent, unless its end has a time of its own:
        then somebody asked for it.

        Args:
            at: When; None for the time of the last event, and nothing if there was none.

            attributes: Sent with the end.
        """
        with self.lock:
            is_left_to_parent = at is None and self._parents is not None
            at = at or self._last_at
            if self._ended or at is None:
                return NOT_TAKEN
            self._start(at)
            for conversation_id in list(self._open):
                self.end_conversation(conversation_id, None, {})
            receipt = NOT_TAKEN
            if not is_left_to_parent:
                receipt = self._emit(_model.SessionEnded, at, attributes=attributes)
                self._ended = True
        self._recorder.ended(self)
        return receipt

    def close(self) -> None:
        """End what is open, and take no more events."""
        with self.lock:
            self.end(None, {})
            self._ended = True

    def _start(self, at: str) -> None:
        if self._last_at is None and not self._ended:
            self._last_at = at
            self._recorder.opened(self)
            if self._announce:
                self._emit(_model.SessionStarted, at, attributes=self._attributes)

    def _emit(self, kind: type[_model.Event], at: str, **fields: Any) -> Receipt:
        event = kind(session_id=self.session_id, timestamp=at, identity=self.identity, **fields)
        if self._ended:
            return self._recorder.refuse(event)
        self._last_at = at
        self.touched = self._recorder.clock.monotonic()
        return self._recorder.record(event)

    def _own(self) -> str:
        self.own_conversation_id = self.own_conversation_id or IDS.new()
        return self.own_conversation_id

    def _finish(self, conversation_id: str) -> None:
        if conversation_id == self.own_conversation_id:
            self.own_conversation_id = None
        self._finished[conversation_id] = None
        while len(self._finished) > _MOST_FINISHED:
            self._finished.popitem(last=False)
