"""The app's own code, `before_send` and redactors, looks at events under no lock of ours; their order stays."""

import functools
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any, TypeAlias

import msgspec

from mindlytics_core._model import Event
from mindlytics_core._receipt import TAKEN, Receipt

#: Events of one line that wait at most for one before them; beyond it they go ahead.
_MOST_WAITING = 1_000
#: Events that one thread keeps at most for after its locks.
_MOST_KEPT = 100

#: Puts one event, as it is now, into the queue.
Send = Callable[[], Receipt]


class _Place:
    """One event's place in its line; it may leave once `send` is there."""

    __slots__ = ("receipt", "send")

    def __init__(self) -> None:
        self.send: Send | None = None
        self.receipt = Receipt()


class Outbox:
    """
    Events on their way from the locks under which their order is decided to the queue.

    The app's code may take locks, track events and open exchanges. Held by another thread meanwhile, a lock of ours
    and one of the app's would wait for each other for ever. So an event only gets its place in the line under a lock;
    the thread that recorded it hands it to the app's code when it holds no lock made here any more, and it leaves
    when everything before it in the line has.

    Args:
        prepare: Has the app's code look at an event; gives what puts it into the queue. Raises nothing of ours.

        give_up: Counts an event whose look was broken off, by a Ctrl-C for example.

        is_needed: Whether there is any code of the app's; otherwise the locks are plain ones, and lines are rare.
    """

    def __init__(
        self, prepare: Callable[[Event], Send], give_up: Callable[[Event], Receipt], *, is_needed: bool
    ) -> None:
        self._prepare = prepare
        self._give_up = give_up
        self._is_needed = is_needed
        self.renew()

    def renew(self) -> None:
        """Begin with nothing; what a forked child finds is its parent's, which will send it."""
        self._mine = _Mine()
        self._making = threading.RLock()
        self._lines: weakref.WeakValueDictionary[str, Line] = weakref.WeakValueDictionary()
        #: Lines with something that waits.
        self._behind: set[Line] = set()

    def new_lock(self) -> AbstractContextManager[Any]:
        """A re-entrant lock under which no code of the app runs; a signal handler or finaliser may need it again."""
        return _Lock(self) if self._is_needed else threading.RLock()

    def line_if_needed(self, session_id: str) -> "Line | None":
        """A session's line; None where events may be queued on the spot."""
        return self.line(session_id) if self._is_needed else self._lines.get(session_id)

    def line(self, session_id: str) -> "Line":
        """A session's line: also of one that begins anew under its id while events of the old one wait."""
        with self._making:
            line = self._lines.get(session_id)
            if line is None:
                line = self._lines[session_id] = Line(self)
            return line

    def passing(self, session_id: str | None = None) -> "Passing":
        """
        What a flush waits for: until everything recorded has left that other threads still look at.

        Args:
            session_id: The session that is flushed, where it is one: others may hold their events back still.
        """
        self._edit_mine()
        behind = list(self._behind)
        for line in behind if session_id is None else filter(None, [self._lines.get(session_id)]):
            line.let_go()
        if self._mine.looks:
            # Whoever is called by the app's look at an event would wait for himself.
            for line in behind:
                line.overtake()
            return {}
        return {line.passing(): line for line in behind if not line.is_held}

    def edit_soon(self, line: "Line", place: _Place, event: Event) -> None:
        """Edit an event on this thread, as soon as it holds none of the locks."""
        mine = self._mine
        mine.kept.append((line, place, event))
        if not mine.locks or len(mine.kept) > _MOST_KEPT:
            self._edit_mine()

    def enter(self) -> None:
        """This thread is about to take one of the locks."""
        self._mine.locks += 1

    def leave(self) -> None:
        """This thread has released it."""
        mine = self._mine
        mine.locks -= 1
        if mine.kept and not mine.locks:
            self._edit_mine()

    def note(self, line: "Line") -> None:
        """Something came into a line, or left it."""
        if not line.waits:
            self._behind.discard(line)
        # Looked at once more: another thread may have put something in meanwhile.
        if line.waits:
            self._behind.add(line)

    def _edit_mine(self) -> None:
        mine = self._mine
        while mine.kept:
            line, place, event = mine.kept.popleft()
            send: Send = functools.partial(self._give_up, event)
            mine.looks += 1
            try:
                send = self._prepare(event)
            finally:
                mine.looks -= 1
                line.ready(place, send)


