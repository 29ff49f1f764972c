"""What is tracked by hand in a session: events, turns, usage, tool runs, who the user is, and the ends."""

from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from mindlytics_core import _clock, _model
from mindlytics_core._lifecycle import Lifecycle
from mindlytics_core._model import Identity, Properties, Usage
from mindlytics_core._receipt import Receipt
from mindlytics_core.exceptions import InvalidArgument, SessionClosed

When: TypeAlias = datetime | str | None


class Tracking:
    """
    One session's events.

    Args:
        clock: Time.

        lifecycle: What was started and what must be ended.

        conversation_id: The conversation of events that name none; without it one is made when needed.

        identity: Whose events these are, where that is somebody else than the session's.
    """

    def __init__(
        self,
        clock: _clock.Clock,
        lifecycle: Lifecycle,
        conversation_id: str | None,
        identity: Identity | None,
    ) -> None:
        self._clock = clock
        self._lifecycle = lifecycle
        self._named_conversation_id = conversation_id
        self._identity = identity
        self._closed = False
        #: Whether nothing needs to be looked at before an event.
        self._is_ready = False

    @property
    def session_id(self) -> str:
        """The visit's id."""
        return self._lifecycle.session_id

    @property
    def conversation_id(self) -> str | None:
        """The conversation of events that name none; None before the first of them."""
        return self._named_conversation_id or self._lifecycle.own_conversation_id

    @conversation_id.setter
    def conversation_id(self, value: str | None) -> None:
        self._named_conversation_id = _optional_name("conversation_id", value)

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

    def start_conversation(
        self,
        *,
        conversation_id: str | None = None,
        properties: Properties | None = None,
        timestamp: When = None,
    ) -> Receipt:
        """
        Start a conversation now, to give it properties; every other call starts it by itself.

        Args:
            conversation_id: Its id; without it the session's own.

            properties: Scalars to keep with it.

            timestamp: When it started; now by default.

        Raises:
            InvalidArgument: An argument is of the wrong kind.

            SessionClosed: The session was flushed and closed.
        """
        at = self._at(timestamp)
        checked = _model.check_properties("properties", properties)
        return self._lifecycle.start_conversation(self._conversation(conversation_id), at, checked, self._identity)

    def track_event(
        self,
        *,
        event: str,
        properties: Properties | None = None,
        conversation_id: str | None = None,
        timestamp: When = None,
    ) -> Receipt:
        """
        Track an event with a name of the app's own choice.

        Args:
            event: Its name, 1 to 100 characters.

            properties: Scalars to keep with it.

            conversation_id: The conversation it belongs to; without it the session's, if that has one.

            timestamp: When it happened; now by default.

        Raises:
            InvalidArgument: An argument is of the wrong kind.

            SessionClosed: The session was flushed and closed.
        """
        at = self._at(timestamp)
        _model.check_name("event", event)
        checked = _model.check_properties("properties", properties)
        inside = self._conversation(conversation_id) or self.conversation_id
        fields = {"name": event, "properties": checked}
        if inside is None:
            return self._lifecycle.record(_model.Tracked, at, fields, self._identity)
        return self._lifecycle.record_in_conversation(_model.Tracked, at, inside, fields, self._identity)

    def track_conversation_turn(
        self,
        *,
        user: str,
        assistant: str,
        conversation_id: str | None = None,
        assistant_id: str | None = None,
        usage: Usage | None = None,
        properties: Properties | None = None,
        timestamp: When = None,
    ) -> Receipt:
        """
        Track one turn: what the user said and what the assistant answered.

        Args:
            user: The user's words.

            assistant: The assistant's words.

            conversation_id: The conversation; without it the session's own.

            assistant_id: Which assistant it was.

            usage: Tokens of the model, or a known cost.

            properties: Scalars to keep with it.

            timestamp: When it happened; now by default.

        Raises:
            InvalidArgument: An argument is of the wrong kind.

            SessionClosed: The session was flushed and closed.
        """
        return self._track_in_conversation(
            _model.Turn,
            conversation_id,
            timestamp,
            properties,
            {
                "user": _model.check_text("user", user),
                "assistant": _model.check_text("assistant", assistant),
                "assistant_id": None if assistant_id is None else _model.check_text("assistant_id", assistant_id),
                "usage": None if usage is None else _checked_usage(usage),
            },
        )

    def track_conversation_usage(
        self,
        *,
        usage: Usage | None = None,
        cost: Usage | None = None,
        conversation_id: str | None = None,
        properties: Properties | None = None,
        timestamp: When = None,
    ) -> Receipt:
        """
        Track what the conversation cost outside its turns.

        Args:
            usage: Tokens of a model, or a known cost.

            cost: The same under its other public name.

            conversation_id: The conversation; without it the session's own.

            properties: Scalars to keep with it.

            timestamp: When it happened; now by default.

        Raises:
            InvalidArgument: Neither or both of `usage` and `cost` are given, or one is of the wrong kind.

            SessionClosed: The session was flushed and closed.
        """
        reported = cost if usage is None else usage
        if reported is None or (usage is not None and cost is not None):
            raise InvalidArgument("track_conversation_usage needs usage=… (or cost=…), one of them")
        return self._track_in_conversation(
            _model.UsageReported, conversation_id, timestamp, properties, {"usage": _checked_usage(reported)}
        )

    def track_function_call(
        self,
        *,
        name: str,
        args: str | None = None,
        result: str | None = None,
        runtime: int | None = None,
        conversation_id: str | None = None,
        properties: Properties | None = None,
        timestamp: When = None,
    ) -> Receipt:
        """
        Track one run of a tool.

        Args:
            name: The tool's name.

            args: Its arguments, as JSON text.

            result: What it gave back, as text.

            runtime: How long it took, in milliseconds.

            conversation_id: The conversation; without it the session's own.

            properties: Scalars to keep with it.

            timestamp: When it happened; now by default.

        Raises:
            InvalidArgument: An argument is of the wrong kind.

            SessionClosed: The session was flushed and closed.
        """
        if runtime is not None:
            _model.check_count("runtime", runtime)
        return self._track_in_conversation(
            _model.FunctionCalled,
            conversation_id,
            timestamp,
            properties,
            {
                "name": _model.check_name("name", name),
                "args": None if args is None else _model.check_text("args", args),
                "result": None if result is None else _model.check_text("result", result),
                "runtime": None if runtime is None else round(runtime),
            },
        )

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
        _optional_name("id", id)
        _optional_name("device_id", device_id)
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

    def end_conversation(
        self,
        *,
        conversation_id: str | None = None,
        properties: Properties | None = None,
        timestamp: When = None,
    ) -> Receipt:
        """
        End a conversation, so that the service analyses it. One that is not open here is ended all the same
        when it is named: another process may have opened it.

        Args:
            conversation_id: Its id; without it the one that is open.

            properties: Scalars to keep with it, merged over those of its start.

            timestamp: When it ended; now by default.

        Raises:
            InvalidArgument: An argument is of the wrong kind, or several are open and none is named.

            SessionClosed: The session was flushed and closed.
        """
        at = self._at(timestamp)
        checked = _model.check_properties("properties", properties)
        return self._lifecycle.end_conversation(self._conversation_to_end(conversation_id), at, checked)

    def end_session(self, *, attributes: Properties | None = None, timestamp: When = None) -> Receipt:
        """
        End the session and the conversations that are open in it. A second call does nothing.

        Args:
            attributes: Scalars to keep with it, merged over those of its start.

            timestamp: When it ended; now by default.

        Raises:
            InvalidArgument: An argument is of the wrong kind.
        """
        at = _clock.timestamp(timestamp, self._clock.wall)
        checked = _model.check_properties("attributes", attributes)
        return self._lifecycle.end(at, checked)

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

    def _track_in_conversation(
        self,
        kind: type[_model.ConversationEvent],
        conversation_id: str | None,
        timestamp: When,
        properties: Properties | None,
        fields: dict[str, Any],
    ) -> Receipt:
        at = self._at(timestamp)
        fields["properties"] = {} if properties is None else _model.check_properties("properties", properties)
        inside = self._conversation(conversation_id)
        return self._lifecycle.record_in_conversation(kind, at, inside, fields, self._identity)

    def _conversation(self, conversation_id: str | None) -> str | None:
        if conversation_id is None:
            return self._named_conversation_id
        return _model.check_name("conversation_id", conversation_id)

    def _conversation_to_end(self, conversation_id: str | None) -> str | None:
        named = self._conversation(conversation_id)
        still_open = self._lifecycle.open_conversations()
        if named is None and len(still_open) > 1:
            raise InvalidArgument(
                f"{len(still_open)} conversations are open in this session: "
                "name one, end_conversation(conversation_id=…), or end all of them with end_session()"
            )
        return named or next(iter(still_open), None)


def _optional_name(what: str, value: str | None) -> str | None:
    return None if value is None else _model.check_name(what, value)


def _checked_usage(usage: Usage) -> Usage:
    if not isinstance(usage, _model.TokenBasedCost | _model.Cost):
        raise InvalidArgument(f"usage must be a TokenBasedCost or a Cost, not a {type(usage).__name__}")
    return usage
