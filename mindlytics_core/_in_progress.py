"""Which exchange is in progress in a context, so that a tool finds the session that it works for."""

import weakref
from contextvars import ContextVar
from typing import Protocol, TypeAlias

from mindlytics_core.session import Session, add_session_finder


class Exchange(Protocol):
    """What is in progress."""

    @property
    def is_open(self) -> bool:
        """Whether it still is."""
        ...

    @property
    def session(self) -> Session:
        """The session that it belongs to."""
        ...


#: As many are remembered of a context; those that wait for tools stay open, and there may be thousands.
_MOST_OPENED = 16
#: The exchanges that were opened in this context, the innermost first, as far as they have not been closed.
_Opened: TypeAlias = "tuple[weakref.ref[Exchange], _Opened] | None"
_opened: ContextVar[_Opened] = ContextVar("mindlytics_exchanges", default=None)


def note_opened(exchange: Exchange) -> None:
    """Make an exchange the one in progress in this context."""
    _opened.set((weakref.ref(exchange), _all_open(_opened.get())))


def _session_in_progress() -> Session | None:
    found = _still_open(_opened.get())
    exchange = found[0]() if found else None
    return exchange.session if exchange else None


add_session_finder(_session_in_progress)


def _all_open(opened: _Opened) -> _Opened:
    """Without any that has been closed; one beneath an open one would else be kept for as long as new ones come."""
    found: list[weakref.ref[Exchange]] = []
    while (opened := _still_open(opened)) is not None and len(found) < _MOST_OPENED:
        found.append(opened[0])
        opened = opened[1]
    opened = None
    for reference in reversed(found):
        opened = (reference, opened)
    return opened


def _still_open(opened: _Opened) -> _Opened:
    while opened is not None and ((exchange := opened[0]()) is None or not exchange.is_open):
        opened = opened[1]
    return opened
