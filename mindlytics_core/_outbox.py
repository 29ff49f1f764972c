"""The app's own code, `before_send` and redactors, looks at events under no lock of ours; their order stays."""

import functools
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, TypeAlias, cast

from mindlytics_core._last_lock import LastLock, RLock, new_lock
from mindlytics_core._line import Line, Passing, Place, Send
from mindlytics_core._model import Event
from mindlytics_core._receipt import Receipt

#: Events that one thread keeps at most for after its locks.
_MOST_KEPT = 100

#: What holds threads apart.
AnyLock: TypeAlias = AbstractContextManager[Any]


class Outbox:
    """
    Events on their way from the locks under which their order is decided to the queue.

    The app's code may take locks, track events and open exchanges. Held by another thread meanwhile, a lock of ours
    and one of the app's would wait for each other for ever. So an event only gets its place in the line under a lock;
    the thread that recorded it hands it to the app's code when it holds no lock made here any more, and it leaves
    when everything before it in the line has.

    A Ctrl-C may be raised wherever Python looks for signals: after a call, at the beginning of a function, and when a
    loop begins anew. So each step leaves things as whoever comes next can go on with them.

    Args:
        accept: Counts an event that has got its place.

        prepare: Has the app's code look at an event; gives what puts it into the queue. Raises nothing of ours.

        give_up: Counts an event whose look was broken off.

        is_needed: Whether there is any code of the app's; otherwise the locks are plain ones, and lines are rare.
    """

    def __init__(
        self,
        accept: Callable[[], object],
        prepare: Callable[[Event], Send],
        give_up: Callable[[Event], Receipt],
        *,
        is_needed: bool,
    ) -> None:
        #: Counts an event.
        self.accept = accept
        self._prepare = prepare
        self._give_up = give_up
        self._is_needed = is_needed
        self.renew()

    def renew(self) -> None:
        """Begin with nothing; what a forked child finds is its parent's, which will send it."""
        #: What the present thread has to do after its locks.
        self.mine = _Mine()
        self._making = new_lock()
        self._lines: weakref.WeakValueDictionary[str, Line] = weakref.WeakValueDictionary()
        #: Lines with something that waits.
        self._behind: set[Line] = set()

    def new_lock(self) -> AnyLock:
        """A re-entrant lock under which no code of the app runs; a signal handler or finaliser may need it again."""
        # (Its way in is a property, which the type checker takes for something else.)
        return cast("AnyLock", _Lock(self)) if self._is_needed else new_lock()

    def last(self, lock: AnyLock) -> AnyLock:
        """What takes the place of one that it made when the process ends."""
        if isinstance(lock, _Lock):
            lock.outlive_threads()
            return lock
        return LastLock(cast("RLock", lock))

    def outlive_threads(self) -> None:
        """The process ends: wait no more for threads that are frozen with a lock."""
        self._making = LastLock(self._making)
        for line in list(self._lines.values()):
            line.outlive_threads()

    def waiting(self, session_id: str | None = None) -> int:
        """How many events have not left, of all sessions or of one."""
        behind = list(self._behind)
        lines = behind if session_id is None else filter(None, [self._lines.get(session_id)])
        return sum([line.waiting for line in lines])

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
        if self.mine.looks:
            # Whoever is called by the app's look at an event would wait for himself.
            for line in behind:
                line.overtake()
            return {}
        return {line.passing(): line for line in behind if not line.is_held}

    def edit_soon(self, line: "Line", place: Place, event: Event) -> None:
        """Edit an event on this thread, as soon as it holds none of the locks."""
        mine = self.mine
        mine.kept.append((line, place, event))
        if len(mine.kept) > _MOST_KEPT or not mine.holds_any():
            self._edit_mine()

    def is_kept(self, place: Place) -> bool:
        """Whether this thread will edit it."""
        return place in [mine for _, mine, _ in self.mine.kept]

    def left(self, lock: RLock) -> None:
        """This thread has released it."""
        mine = self.mine
        if not lock._is_owned():  # noqa: SLF001  # as `threading.Condition` asks it
            mine.entered.pop(lock, None)
        if mine.kept and not mine.holds_any():
            self._edit_mine()

    def note(self, line: "Line") -> None:
        """Something came into a line, or left it."""
        if not line.waits:
            self._behind.discard(line)
        # Looked at once more: another thread may have put something in meanwhile.
        if line.waits:
            self._behind.add(line)

    def _edit_mine(self) -> None:
        mine = self.mine
        while (kept := mine.next()) is not None:
            line, place, event = kept
            send: Send = functools.partial(self._give_up, event)
            # No call between look and claim: a signal's handler may have edited it already.
            if place.is_begun:
                continue
            place.is_begun = True
            looks = mine.looks
            try:
                mine.looks = looks + 1
                send = self._prepare(event)
            finally:
                mine.looks = looks
                place.send = send
                line.move()


class _Mine(threading.local):
    """What one thread has to do after its locks."""

    def __init__(self) -> None:
        #: The locks that it holds or waits for, and some that it holds no more: a Ctrl-C may end a wait.
        self.entered: dict[RLock, None] = {}
        #: How many events the app's code looks at on it.
        self.looks = 0
        self.kept: deque[tuple[Line, Place, Event]] = deque()

    def holds_any(self) -> bool:
        """Whether it holds one of the locks."""
        return True in [lock._is_owned() for lock in list(self.entered)]  # noqa: SLF001

    def next(self) -> "tuple[Line, Place, Event] | None":
        """The next event to edit; those that have been are let go."""
        while self.kept and self.kept[0][1].send is not None:
            self.kept.popleft()
        if self.kept and not self.kept[0][1].is_begun:
            return self.kept[0]
        to_do = [kept for kept in list(self.kept) if not kept[1].is_begun]
        return to_do[0] if to_do else None


class _Lock:
    """Has its thread edit what it kept, after the outermost one of these locks is released."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._lock = new_lock()

    def outlive_threads(self) -> None:
        """Wait no more for threads that are frozen with it."""
        self._lock = LastLock(self._lock)

    @property
    def __enter__(self) -> Callable[[], object]:
        # Not a method: so the last step is the lock's own, and nothing comes between it and the block.
        self._outbox.mine.entered[self._lock] = None
        return self._lock.__enter__

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()
        self._outbox.left(self._lock)
