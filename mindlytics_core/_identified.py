"""Whose events an object of a session tracks, as long as it takes any."""

from datetime import datetime
from typing import TypeAlias

import msgspec

from mindlytics_core import _clock, _model
from mindlytics_core._lifecycle import Lifecycle
from mindlytics_core._model import Identity, Properties
from mindlytics_core._receipt import Receipt
from mindlytics_core.exceptions import InvalidArgument, SessionClosed

When: TypeAlias = datetime | str | None


class Identified:
    """
    The user and the device of one object of a session.

    Args:
        clock: Time.

        lifecycle: What was started and what must be ended.

        identity: Whose events these are, where that is somebody else than the session's.
    """

    def __init__(self, clock: _clock.Clock, lifecycle: Lifecycle, identity: Identity | None) -> None:
        self._clock = clock
        self._lifecycle = lifecycle
        self._identity = identity
        self._closed = False
        #: Whether nothing needs to be looked at before an event.
        self._is_ready = False

    @property
    def session_id(self) -> str:
        """The visit's id."""
        return self._lifecycle.session_id

    @property
    def identity(self) -> Identity:
        """Who later events belong to."""
        return self._identity or self._lifecycle.identity

    @identity.setter
    def identity(self, value: Identity) -> None:
        if self._identity is None:
            self._lifecycle.identity = value
        else:
            self._identity = value

    @property
    def id(self) -> str | None:
        """The app's own id of the user, if it is known."""
        return self.identity.user_id

    @property
    def device_id(self) -> str | None:
        """The id of the device, if there is one."""
        return self.identity.device_id

    def user_identify(
        self,
        *,
        id: str | None = None,  # noqa: A002  # the public SDK's name
        device_id: str | None = None,
        traits: Properties | None = None,
        timestamp: When = None,
    ) -> Receipt:
        """
        Say who the session's user turns out to be; later events belong to them.

        Args:
            id: The app's own id of the user; without it the known one stays.

            device_id: The device's id; without it the known one stays.

            traits: Scalars that describe the user, merged over known ones.

            timestamp: When it happened; now by default.

        Raises:
            InvalidArgument: An argument is of the wrong kind, or all are missing.

            SessionClosed: The session was flushed and closed.
        """
        at = self._at(timestamp)
        checked = _model.check_properties("traits", traits)
        if id is None and device_id is None and not checked:
            raise InvalidArgument("user_identify needs id=…, device_id=… or traits=…")
        optional_name("id", id)
        optional_name("device_id", device_id)
        with self._lifecycle.lock:
            known = self.identity
            if id is None and device_id is None:
                id, device_id = known.user_id, known.device_id  # noqa: A001  # the public SDK's name
            # The event still carries the identity so far: that is how the service links the two.
            fields = {"id": id, "device_id": device_id, "traits": checked}
            receipt = self._lifecycle.record(_model.UserIdentified, at, fields, self._identity)
            self.identity = Identity(id or known.user_id, device_id or known.device_id)
            return receipt

    def user_alias(
        self,
        *,
        id: str,  # noqa: A002  # the public SDK's name
        previous_id: str,
        timestamp: When = None,
    ) -> Receipt:
        """
        Say that two ids are one user; later events belong to `id`.

        Args:
            id: The id that becomes primary.

            previous_id: The id known so far.

            timestamp: When it happened; now by default.

        Raises:
            InvalidArgument: An id is no text of 1 to 100 characters.

            SessionClosed: The session was flushed and closed.
        """
        at = self._at(timestamp)
        _model.check_name("id", id)
        _model.check_name("previous_id", previous_id)
        fields = {"id": id, "previous_id": previous_id}
        with self._lifecycle.lock:
            receipt = self._lifecycle.record(_model.UserAliased, at, fields, self._identity)
            self.identity = msgspec.structs.replace(self.identity, user_id=id)
            return receipt

    def _at(self, timestamp: When) -> str:
        if not self._is_ready:
            self._get_ready()
        return _clock.iso(self._clock.wall()) if timestamp is None else _clock.timestamp(timestamp, self._clock.wall)

    def _get_ready(self) -> None:
        """Called before the first event, and before each one after the end."""
        if self._closed:
            raise SessionClosed(
                "This session was closed by flush() or by the end of its `with` block and takes no more events. "
                "Use flush_and_continue() to go on afterwards, or create_session() for another one."
            )
        self._is_ready = True

    def _close(self) -> None:
        self._closed = True
        self._is_ready = False


def optional_name(what: str, value: str | None) -> str | None:
    """Give `value` back if it is None or a name; raise `InvalidArgument` otherwise."""
    return None if value is None else _model.check_name(what, value)
