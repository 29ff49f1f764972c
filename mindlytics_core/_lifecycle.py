"""What starts and ends by itself in a session, in the right order, each start and each end once."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Protocol

import msgspec

from mindlytics_core import _model
from mindlytics_core._clock import IDS, Clock
from mindlytics_core._line import Line
from mindlytics_core._model import Identity, Properties
from mindlytics_core._outbox import AnyLock, Outbox
from mindlytics_core._receipt import NOT_TAKEN, Receipt

#: Conversations that one session keeps open at once; beyond it the quietest ends.
MOST_OPEN = 10_000
#: Ended conversations that a session knows at least, so that a second end by hand is none.
_MOST_FINISHED = 50_000


class Recorder(Protocol):
    """What a session needs from its client."""

    clock: Clock
    outbox: Outbox

    def record(self, event: _model.Event) -> Receipt:
        """Put an event into the queue; never raises."""
        ...

    def refuse(self, event: _model.Event) -> Receipt:
        """Count an event that came after the end of its session."""
        ...

    def leave_out(self, event: _model.Event) -> Receipt:
        """Count an event of a session whose one conversation is not recorded."""
        ...

    def opened(self, lifecycle: "Lifecycle") -> None:
        """A session began: it must be ended before the process is."""
        ...

    def ended(self, lifecycle: "Lifecycle") -> None:
        """A session is over."""
        ...


class _Last(msgspec.Struct):
    """
    What is known of an open conversation.

    Attributes:
        at: The latest timestamp in it.

        touched: When its last event was recorded, on the monotonic clock.

        identity: Whose it is, where that is somebody else than the session's.
    """

    at: str
    touched: float
    identity: Identity | None


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

        left_out: Whether it belongs to a conversation that is not recorded.
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
        left_out: bool = False,
    ) -> None:
        self.session_id = session_id
        #: Whether the app chose an id in it, so that it may go on in another process.
        self.named = named
        #: False when its conversation decides about its end.
        self.ends_when_idle = ends_when_idle
        self.identity = identity
        #: The conversation of events that name none, once there is one.
        self.own_conversation_id: str | None = None
        self._now = recorder.clock.monotonic
        #: When it was last used, on the monotonic clock.
        self.touched = self._now()
        #: Exchanges in progress, by conversation: neither it nor the session is idle.
        self._running: dict[str, int] = {}
        self._recorder = recorder
        self._left_out = left_out
        #: Where its events keep their order; None where they are queued under the lock.
        self._line: Line | None = None
        self._attributes = attributes
        self._announce = announce
        self.lock: AnyLock
        self._renew()
        #: Open conversations, the quietest first.
        self._open: dict[str, _Last] = {}
        #: What was open at a fork: the parent ends it, and the session too.
        self._parents: frozenset[str] | None = None
        #: Digests of the ids of ended conversations; when there are many, the older half makes way together.
        self._finished: set[int] = set()
        self._finished_before: set[int] = set()
        #: `with` blocks that are open in it, of any object.
        self._blocks = 0
        #: The latest timestamp; None before the first event.
        self._last_at: str | None = None
        self._ended = False

    @property
    def has_ended(self) -> bool:
        """Whether it takes no more events."""
        return self._ended

    @property
    def sent_its_end(self) -> bool:
        """Whether it had events, and takes no more of them."""
        return self._ended and self._last_at is not None

    @property
    def is_running(self) -> bool:
        """Whether an exchange is in progress in it."""
        return bool(self._running)

    def is_open(self, conversation_id: str) -> bool:
        """Whether a conversation was started here and not ended."""
        return conversation_id in self._open or conversation_id in (self._parents or ())

    def inherit(self) -> None:
        """In a forked child: what the parent began may be added to, and is left to the parent to end."""
        self._renew()
        self._running.clear()
        if self._last_at is not None:
            self._parents = frozenset(self._open) | (self._parents or frozenset())
            self._open.clear()

    def hold(self, until: Future[Any]) -> None:
        """Keep later events back until a future is done; a flush, and the end of the process, let them go before."""
        with self.lock:
            if self._line is None:
                self._line = self._recorder.outbox.line(self.session_id)
                self._record = self._way()
            self._line.hold(until)

    def open_conversations(self) -> list[str]:
        """The conversations that were started here and not ended, the quietest first."""
        with self.lock:
            return list(self._open)

    def belongs_to(self, identity: Identity, attributes: Properties) -> None:
        """
        Note what another object of the same session was made with.

        Args:
            identity: Who later events belong to, as far as that was not known; a session stays its first user's.

            attributes: Sent with a start that is still to come.
        """
        with self.lock:
            known = self.identity
            self.identity = Identity(known.user_id or identity.user_id, known.device_id or identity.device_id)
            if attributes:
                self._attributes = {**self._attributes, **attributes}
                self._announce = True

    def enter_block(self) -> None:
        """A `with` block of the session begins."""
        with self.lock:
            self._blocks += 1

    def leave_block(self) -> None:
        """A `with` block is left; the last one of them ends what is open, and nothing more is taken."""
        with self.lock:
            self._blocks -= 1
            if not self._blocks:
                self.close()

    def begin_exchange(self, conversation_id: str) -> None:
        """Note that an exchange is in progress in a conversation."""
        with self.lock:
            self._running[conversation_id] = self._running.get(conversation_id, 0) + 1

    def end_exchange(self, conversation_id: str) -> None:
        """Note that it is over."""
        with self.lock:
            self.touched = self._now()
            # None of it here where the exchange was begun before a fork.
            running = self._running.pop(conversation_id, 1) - 1
            if running:
                self._running[conversation_id] = running

    def record(
        self, kind: type[_model.Event], at: str, fields: Mapping[str, Any], identity: Identity | None = None
    ) -> Receipt:
        """
        Start the session if that is still to be done, and record one event.

        Args:
            kind: What it is.

            at: When.

            fields: What this kind says besides where, when and who.

            identity: Whose it is, where that is somebody else than the session's.
        """
        with self.lock:
            self._start(at)
            return self._emit(kind, at, identity, fields)

    def record_in_conversation(
        self,
        kind: type[_model.Event],
        at: str,
        conversation_id: str | None,
        fields: dict[str, Any],
        identity: Identity | None = None,
    ) -> Receipt:
        """
        Start session and conversation if that is still to be done, and record one event there.

        Args:
            kind: What it is.

            at: When.

            conversation_id: Where; None for the session's own.

            fields: What this kind says besides where, when and who; kept.

            identity: Whose it is, where that is somebody else than the session's.
        """
        with self.lock:
            inside = conversation_id or self.own_conversation_id or self._own()
            if inside not in self._open:
                self.start_conversation(inside, at, {}, identity)
            fields["conversation_id"] = inside
            receipt = self._emit(kind, at, identity, fields)
            last = self._open.get(inside)
            if last is not None:
                last.touched = self.touched
                last.at = max(last.at, at)
                if len(self._open) > 1:
                    self._open[inside] = self._open.pop(inside)
            return receipt

    def start_conversation(
        self, conversation_id: str | None, at: str, properties: Properties, identity: Identity | None = None
    ) -> Receipt:
        """
        Start a conversation unless it is open.

        Args:
            conversation_id: Its id; None for the session's own.

            at: When.

            properties: Sent with the start.

            identity: Whose it is, where that is somebody else than the session's.
        """
        with self.lock:
            self._start(at)
            inside = conversation_id or self._own()
            if self.is_open(inside):
                return NOT_TAKEN
            fields = {"conversation_id": inside, "properties": properties}
            receipt = self._emit(_model.ConversationStarted, at, identity, fields)
            if not self._ended:
                self._open[inside] = _Last(at, self.touched, identity)
                self._finished.discard(hash(inside))
                self._finished_before.discard(hash(inside))
                if self._parents is not None:
                    # The parent ends what it began, and this process what begins in it.
                    self._recorder.opened(self)
                self._end_quietest()
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
            if which is None or hash(which) in self._finished or hash(which) in self._finished_before:
                return NOT_TAKEN
            last = self._open.get(which)
            at = at or (last.at if last else self._last_at)
            if at is None:
                return NOT_TAKEN
            self._start(at)
            self._open.pop(which, None)
            self._parents = self._parents and self._parents - {which}
            self._finish(which)
            identity = last.identity if last else None
            fields = {"conversation_id": which, "properties": properties}
            return self._emit(_model.ConversationEnded, at, identity, fields)

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
            if at is None and self._parents is not None:
                self._end_conversations()
                self._recorder.ended(self)
                return NOT_TAKEN
            receipt = self._emit_ends(at, attributes)
            self._ended = self._ended or self._last_at is not None
        return receipt

    def end_idle(self, idle_since: float) -> None:
        """
        End what has been silent for long; a session that its app goes on with begins anew under the same id.

        Args:
            idle_since: What was used since this time of the monotonic clock is not idle.
        """
        with self.lock:
            if self.touched <= idle_since and not self._running and self._parents is None:
                self._emit_ends(None, {})
                self._last_at = None
                return
            for conversation_id, last in list(self._open.items()):
                if last.touched <= idle_since and conversation_id not in self._running:
                    self.end_conversation(conversation_id, None, {})

    def idle_from(self, now: float) -> float:
        """Since when something in it has been silent, on the monotonic clock; `now` while all of it is in use."""
        with self.lock:
            quiet = (last.touched for which, last in self._open.items() if which not in self._running)
            return next(quiet, now if self._running else self.touched)

    def close(self) -> None:
        """End what is open, and take no more events."""
        with self.lock:
            self.end(None, {})
            self._ended = True

    def outlive_threads(self) -> None:
        """The process ends: wait no more for threads that are frozen with the lock."""
        self.lock = self._recorder.outbox.last(self.lock)

    def _renew(self) -> None:
        self.lock = self._recorder.outbox.new_lock()
        self._line = self._recorder.outbox.line_if_needed(self.session_id)
        self._record = self._way()

    def _way(self) -> Callable[[_model.Event], Receipt]:
        if self._left_out:
            return self._recorder.leave_out
        return self._recorder.record if self._line is None else self._line.add

    def _emit_ends(self, at: str | None, attributes: Properties) -> Receipt:
        at = at or self._last_at
        if self._ended or at is None:
            return NOT_TAKEN
        self._start(at)
        self._end_conversations()
        receipt = self._emit(_model.SessionEnded, at, None, {"attributes": attributes})
        self._recorder.ended(self)
        return receipt

    def _end_conversations(self) -> None:
        for conversation_id in list(self._open):
            self.end_conversation(conversation_id, None, {})

    def _start(self, at: str) -> None:
        if self._last_at is None and not self._ended:
            self._last_at = at
            self.touched = self._now()
            self._recorder.opened(self)
            if self._announce:
                self._emit(_model.SessionStarted, at, None, {"attributes": self._attributes})

    def _emit(self, kind: type[_model.Event], at: str, identity: Identity | None, fields: Mapping[str, Any]) -> Receipt:
        identity = self.identity if identity is None else identity
        event = kind(session_id=self.session_id, timestamp=at, identity=identity, **fields)
        if self._ended:
            return self._recorder.refuse(event)
        if self._last_at is None or self._last_at < at:
            self._last_at = at
        self.touched = self._now()
        return self._record(event)

    def _end_quietest(self) -> None:
        if len(self._open) > MOST_OPEN:
            newest = next(reversed(self._open))
            quiet = (which for which in self._open if which not in self._running and which != newest)
            if (quietest := next(quiet, None)) is not None:
                self.end_conversation(quietest, None, {})

    def _own(self) -> str:
        self.own_conversation_id = self.own_conversation_id or IDS.new()
        return self.own_conversation_id

    def _finish(self, conversation_id: str) -> None:
        if conversation_id == self.own_conversation_id:
            self.own_conversation_id = None
        if len(self._finished) >= _MOST_FINISHED:
            self._finished_before, self._finished = self._finished, set()
        self._finished.add(hash(conversation_id))
