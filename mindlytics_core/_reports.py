"""Tells the app what could not be delivered: through its callbacks and its sessions' lists of errors."""

import functools
import logging
import weakref
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from mindlytics_core._callbacks import CALLBACKS
from mindlytics_core._stats import Tally
from mindlytics_core.exceptions import DeliveryError, SpoolFailed

OnError = Callable[[DeliveryError], Any]
OnDrop = Callable[[str, int], Any]

logger = logging.getLogger("mindlytics")


class Listener(Protocol):
    """An object of a session, which wants to know which of the session's events were refused."""

    @property
    def on_error(self) -> OnError | None:
        """The app's."""
        ...

    def note_error(self, error: DeliveryError) -> None:
        """Keep the service's answer."""
        ...


#: The objects of one session.
Group: TypeAlias = "weakref.WeakSet[Listener]"


class Reports:
    """
    One client's reports.

    Args:
        on_error: Called with each refused event and each pause.

        on_drop: Called with a reason and how many events were given up for it since the last call.
    """

    def __init__(self, on_error: OnError | None, on_drop: OnDrop | None) -> None:
        self._on_error = on_error
        self._on_drop = on_drop
        #: The objects of each session that the app still holds; each of them holds its group.
        self._sessions: weakref.WeakValueDictionary[str, Group] = weakref.WeakValueDictionary()
        self._dropped = Tally()
        self._told: dict[str, int] = {}
        self._drops_are_due = False
        #: The statuses of refusals that the log knows: a thousand refused events are one fault.
        self._logged: set[int] = set()

    def join(self, session_id: str, listener: Listener) -> "Group":
        """
        Have an object told what the service refuses of its session.

        Args:
            session_id: The session.

            listener: The object; it is told for as long as it holds what this gives.
        """
        group = self._sessions.setdefault(session_id, weakref.WeakSet())
        group.add(listener)
        return group

    def dropped(self, session_id: str, reason: str, error: DeliveryError | None) -> None:
        """One event of this session was given up."""
        self._dropped.add(reason)
        if self._on_drop is not None and not self._drops_are_due:
            # One call for many: a burst that overflows must not queue a burst of callbacks.
            self._drops_are_due = True
            CALLBACKS.submit(self._tell_drops)
        if error is not None:
            if error.status not in self._logged:
                self._logged.add(error.status)
                logger.warning("the service refused an event: HTTP %s; further ones are only counted", error.status)
            self._tell_session(session_id, error)
            self._tell(self._on_error, error)

    def noticed(self, error: DeliveryError) -> None:
        """The state of delivery changed."""
        if isinstance(error, SpoolFailed):
            logger.warning("the spool failed, events go on through memory: %s", error.message)
        else:
            # What the service said may repeat what a user said; what the certificate's check said is ours.
            logger.warning("delivery is paused: %s", f"HTTP {error.status}" if error.status else error.message)
        self._tell(self._on_error, error)

    def _tell_session(self, session_id: str, error: DeliveryError) -> None:
        for listener in list(self._sessions.get(session_id, ())):
            listener.note_error(error)
            self._tell(listener.on_error, error)

    def _tell(self, callback: OnError | None, error: DeliveryError) -> None:
        # What is left out here is still counted, and known to its session.
        if callback is not None and not CALLBACKS.is_behind:
            CALLBACKS.submit(functools.partial(callback, error))

    def _tell_drops(self) -> None:
        self._drops_are_due = False
        for reason, count in self._dropped.values().items():
            new = count - self._told.get(reason, 0)
            self._told[reason] = count
            if new and self._on_drop is not None:
                CALLBACKS.submit(functools.partial(self._on_drop, reason, new))
