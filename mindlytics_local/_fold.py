"""One event into the records: which of them it touches, and in which order they are decided."""

from dataclasses import replace

from mindlytics_local import _people
from mindlytics_local._arrival import ALIAS, END_SESSION, IDENTIFY, Arrival
from mindlytics_local._people import Sighting
from mindlytics_local._projections import conversation_after, ended_with_session, session_after
from mindlytics_local._records import Session, User
from mindlytics_local._rows import Rows


def fold(event: Arrival, rows: Rows) -> Session:
    """
    Bring the records up to date with one event.

    Args:
        event: The event.

        rows: The records; they are changed.

    Returns:
        The event's session, as it is now.
    """
    before = rows.session(event.app_id, event.session_id)
    session = session_after(before, event)
    session = replace(session, user_key=_user(event, before, rows).user_key)
    if session != before:
        rows.put(session)
    if event.conversation_id is not None:
        conversation = rows.conversation(event.app_id, event.conversation_id)
        rows.put(conversation_after(conversation, event, session))
    if before is not None:
        _carry_over(event, before, session, rows)
    return session


def _user(event: Arrival, before: Session | None, rows: Rows) -> User:
    known = rows.user(before.user_key) if before is not None and before.user_key is not None else None
    if event.type not in {IDENTIFY, ALIAS}:
        return _people.recognised(Sighting(event.app_id, event.at, known, event.device_id), event.user_id, rows)
    # Whoever the user turns out to be, the session's device is theirs.
    device_id = event.device_id or (before.device_id if before is not None else None)
    seen = Sighting(event.app_id, event.at, known, device_id)
    if event.type == IDENTIFY:
        return _people.identified(seen, event.user_id, event.data.get("traits", {}), rows)
    return _people.aliased(seen, event.data["id"], event.data["previous_id"], rows)


def _carry_over(event: Arrival, before: Session, session: Session, rows: Rows) -> None:
    """What a session learns, its conversations learn too: who the user is, and that it is over."""
    renamed = before.user_id != session.user_id
    if not renamed and event.type != END_SESSION:
        return
    for conversation in rows.conversations_in(session):
        after = replace(conversation, user_id=session.user_id) if renamed else conversation
        after = ended_with_session(after, session) if event.type == END_SESSION else after
        if after != conversation:
            rows.put(after)
