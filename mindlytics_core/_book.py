"""What one client records: the meeting point of sessions, conversations, exchanges and the queue."""

import concurrent.futures
import functools
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mindlytics_core import _guard, _model, _stats
from mindlytics_core._callbacks import CALLBACKS
from mindlytics_core._clock import IDS, Clock, iso
from mindlytics_core._config import Config, Delivery
from mindlytics_core._conversations import Conversations
from mindlytics_core._editing import Editor, encoded
from mindlytics_core._flush import await_all, wait_for_all
from mindlytics_core._fork import FORKS
from mindlytics_core._history import Message
from mindlytics_core._in_progress import note_opened
from mindlytics_core._last_lock import LastLock, new_lock
from mindlytics_core._lifecycle import Lifecycle
from mindlytics_core._line import overtake
from mindlytics_core._listener import Listening, OnError, OnEvent
from mindlytics_core._model import Identity, Properties
from mindlytics_core._open_sessions import OpenSessions
from mindlytics_core._outbox import Outbox
from mindlytics_core._process import PROCESS
from mindlytics_core._queue import Item
from mindlytics_core._receipt import NOT_TAKEN, TAKEN, Receipt
from mindlytics_core._reports import Reports
from mindlytics_core._scope import Ids, Scope
from mindlytics_core._stats import FlushResult
from mindlytics_core.exchange import Exchange

if TYPE_CHECKING:
    from mindlytics_core._requests import Requests


