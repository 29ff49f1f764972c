"""One event into the records: which of them it touches, and in which order they are decided."""

from dataclasses import replace

from mindlytics_local.model import _identity
from mindlytics_local.model._identity import Sighting
from mindlytics_local.model._live_events import Outcome
from mindlytics_local.model._projections import conversation_after, ended_with_session, session_after
from mindlytics_local.model._received_events import ALIAS, END_SESSION, IDENTIFY, ReceivedEvent
from mindlytics_local.model._record_store import RecordStore
from mindlytics_local.model._records import Conversation, Session, User


def apply_event(event: ReceivedEvent, records: RecordStore) -> Outcome:
    """
    Bring the records up to date with one event.

    Args:
        event: The event.

        records: The records; they are changed.
    """
    before = records.session(event.app_id, event.session_id)
    session = session_after(before, event)
    user = _user(event, before, records)
    session = replace(session, user_key=user.user_key)
    if session != before:
        records.put(session)
    opened, ended = _conversation(event, session, records)
    if before is not None:
        ended += _carry_over(event, before, session, records)
    return Outcome(event, session, user, _is_opened(before, session), opened, ended)


def _conversation(
    event: ReceivedEvent, session: Session, records: RecordStore
) -> tuple[bool, tuple[Conversation, ...]]:
    """Whether the event's conversation was opened, and the conversation if it was ended."""
    if event.conversation_id is None:
        return False, ()
    before = records.conversation(event.app_id, event.conversation_id)
    after = conversation_after(before, event, session)
    records.put(after)
    was_open = before is None or before.ended_us is None
    is_ended = after.ended_us is not None
    return before is None or _is_opened(before, after), (after,) if was_open and is_ended else ()


def _is_opened(before: Session | Conversation | None, after: Session | Conversation) -> bool:
    return before is None or (before.ended_us is not None and after.ended_us is None)


def _user(event: ReceivedEvent, before: Session | None, records: RecordStore) -> User:
    known = records.user(before.user_key) if before is not None and before.user_key is not None else None
    if event.type not in {IDENTIFY, ALIAS}:
        return _identity.recognised(Sighting(event.app_id, event.at, known, event.device_id), event.user_id, records)
    if before is None and event.device_id is not None and "user_id" not in event.data:
        # A session that begins with it began on a device, whose user was nobody known until now.
        known = _identity.recognised(Sighting(event.app_id, event.at, None, event.device_id), None, records)
    # Whoever the user turns out to be, the session's device is theirs.
    device_id = event.device_id or (before.device_id if before is not None else None)
    seen = Sighting(event.app_id, event.at, known, device_id)
    if event.type == IDENTIFY:
        return _identity.identified(seen, event.user_id, event.data.get("traits", {}), records)
    return _identity.aliased(seen, event.data["id"], event.data["previous_id"], records)


def _carry_over(
    event: ReceivedEvent, before: Session, session: Session, records: RecordStore
) -> tuple[Conversation, ...]:
    """
    What a session learns, its conversations learn too: who the user is, and that it is over.

    Returns:
        The conversations that were ended.
    """
    if before.user_id == session.user_id and event.type != END_SESSION:
        return ()
    ended = []
    for conversation in records.conversations_in(session):
        after = replace(conversation, user_id=session.user_id) if _is_of(conversation, before) else conversation
        after = ended_with_session(after, session) if event.type == END_SESSION else after
        if after != conversation:
            records.put(after)
        if conversation.ended_us is None and after.ended_us is not None:
            ended.append(after)
    return tuple(ended)


def _is_of(conversation: Conversation, session: Session) -> bool:
    """Whether a conversation is the session's user's, and not of somebody whom its events name."""
    return conversation.user_id in {None, session.user_id}
