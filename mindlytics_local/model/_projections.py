"""
What an event does to the record of its session and of its conversation. Pure: a record and an event in, a record out.

Events may come in any order and with gaps. So a start is the earliest time seen, an end holds unless a later start
is known, sums are sums, and properties of a start never cover those of an end.
"""

from dataclasses import replace
from typing import Any

from mindlytics_core import _wire
from mindlytics_local.model._received_events import ALIAS, END_SESSION, IDENTIFY, START_SESSION, ReceivedEvent
from mindlytics_local.model._records import BY_EVENT, BY_SESSION, Conversation, Session

#: An exchange that failed, as the integrations name it.
TURN_FAILED = "Turn Failed"

_WITH_USAGE = {_wire.CONVERSATION_TURN, _wire.CONVERSATION_USAGE, TURN_FAILED}
_COUNTERS = {_wire.CONVERSATION_TURN: "turns", _wire.CONVERSATION_FUNCTION: "functions", TURN_FAILED: "failed"}
_NAMES_USER = {START_SESSION, IDENTIFY, ALIAS}
_TITLE_CHARS = 160
_MAX_NAMES = 100
#: A count beyond this is a mistake of the sender, and sums of such would not fit a column.
_MAX_COUNT = 2**40


def session_after(before: Session | None, event: ReceivedEvent) -> Session:
    """
    A session's record once an event has come.

    Args:
        before: What was known; None for a session that nobody has heard of.

        event: What came.
    """
    session = before or Session(
        app_id=event.app_id, session_id=event.session_id, started_at=event.at.text, started_us=event.at.us
    )
    if event.at.us < session.started_us:
        session = replace(session, started_at=event.at.text, started_us=event.at.us)
    session = replace(
        session,
        user_id=_session_user(session, event),
        device_id=session.device_id or event.device_id,
    )
    if event.type == START_SESSION:
        return _session_started(session, event)
    return _session_ended(session, event) if event.type == END_SESSION else session


def conversation_after(before: Conversation | None, event: ReceivedEvent, session: Session) -> Conversation:
    """
    A conversation's record once an event has come that names it.

    Args:
        before: What was known; None for a conversation that nobody has heard of.

        event: What came.

        session: The event's session, as it is after the event.
    """
    properties = event.data.get("properties", {})
    conversation = _seen(before or _opened(event), event, session)
    conversation = _counted(conversation, event, properties)
    if event.event == _wire.CONVERSATION_STARTED:
        conversation = _conversation_started(conversation, event, properties)
    if event.event == _wire.CONVERSATION_ENDED:
        conversation = _conversation_ended(conversation, event, properties)
    return _ended_already(conversation, session)


def ended_with_session(conversation: Conversation, session: Session) -> Conversation:
    """
    An open conversation's record once its session has ended.

    Args:
        conversation: The conversation.

        session: Its session, ended.
    """
    if conversation.ended_us is not None or session.ended_us is None:
        return conversation
    conversation = replace(conversation, ended_at=session.ended_at, ended_us=session.ended_us, ended_by=BY_SESSION)
    if session.ended_us >= conversation.last_activity_us:
        return conversation
    return replace(conversation, ended_at=conversation.last_activity_at, ended_us=conversation.last_activity_us)


def _session_user(session: Session, event: ReceivedEvent) -> str | None:
    if event.type in _NAMES_USER:
        return event.user_id or session.user_id
    return session.user_id or event.user_id


def _session_started(session: Session, event: ReceivedEvent) -> Session:
    opened = max(event.at.us, session.opened_us or event.at.us)
    reopened = session.ended_us is not None and session.ended_us < opened
    return replace(
        session,
        started_by=BY_EVENT,
        opened_us=opened,
        ended_at=None if reopened else session.ended_at,
        ended_us=None if reopened else session.ended_us,
        attributes={**event.data.get("attributes", {}), **session.attributes},
    )


def _session_ended(session: Session, event: ReceivedEvent) -> Session:
    session = replace(session, attributes={**session.attributes, **event.data.get("attributes", {})})
    superseded = session.opened_us is not None and event.at.us < session.opened_us
    if superseded or (session.ended_us is not None and session.ended_us >= event.at.us):
        return session
    return replace(session, ended_at=event.at.text, ended_us=event.at.us)


def _opened(event: ReceivedEvent) -> Conversation:
    return Conversation(
        app_id=event.app_id,
        conversation_id=event.conversation_id or "",
        session_id=event.session_id,
        started_at=event.at.text,
        started_us=event.at.us,
        last_activity_at=event.at.text,
        last_activity_us=event.at.us,
    )