class Book:
    """
    Records events for one client, and ends what it opened.

    Args:
        config: Where to, as whom, and whether at all.

        delivery: Sizes, waits and limits.

        reports: Told what could not be delivered.

        editor: The rules about what leaves the process.

        idle_timeout: Seconds of silence after which a named conversation, or a session, ends.

        end_on_exit: Whether the exit of the process also ends what the app has named.

        clock: Time.

        call_at: Has something called at a time of the monotonic clock; the worker by default.
    """

    def __init__(
        self,
        config: Config,
        delivery: Delivery,
        reports: Reports,
        *,
        editor: Editor,
        idle_timeout: float,
        end_on_exit: bool,
        clock: Clock | None = None,
        call_at: Callable[[float, Callable[[], None]], None] | None = None,
    ) -> None:
        self.clock = clock or Clock()
        #: Where it records.
        self.destination = config.destination
        self.worker = PROCESS.worker(config.destination, delivery, config.spool_dir)
        #: Whether it takes no more events.
        self.is_closed = False
        self._call_at = call_at or (self._call_back_at if editor.runs_app_code else self.worker.call_at)
        #: Where events wait for the app's code, and for each other.
        self.outbox = Outbox(self._accept, self._prepare, self._give_up, is_needed=editor.runs_app_code)
        self.project_id = config.destination.project_id
        self._delivery = delivery
        self._config = config
        #: Whether `MLSDK_DISABLED` switches everything off.
        self.is_disabled = config.disabled
        #: Connections for live events, the sessions' and the client's.
        self._listening: weakref.WeakSet[Listening] = weakref.WeakSet()
        self._reports = reports
        self._editor = editor
        self._edit = editor.edit
        self._end_on_exit = end_on_exit
        #: Taken by the first close that gives the worker back: others may be using it still.
        self._given_back = threading.Lock()
        self._live: weakref.WeakValueDictionary[str, Lifecycle] = weakref.WeakValueDictionary()
        #: Held while a session is looked for: two threads that name the same one get the same.
        self._looking = new_lock()
        self._sessions = OpenSessions(self.clock, self.call_at, idle_timeout, self._keep)
        self._conversations = Conversations(self, idle_timeout=idle_timeout)
        #: Exchanges that somebody still holds and nobody has closed.
        self._in_progress: weakref.WeakSet[Exchange] = weakref.WeakSet()
        PROCESS.add_ender(self)

    def call_at(self, when: float, task: Callable[[], None]) -> None:
        """Have `task` called at a time of the monotonic clock; of a closed client nothing is due any more."""
        if not self.is_closed:
            self._call_at(when, task)

    # What sessions need.

    def record(self, event: _model.Event) -> Receipt:
        """Put an event into the queue; never raises."""
        if self.is_disabled or self.is_closed:
            return self.refuse(event)
        item = self._item(event)
        if isinstance(item, str):
            return self._drop(event, item)
        return TAKEN if self.worker.queue.put(item) else NOT_TAKEN

    def listen(
        self,
        *,
        session_id: str | None,
        on_event: OnEvent | None,
        on_error: OnError | None,
        is_over: Callable[[], bool],
    ) -> Listening | None:
        """Begin to listen to live events; None where everything is switched off."""
        if self.is_disabled or self.is_closed:
            return None
        # Late, because most processes listen to nothing.
        with FORKS.no_fork():
            from mindlytics_core.live import Connection  # noqa: PLC0415

        listening = Connection(
            self._config, self.requests, session_id=session_id, on_event=on_event, on_error=on_error, is_over=is_over
        )
        self._listening.add(listening)
        listening.start()
        return listening

    @functools.cached_property
    def requests(self) -> "Requests":
        """What is asked outside the queue. Late, as most processes ask nothing."""
        with FORKS.no_fork():
            from mindlytics_core._requests import Requests  # noqa: PLC0415

        return Requests(self._config.destination, self._delivery)

    def refuse(self, event: _model.Event) -> Receipt:
        """Count an event that came after the end of its session."""
        return NOT_TAKEN if self.is_disabled else self._drop(event, _stats.CLOSED)

    def leave_out(self, event: _model.Event) -> Receipt:
        """Count an event of a session whose one conversation is not recorded."""
        return NOT_TAKEN if self.is_disabled else self._drop(event, _stats.SAMPLED_OUT)

    def opened(self, lifecycle: Lifecycle) -> None:
        """A session began: it must be ended before the process is."""
        if not self.is_closed:
            self._sessions.add(lifecycle)

    def ended(self, lifecycle: Lifecycle) -> None:
        """A session is over."""
        self._sessions.discard(lifecycle)

    # What conversations need.

    def lifecycle(
        self, ids: Ids, *, for_conversation: str | None = None, attributes: Properties | None = None
    ) -> Lifecycle:
        """
        The session that the ids name, or a new one.

        Args:
            ids: Whose it is, and what it is called.

            for_conversation: The conversation that it is made for, which decides about its end.

            attributes: Sent with its start.
        """
        with self._looking:
            known = self._live.get(ids.session_id) if ids.session_id is not None else None
            if known is None or known.has_ended:
                return self._new_lifecycle(ids, for_conversation, attributes)
        if for_conversation is None:
            known.belongs_to(ids.identity(), attributes or {})
        return known

    def _new_lifecycle(self, ids: Ids, for_conversation: str | None, attributes: Properties | None) -> Lifecycle:
        session_id = ids.session_id or IDS.new()
        lifecycle = Lifecycle(
            self,
            session_id,
            # Nobody known: the session is its own anonymous device.
            ids.identity() or Identity(device_id=session_id),
            attributes or {},
            announce=ids.session_id is None or bool(attributes),
            named=ids.session_id is not None or ids.conversation_id is not None,
            ends_when_idle=ids.session_id is not None or for_conversation is None,
            left_out=ids.session_id is None
            and for_conversation is not None
            and not self._editor.keeps(for_conversation),
        )
        self._live[session_id] = lifecycle
        return lifecycle

    # What exchanges need.

    def open_exchange(
        self,
        ids: Ids,
        scope: Scope | None,
        messages: Sequence[Message],
        *,
        user: str | None,
        continue_within: float,
        assistant_id: str | None,
        properties: Properties,
        turn_id: str | None = None,
        calls: Sequence[str] = (),
    ) -> Exchange:
        """Open one turn in the making, or go on with the one that waits for these tools' results."""
        seen = self._conversations.look(ids, messages)
        waiting = self._conversations.unanswered(ids, seen, calls)
        if isinstance(waiting, Exchange):
            waiting.resume(messages, seen)
            note_opened(waiting)
            return waiting
        conversation = self._conversations.join(
            ids,
            seen,
            at=iso(self.clock.wall()),
            continue_within=continue_within,
            properties=scope.properties if scope else {},
        )
        if scope is not None and scope.ids.conversation_id == conversation.conversation_id:
            end = functools.partial(self.end_conversation, conversation.conversation_id, ids.session_id)
            scope.on_leave((self, ids.session_id), end)
        exchange = Exchange(
            self,
            conversation,
            ids,
            messages,
            seen,
            user=user,
            assistant_id=assistant_id,
            properties=properties,
            turn_id=turn_id,
        )
        self._in_progress.add(exchange)
        note_opened(exchange)
        return exchange

    def closed(self, exchange: Exchange, answer: Message | None, answer_id: str | None) -> None:
        """The exchange is over."""
        self._in_progress.discard(exchange)
        self._conversations.leave(exchange.conversation, exchange, answer, answer_id)

    def suspended(
        self, exchange: Exchange, messages: Sequence[Message], answer_id: str | None, calls: Sequence[str]
    ) -> None:
        """The exchange waits for its tools' results."""
        self._conversations.await_tools(exchange.conversation, exchange, messages, answer_id, calls)

    def end_conversation(self, conversation_id: str, session_id: str | None) -> None:
        """End a conversation that an exchange was given the name of."""
        self._conversations.end(conversation_id, session_id)

    # Flush and end.

    async def flush(self, timeout: float, session_id: str | None = None) -> FlushResult:
        """
        Send what was accepted so far, and say what became of it.

        Args:
            timeout: Most seconds to wait.

            session_id: The session that is flushed, where it is one.
        """
        deadline = time.monotonic() + timeout
        left = await self._await_looks(timeout, session_id)
        ticket = self.worker.flush()
        await await_all([ticket.done], deadline - time.monotonic())
        return self.worker.result(ticket, beyond=left)

    def flush_sync(self, timeout: float, session_id: str | None = None) -> FlushResult:
        """The same, blocking the calling thread."""
        deadline = time.monotonic() + timeout
        left = self._wait_for_looks(timeout, session_id)
        ticket = self.worker.flush()
        wait_for_all([ticket.done], deadline - time.monotonic())
        return self.worker.result(ticket, beyond=left)

    def replay_spool(self, timeout: float) -> bool:
        """Deliver what dead processes have left; whether all of it was settled in time."""
        done = self.worker.replay()
        concurrent.futures.wait([done], timeout)
        return done.done()

    def end_open(self, *, named_too: bool) -> None:
        """End what this process opened, each as of its last event; what still runs gets no answer any more."""
        for exchange in list(self._in_progress):
            exchange.give_up()
        self._conversations.give_up_all()
        self._sessions.end_all(named_too=named_too)

    def close(self, timeout: float) -> None:
        """End what is open, and take no more events; waits for what the app's code still looks at."""
        self.end_open(named_too=self._end_on_exit)
        self._wait_for_looks(timeout)
        self._closed()

    async def aclose(self, timeout: float) -> None:
        """The same on any running loop."""
        self.end_open(named_too=self._end_on_exit)
        await self._await_looks(timeout)
        self._closed()

    def release(self) -> None:
        """Stop listening, and let go of the worker; where it has something to deliver, the exit of the process will."""
        for listening in list(self._listening):
            listening.stop()
        if not self.worker.stats().pending and self._given_back.acquire(blocking=False):
            PROCESS.release(self.worker)

    def end_at_exit(self) -> None:
        """The process ends."""
        self.end_open(named_too=self._end_on_exit)

    def close_for_good(self) -> None:
        """The exit handlers are done: take no more events, and wait for no thread that is frozen with a lock."""
        self._closed()
        self._looking = LastLock(self._looking)
        for part in (self.outbox, self._sessions, self._conversations):
            part.outlive_threads()
        for lifecycle in list(self._live.values()):
            lifecycle.outlive_threads()
        for exchange in list(self._in_progress):
            exchange.outlive_threads()

    def forget_after_fork(self) -> None:
        """What is open belongs to the parent, which will end it."""
        self._looking = new_lock()
        self.outbox.renew()
        for exchange in list(self._in_progress):
            exchange.renew_lock()
        for lifecycle in list(self._live.values()):
            lifecycle.inherit()
        self._sessions.renew()
        self._conversations.renew()
        self._in_progress.clear()

    def _item(self, event: _model.Event) -> Item | str:
        """The event as it is queued, or the reason why it is not."""
        if self._edit is not None:
            edited = self._edit(event)
            if isinstance(edited, str):
                return edited
            event = edited
        body = _guard.call_guarded("encode", encoded, event)
        return _stats.ENCODE_ERROR if body is None else Item(event.session_id, body, self._reports)

    def _accept(self) -> None:
        """An event has its place; what becomes of it is still to be counted."""
        if not self.is_disabled:
            self.worker.queue.accepted.raise_by_one()

    def _prepare(self, event: _model.Event) -> Callable[[], Receipt]:
        """Have the app's code look at an event; what puts it into the queue, unless the client is closed by then."""
        item = _stats.CLOSED if self.is_disabled or self.is_closed else self._item(event)
        return functools.partial(self._let_in, event, item)

    def _let_in(self, event: _model.Event, item: Item | str) -> Receipt:
        """Put an accepted event into the queue."""
        if self.is_disabled:
            return NOT_TAKEN
        queue, item = self.worker.queue, _stats.CLOSED if self.is_closed else item
        if isinstance(item, str):
            queue.drop(self._reports, event.session_id, item)
            return NOT_TAKEN
        return TAKEN if queue.put(item, is_counted=True) else NOT_TAKEN

    def _give_up(self, event: _model.Event) -> Receipt:
        return self._let_in(event, _stats.BEFORE_SEND)

    def _call_back_at(self, when: float, task: Callable[[], None]) -> None:
        """An end that comes by itself shows the app's code its events: not on the thread that delivers."""
        self.worker.call_at(when, lambda: CALLBACKS.submit(task))

    async def _await_looks(self, timeout: float, session_id: str | None = None) -> int:
        passing = self.outbox.passing(session_id)
        await await_all(list(passing), timeout)
        overtake(passing)
        return self.outbox.waiting(session_id)

    def _wait_for_looks(self, timeout: float, session_id: str | None = None) -> int:
        """Wait, and give how many events have still not left."""
        passing = self.outbox.passing(session_id)
        wait_for_all(list(passing), timeout)
        overtake(passing)
        return self.outbox.waiting(session_id)

    def _closed(self) -> None:
        self.is_closed = True
        PROCESS.keep(self, open_now=False)

    def _keep(self, open_now: bool) -> None:  # noqa: FBT001  # a callback of one fact
        PROCESS.keep(self, open_now=open_now)

    def _drop(self, event: _model.Event, reason: str) -> Receipt:
        self.worker.queue.refuse(self._reports, event.session_id, reason)
        return NOT_TAKEN
