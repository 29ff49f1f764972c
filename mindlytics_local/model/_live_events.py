"""
Live events in the shape of the API document: each event as it was sent, and beside it what follows from it.

Pure. That a session was opened, that its end ended a conversation, and what can be counted of a conversation is told;
what would have to be understood (intents, sentiment) is the hosted service's work.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mindlytics_core import _wire
from mindlytics_local._timestamps import now
from mindlytics_local.model._received_events import ALIAS, END_SESSION, IDENTIFY, START_SESSION, ReceivedEvent
from mindlytics_local.model._records import ORGANIZATION, Conversation, Session, User

SESSION_STARTED, SESSION_ENDED = "Session Started", "Session Ended"
CONVERSATION_SUMMARY = "Conversation Summary"
ERROR = "MLError"

LiveEvent = dict[str, Any]

#: What an event is called that has no name of its own, and which of its fields are told as properties.
NAMES: Mapping[str, str] = {
    START_SESSION: SESSION_STARTED,
    END_SESSION: SESSION_ENDED,
    IDENTIFY: "User Identified",
    ALIAS: "User Aliased",
}
_PROPERTIES: Mapping[str, str] = {START_SESSION: "attributes", END_SESSION: "attributes", IDENTIFY: "traits"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What one event did to the records.

    Attributes:
        received: The event.

        session: Its session, as it is now.

        user: The session's user.

        opened_session: Whether it opened the session, or opened it again.

        opened_conversation: Whether it opened its conversation, or opened it again.

        ended: The conversations that were open before it and no longer are.
    """

    received: ReceivedEvent
    session: Session
    user: User
    opened_session: bool
    opened_conversation: bool
    ended: tuple[Conversation, ...]


def live_events(outcome: Outcome) -> list[LiveEvent]:
    """
    What is told to whoever listens.

    Args:
        outcome: What an event did.
    """
    received = outcome.received
    told = list(_before(outcome))
    ends = [event for conversation in outcome.ended for event in _ended(conversation, outcome)]
    own = _told(outcome, name_of(received), properties=properties_of(received.type, received.data))
    return [*told, *ends, own] if received.type == END_SESSION else [*told, own, *ends]


def error(session_id: str, app_id: str, text: str) -> LiveEvent:
    """
    The message that says that an event was refused.

    Args:
        session_id: Its session, if that could be read.

        app_id: Its project.

        text: What was wrong with it.
    """
    return {
        "organization_id": ORGANIZATION,
        "app_id": app_id,
        "session_id": session_id,
        "user_id": "",
        "event_id": uuid.uuid4().hex,
        "timestamp": now().text,
        "event": ERROR,
        "properties": {"error_message": text},
    }


def name_of(received: ReceivedEvent) -> str:
    """The name that an event is told by: its own, or its type's."""
    return received.event or NAMES[received.type]


def properties_of(kind: str, data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """
    What a live event carries as properties.

    Args:
        kind: The event's type.

        data: The event as it was sent.
    """
    if kind == ALIAS:
        return {name: data[name] for name in ("id", "previous_id")}
    return data.get(_PROPERTIES.get(kind, "properties"))


def _before(outcome: Outcome) -> Iterator[LiveEvent]:
    received = outcome.received
    if outcome.opened_session and received.type != START_SESSION:
        yield _told(outcome, SESSION_STARTED, derived="session", conversation_id=None)
    if outcome.opened_conversation and received.event != _wire.CONVERSATION_STARTED:
        yield _told(outcome, _wire.CONVERSATION_STARTED, derived="start")


def _ended(conversation: Conversation, outcome: Outcome) -> Iterator[LiveEvent]:
    which = conversation.conversation_id
    if outcome.received.event != _wire.CONVERSATION_ENDED:
        yield _told(outcome, _wire.CONVERSATION_ENDED, derived=f"end {which}", conversation_id=which)
    yield _told(
        outcome,
        CONVERSATION_SUMMARY,
        derived=f"summary {which}",
        conversation_id=which,
        properties=_summary(conversation),
    )


def _summary(conversation: Conversation) -> dict[str, Any]:
    ended_us = conversation.ended_us or conversation.last_activity_us
    counted = ("turns", "functions", "failed", "prompt_tokens", "completion_tokens", "models")
    known = {} if conversation.cost is None else {"cost": conversation.cost}
    return {
        "started_at": conversation.started_at,
        "duration_ms": (ended_us - conversation.started_us) // 1000,
        **{name: getattr(conversation, name) for name in counted},
        **known,
    }


_OWN = ""


def _told(
    outcome: Outcome,
    event: str,
    *,
    derived: str | None = None,
    conversation_id: str | None = _OWN,
    properties: Mapping[str, Any] | None = None,
) -> LiveEvent:
    received, session, user = outcome.received, outcome.session, outcome.user
    conversation_id = received.conversation_id if conversation_id == _OWN else conversation_id
    optional = {"conversation_id": conversation_id, "properties": properties}
    if derived is not None:
        optional["origin_event_id"] = received.event_id
    return {
        "organization_id": ORGANIZATION,
        "app_id": received.app_id,
        "session_id": received.session_id,
        "user_id": received.user_id or session.user_id or user.id,
        # An event that follows from another has an id that follows from its id.
        "event_id": received.event_id if derived is None else _derived_id(received.event_id, derived),
        "timestamp": received.at.text,
        "event": event,
        **{name: value for name, value in optional.items() if value is not None},
        "user_traits": user.traits,
    }


def _derived_id(origin: str, derived: str) -> str:
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{origin} {derived}").hex
