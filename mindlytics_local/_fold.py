"""One event into the records: which of them it touches, and in which order they are decided."""

from dataclasses import replace

from mindlytics_local import _people
from mindlytics_local._arrival import ALIAS, END_SESSION, IDENTIFY, Arrival
from mindlytics_local._derived import Outcome
from mindlytics_local._people import Sighting
from mindlytics_local._projections import conversation_after, ended_with_session, session_after
from mindlytics_local._records import Conversation, Session, User
from mindlytics_local._rows import Rows


def fold(event: Arrival, rows: Rows) -> Outcome:
    """
    Bring the records up to date with one event.

    Args:
        event: The event.

        rows: The records; they are changed.
    """
    before = rows.session(event.app_id, event.session_id)
    session = session_after(before, event)
    user = _user(event, before, rows)
    session = replace(session, user_key=user.user_key)
    if session != before:
        rows.put(session)
    opened, ended = _conversation(event, session, rows)
    if before is not None:
        ended += _carry_over(event, before, session, rows)
    return Outcome(event, session, user, _is_opened(before, session), opened, ended)


def _conversation(event: Arrival, session: Session, rows: Rows) -> tuple[bool, tuple[Conversation, ...]]:
    """Whether the event's conversation was opened, and the conversation if it was ended."""
    if event.conversation_id is None:
        return False, ()
    before = rows.conversation(event.app_id, event.conversation_id)
    after = conversation_after(before, event, session)
    rows.put(after)
    was_open = before is None or before.ended_us is None
    is_ended = after.ended_us is not None
    return before is None or _is_opened(before, after), (after,) if was_open and is_ended else ()


def _is_opened(before: Session | Conversation | None, after: Session | Conversation) -> bool:
    return before is None or (before.ended_us is not None and after.ended_us is None)


def _user(event: Arrival, before: Session | None, rows: Rows) -> User:
    known = rows.user(before.user_key) if before is not None and before.user_key is not None else None
    if event.type not in {IDENTIFY, ALIAS}:
        return _people.recognised(Sighting(event.app_id, event.at, known, event.device_id), event.user_id, rows)
    if before is None and event.device_id is not None and "user_id" not in event.data:
        # A session that begins with it began on a device, whose user was nobody known until now.
        known = _people.recognised(Sighting(event.app_id, event.at, None, event.device_id), None, rows)
    # Whoever the user turns out to be, the session's device is theirs.
    device_id = event.device_id or (before.device_id if before is not None else None)
    seen = Sighting(event.app_id, event.at, known, device_id)
    if event.type == IDENTIFY:
        return _people.identified(seen, event.user_id, event.data.get("traits", {}), rows)
    return _people.aliased(seen, event.data["id"], event.data["previous_id"], rows)


def _carry_over(event: Arrival, before: Session, session: Session, rows: Rows) -> tuple[Conversation, ...]:
    """
    What a session learns, its conversations learn too: who the user is, and that it is over.

    Returns:
        The conversations that were ended.
    """
    renamed = before.user_id != session.user_id
    if not renamed and event.type != END_SESSION:
        return ()
    ended = []
    for conversation in rows.conversations_in(session):
        after = replace(conversation, user_id=session.user_id) if renamed else conversation
        after = ended_with_session(after, session) if event.type == END_SESSION else after
        if after != conversation:
            rows.put(after)
        if conversation.ended_us is None and after.ended_us is not None:
            ended.append(after)
    return tuple(ended)
