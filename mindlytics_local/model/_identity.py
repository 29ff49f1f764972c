"""
Who somebody is: from ids of users and devices to one user.

Source: the API document's `identify` and `alias`. A device nobody named is an anonymous user whose id starts with
`ml_`; naming them later keeps that id as an alias.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mindlytics_local._timestamps import Timestamp
from mindlytics_local.model._record_store import RecordStore
from mindlytics_local.model._records import User

_ANONYMOUS = "ml_"


@dataclass(frozen=True, slots=True)
class Sighting:
    """
    What is known about a person at one moment.

    Attributes:
        app_id: The project.

        at: When.

        known: Who their session has said they are so far, if anybody.

        device_id: Their device, if one was named.
    """

    app_id: str
    at: Timestamp
    known: User | None = None
    device_id: str | None = None


def recognised(seen: Sighting, user_id: str | None, records: RecordStore) -> User:
    """
    The user that an ordinary event belongs to.

    Args:
        seen: The person.

        user_id: The app's id of them, if the event has one.

        records: The users so far.
    """
    # Within a session of a named user only `identify` and `alias` say that it is somebody else.
    if seen.known is not None and (user_id is None or not _anonymous(seen.known)):
        return _on_device(seen.known, seen, records)
    return identified(seen, user_id, {}, records)


def identified(seen: Sighting, user_id: str | None, traits: Mapping[str, Any], records: RecordStore) -> User:
    """
    The user after `identify`.

    Args:
        seen: The person.

        user_id: The app's id of them; None adds traits to whoever they are.

        traits: What is said about them, laid over what was said before.

        records: The users so far.
    """
    known = seen.known or (records.user_on(seen.app_id, seen.device_id) if seen.device_id else None)
    user = known or _new(seen, None) if user_id is None else _named(seen, known, user_id, records)
    user = replace(user, traits={**user.traits, **traits})
    records.put(user)
    return _on_device(user, seen, records)


def aliased(seen: Sighting, user_id: str, previous_id: str, records: RecordStore) -> User:
    """
    The user after `alias`: both ids are one person, and the new one is shown.

    Args:
        seen: The person.

        user_id: The new id.

        previous_id: An id they had before.

        records: The users so far.
    """
    user = records.user_named(seen.app_id, previous_id) or _new(seen, previous_id)
    other = records.user_named(seen.app_id, user_id)
    if other is not None and other.user_key != user.user_key:
        user = _merged(user, other, records)
    user = replace(user, id=user_id, aliases=_joined(user.aliases, [user_id]))
    records.put(user)
    return _on_device(user, seen, records)


def _named(seen: Sighting, known: User | None, user_id: str, records: RecordStore) -> User:
    named = records.user_named(seen.app_id, user_id)
    if known is None or not _anonymous(known):
        return named or _new(seen, user_id)
    if named is None:
        return replace(known, id=user_id, aliases=_joined(known.aliases, [user_id]))
    return named if named.user_key == known.user_key else _merged(named, known, records)


def _merged(user: User, gone: User, records: RecordStore) -> User:
    merged = replace(user, aliases=_joined(gone.aliases, user.aliases), traits={**gone.traits, **user.traits})
    records.merge(gone, merged)
    return merged


def _on_device(user: User, seen: Sighting, records: RecordStore) -> User:
    if seen.device_id is not None:
        records.put_device(user, seen.device_id)
    return user


def _new(seen: Sighting, user_id: str | None) -> User:
    shown = user_id or f"{_ANONYMOUS}{uuid.uuid4().hex}"
    return User(
        user_key=uuid.uuid4().hex,
        app_id=seen.app_id,
        id=shown,
        aliases=[shown],
        created_at=seen.at.text,
        created_us=seen.at.us,
    )


def _anonymous(user: User) -> bool:
    return user.id.startswith(_ANONYMOUS)


def _joined(first: list[str], second: list[str]) -> list[str]:
    return list(dict.fromkeys([*first, *second]))