def _seen(conversation: Conversation, event: ReceivedEvent, session: Session) -> Conversation:
    """Note when and where it happened, and whose it is."""
    # Its own: an exchange keeps the user that it was given, also in a session of somebody else.
    user_id = event.user_id or conversation.user_id or session.user_id
    if event.at.us < conversation.started_us:
        conversation = replace(conversation, started_at=event.at.text, started_us=event.at.us)
    if event.at.us < conversation.last_activity_us:
        return replace(conversation, user_id=conversation.user_id or user_id)
    return replace(
        conversation,
        user_id=user_id,
        session_id=event.session_id,
        last_activity_at=event.at.text,
        last_activity_us=event.at.us,
    )


def _counted(conversation: Conversation, event: ReceivedEvent, properties: dict[str, Any]) -> Conversation:
    if event.event and event.event not in conversation.event_names and len(conversation.event_names) < _MAX_NAMES:
        conversation = replace(conversation, event_names=[*conversation.event_names, event.event])
    if counter := _COUNTERS.get(event.event or ""):
        conversation = replace(conversation, **{counter: getattr(conversation, counter) + 1})
    if event.event in _WITH_USAGE:
        conversation = _with_usage(conversation, properties)
    if event.event in {_wire.CONVERSATION_TURN, TURN_FAILED}:
        conversation = _titled(conversation, event, properties)
    return conversation


def _with_usage(conversation: Conversation, properties: dict[str, Any]) -> Conversation:
    cost, model = amount(properties.get("cost")), properties.get("model")
    prompt, completion = (int(amount(properties.get(f"{kind}_tokens")) or 0) for kind in ("prompt", "completion"))
    model = model if isinstance(model, str) else ""
    unpriced = conversation.unpriced_tokens
    if cost is None and (prompt or completion):
        before = unpriced.get(model, [0, 0])
        unpriced = {**unpriced, model: [before[0] + prompt, before[1] + completion]}
    return replace(
        conversation,
        prompt_tokens=conversation.prompt_tokens + prompt,
        completion_tokens=conversation.completion_tokens + completion,
        cost=conversation.cost if cost is None else (conversation.cost or 0.0) + cost,
        unpriced_tokens=unpriced,
        models=conversation.models if model in {"", *conversation.models} else [*conversation.models, model],
    )


def _titled(conversation: Conversation, event: ReceivedEvent, properties: dict[str, Any]) -> Conversation:
    said = properties.get("user")
    earlier = conversation.title_us is not None and conversation.title_us <= event.at.us
    if earlier or not isinstance(said, str) or not said.strip():
        return conversation
    # The cut before the split: a text may be megabytes without a space.
    title = " ".join(said[: 4 * _TITLE_CHARS].split())[:_TITLE_CHARS]
    return replace(conversation, title=title or None, title_us=event.at.us)


def _conversation_started(conversation: Conversation, event: ReceivedEvent, properties: dict[str, Any]) -> Conversation:
    opened = max(event.at.us, conversation.opened_us or event.at.us)
    reopened = conversation.ended_us is not None and conversation.ended_us < opened
    conversation = replace(conversation, opened_us=opened, properties={**properties, **conversation.properties})
    return replace(conversation, ended_at=None, ended_us=None, ended_by=None) if reopened else conversation


def _conversation_ended(conversation: Conversation, event: ReceivedEvent, properties: dict[str, Any]) -> Conversation:
    conversation = replace(conversation, properties={**conversation.properties, **properties})
    superseded = conversation.opened_us is not None and event.at.us < conversation.opened_us
    later_known = conversation.ended_by == BY_EVENT and (conversation.ended_us or 0) >= event.at.us
    if superseded or later_known:
        return conversation
    return replace(conversation, ended_at=event.at.text, ended_us=event.at.us, ended_by=BY_EVENT)


def _ended_already(conversation: Conversation, session: Session) -> Conversation:
    """An event that comes late belongs to what its session's end has ended; a later one opens something new."""
    if session.ended_us is None or conversation.started_us > session.ended_us:
        return conversation
    if conversation.opened_us is not None and conversation.opened_us > session.ended_us:
        return conversation
    return ended_with_session(conversation, session)


def amount(value: object) -> float | int | None:
    """
    A count, cost or duration that adds up; None for anything else.

    Args:
        value: What was sent as one.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _MAX_COUNT:
        return None
    return value