class Line:
    """One session's events in their order."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._places: deque[_Place] = deque()
        #: Those that only hold the others back.
        self._held: deque[_Place] = deque()
        # Re-entrant, for signal handlers and finalisers. No code of the app runs under it.
        self._moving = threading.RLock()

    @property
    def waits(self) -> bool:
        """Whether anything in it has not left."""
        return bool(self._places)

    def add(self, event: Event) -> Receipt:
        """Give an event the next place; what this gives back is true once the thread holds no lock of ours."""
        place = _Place()
        self._places.append(place)
        self._outbox.note(self)
        self._outbox.edit_soon(self, place, event)
        return place.receipt

    def hold(self, until: Future[Any]) -> None:
        """Keep what comes next waiting until a future is done, or a flush lets it go."""
        place = _Place()
        self._places.append(place)
        self._held.append(place)
        until.add_done_callback(lambda _: self._let_go(place))

    @property
    def is_held(self) -> bool:
        """Whether it holds back what comes."""
        return bool(self._held)

    def let_go(self) -> None:
        """Hold nothing back any more."""
        for place in list(self._held):
            self._let_go(place)

    def _let_go(self, place: _Place) -> None:
        with suppress(ValueError):  # whoever comes second
            self._held.remove(place)
        self.ready(place, _nothing)

    def passing(self) -> Future[None]:
        """Done when everything that has a place now has left."""
        passed: Future[None] = Future()
        place = _Place()
        self._places.append(place)

        def pass_by() -> Receipt:
            passed.set_result(None)
            return TAKEN

        self.ready(place, pass_by)
        return passed

    def ready(self, place: _Place, send: Send) -> None:
        """This place's event may leave as soon as those before it have."""
        place.send = send
        with self._moving:
            while self._places:
                first = self._places.popleft()
                if first.send is None:
                    self._places.appendleft(first)
                    break
                _leave(first, first.send)
            self._outbox.note(self)
        if len(self._places) > _MOST_WAITING:
            self.overtake()

    def overtake(self) -> None:
        """Let everything leave that may, past what is still looked at."""
        with self._moving:
            for place in list(self._places):
                if place.send is not None:
                    self._places.remove(place)
                    _leave(place, place.send)
            self._outbox.note(self)


#: What a flush waits for, and where.
Passing: TypeAlias = dict[Future[None], Line]


def overtake(passing: Passing) -> None:
    """A flush has waited long enough: let what is ready leave past what is still looked at."""
    for passed, line in passing.items():
        if not passed.done():
            line.overtake()


class _Mine(threading.local):
    """What one thread has to do after its locks."""

    def __init__(self) -> None:
        #: How many of the locks it holds, or waits for.
        self.locks = 0
        #: How many events the app's code looks at on it.
        self.looks = 0
        self.kept: deque[tuple[Line, _Place, Event]] = deque()


class _Lock:
    """Has its thread edit what it kept, after the outermost one of these locks is released."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._outbox.enter()
        try:
            self._lock.acquire()
        except BaseException:
            self._outbox.leave()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()
        self._outbox.leave()


def _nothing() -> Receipt:
    return TAKEN


def _leave(place: _Place, send: Send) -> None:
    # Frozen for the app, which has it only from here on; a thread that holds a lock does not look at it.
    msgspec.structs.force_setattr(place.receipt, "accepted", send().accepted)
