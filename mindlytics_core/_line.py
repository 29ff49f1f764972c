"""One session's events on their way to the queue, in their order, however long the app's code looks at one."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Protocol, TypeAlias

import msgspec

from mindlytics_core._last_lock import LastLock, new_lock
from mindlytics_core._model import Event
from mindlytics_core._receipt import TAKEN, Receipt

#: Events of one line that wait at most for one before them; beyond it they go ahead.
_MOST_WAITING = 1_000

#: Puts one event, as it is now, into the queue.
Send = Callable[[], Receipt]


class Place:
    """One event's place in its line; it may leave once `send` is there."""

    __slots__ = ("is_begun", "is_event", "receipt", "send")

    def __init__(self, send: Send | None = None, *, is_event: bool = False) -> None:
        self.send = send
        self.is_event = is_event
        #: Whether its event has been, or is being, shown to the app's code.
        self.is_begun = False
        self.receipt = Receipt()


class Owner(Protocol):
    """Who has the lines: the outbox."""

    #: Counts an event.
    accept: Callable[[], object]

    def edit_soon(self, line: "Line", place: Place, event: Event) -> None:
        """Edit an event on this thread, as soon as it may."""
        ...

    def is_kept(self, place: Place) -> bool:
        """Whether this thread will edit it."""
        ...

    def note(self, line: "Line") -> None:
        """Something came into a line, or left it."""
        ...


class Line:
    """One session's events in their order."""

    def __init__(self, outbox: Owner) -> None:
        self._outbox = outbox
        self._places: deque[Place] = deque()
        #: Those that only hold the others back.
        self._held: deque[Place] = deque()
        # Re-entrant, for signal handlers and finalisers. No code of the app runs under it.
        self._moving = new_lock()
        self._is_moving = False

    @property
    def waits(self) -> bool:
        """Whether anything in it has not left."""
        return bool(self._places)

    def add(self, event: Event) -> Receipt:
        """Give an event the next place; what this gives back is true once the thread holds no lock of ours."""
        place = Place(is_event=True)
        try:
            self._places.append(place)
            self._outbox.note(self)
            self._outbox.accept()
            self._outbox.edit_soon(self, place, event)
        except BaseException:
            if place.send is None and not self._outbox.is_kept(place):
                # Broken off before anybody had it: whatever comes next must not wait for it.
                place.send = _nothing
            raise
        return place.receipt

    def hold(self, until: Future[Any]) -> None:
        """Keep what comes next waiting until a future is done, or a flush lets it go."""
        place = Place()
        self._held.append(place)
        until.add_done_callback(lambda _: self._let_go(place))
        self._places.append(place)
        # It may be done already.
        self.move()

    @property
    def is_held(self) -> bool:
        """Whether it holds back what comes."""
        return bool(self._held)

    def let_go(self) -> None:
        """Hold nothing back any more."""
        for place in list(self._held):
            self._let_go(place)

    def _let_go(self, place: Place) -> None:
        place.send = _nothing
        with suppress(ValueError):  # whoever comes second
            self._held.remove(place)
        self.move()

    def passing(self) -> Future[None]:
        """Done when everything that has a place now has left."""
        passed: Future[None] = Future()

        def pass_by() -> Receipt:
            passed.set_result(None)
            return TAKEN

        self._places.append(Place(pass_by))
        self.move()
        return passed

    def move(self) -> None:
        """Let everything leave that is ready, up to what is still looked at."""
        self._move(self._first_if_ready)
        if len(self._places) > _MOST_WAITING:
            self._move(self._first_ready)

    def overtake(self) -> None:
        """Let everything leave that may, past what is still looked at; also where a signal ends the process."""
        self._move(self._first_ready, last_resort=True)

    def _move(self, next_one: Callable[[], Place | None], *, last_resort: bool = False) -> None:
        with self._moving:
            # A signal's handler, or a finaliser, in the middle of it leaves the rest to whom it interrupts.
            was_moving = self._is_moving
            while (last_resort or not was_moving) and next_one() is not None:
                try:
                    self._is_moving = True
                    while (place := next_one()) is not None:
                        # Claimed before it leaves: broken off here, it stays pending, and is never sent twice.
                        send, place.send = place.send or _nothing, _nothing
                        _leave(place, send)
                        with suppress(ValueError):
                            self._places.remove(place)
                finally:
                    self._is_moving = was_moving
            self._outbox.note(self)

    def _first_if_ready(self) -> Place | None:
        return self._places[0] if self._places and self._places[0].send is not None else None

    def _first_ready(self) -> Place | None:
        for place in list(self._places):
            if place.send is not None:
                return place
        return None

    def outlive_threads(self) -> None:
        """Wait no more for threads that are frozen with a lock."""
        self._moving = LastLock(self._moving)

    @property
    def waiting(self) -> int:
        """How many events in it have not left."""
        return sum([place.is_event for place in list(self._places)])


#: What a flush waits for, and where.
Passing: TypeAlias = dict[Future[None], Line]


def overtake(passing: Passing) -> None:
    """A flush has waited long enough: let what is ready leave past what is still looked at."""
    for passed, line in passing.items():
        if not passed.done():
            line.overtake()


def _nothing() -> Receipt:
    return TAKEN


def _leave(place: Place, send: Send) -> None:
    # Frozen for the app, which has it only from here on; a thread that holds a lock does not look at it.
    msgspec.structs.force_setattr(place.receipt, "accepted", send().accepted)
