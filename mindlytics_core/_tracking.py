"""What is tracked by hand in a session: events, turns, usage, tool runs, and the ends."""

from typing import Any

from mindlytics_core import _clock, _model
from mindlytics_core._identified import Identified, When, optional_name
from mindlytics_core._lifecycle import Lifecycle
from mindlytics_core._model import Identity, Properties, Usage
from mindlytics_core._receipt import Receipt
from mindlytics_core.exceptions import InvalidArgument


class Tracking(Identified):
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
        super().__init__(clock, lifecycle, identity)
        self._named_conversation_id = conversation_id

    @property
    def conversation_id(self) -> str | None:
        """The conversation of events that name none; None before the first of them."""
        return self._named_conversation_id or self._lifecycle.own_conversation_id

    @conversation_id.setter
    def conversation_id(self, value: str | None) -> None:
        self._named_conversation_id = optional_name("conversation_id", value)

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
                # (Asked here and not in a function: most calls of an app are this one.)
                "user": user if type(user) is str else _model.check_text("user", user),
                "assistant": assistant if type(assistant) is str else _model.check_text("assistant", assistant),
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

    def _track_in_conversation(
        self,
        kind: type[_model.ConversationEvent],
        conversation_id: str | None,
        timestamp: When,
        properties: Properties | None,
        fields: dict[str, Any],
    ) -> Receipt:
        at = self._at(timestamp)
        if properties is not None:
            fields["properties"] = _model.check_properties("properties", properties)
        inside = self._named_conversation_id if conversation_id is None else self._conversation(conversation_id)
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


def _checked_usage(usage: Usage) -> Usage:
    if not isinstance(usage, _model.TokenBasedCost | _model.Cost):
        raise InvalidArgument(f"usage must be a TokenBasedCost or a Cost, not a {type(usage).__name__}")
    return usage
