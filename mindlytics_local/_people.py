"""
Who somebody is: from ids of users and devices to one user.

Source: the API document's `identify` and `alias`. A device nobody named is an anonymous user whose id starts with
`ml_`; naming them later keeps that id as an alias.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mindlytics_local._moment import Moment
from mindlytics_local._records import User
from mindlytics_local._rows import Rows

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
    at: Moment
    known: User | None = None
    device_id: str | None = None


def recognised(seen: Sighting, user_id: str | None, rows: Rows) -> User:
    """
    The user that an ordinary event belongs to.

    Args:
        seen: The person.

        user_id: The app's id of them, if the event has one.

        rows: The users so far.
    """
    # Within a session of a named user only `identify` and `alias` say that it is somebody else.
    if seen.known is not None and (user_id is None or not _anonymous(seen.known)):
        return _on_device(seen.known, seen, rows)
    return identified(seen, user_id, {}, rows)


def identified(seen: Sighting, user_id: str | None, traits: Mapping[str, Any], rows: Rows) -> User:
    """
    The user after `identify`.

    Args:
        seen: The person.

        user_id: The app's id of them; None adds traits to whoever they are.

        traits: What is said about them, laid over what was said before.

        rows: The users so far.
    """
    known = seen.known or (rows.user_on(seen.app_id, seen.device_id) if seen.device_id else None)
    user = known or _new(seen, None) if user_id is None else _named(seen, known, user_id, rows)
    user = replace(user, traits={**user.traits, **traits})
    rows.put(user)
    return _on_device(user, seen, rows)


def aliased(seen: Sighting, user_id: str, previous_id: str, rows: Rows) -> User:
    """
    The user after `alias`: both ids are one person, and the new one is shown.

    Args:
        seen: The person.

        user_id: The new id.

        previous_id: An id they had before.

        rows: The users so far.
    """
    user = rows.user_named(seen.app_id, previous_id) or _new(seen, previous_id)
    other = rows.user_named(seen.app_id, user_id)
    if other is not None and other.user_key != user.user_key:
        user = _merged(user, other, rows)
    user = replace(user, id=user_id, aliases=_joined(user.aliases, [user_id]))
    rows.put(user)
    return _on_device(user, seen, rows)


def _named(seen: Sighting, known: User | None, user_id: str, rows: Rows) -> User:
    named = rows.user_named(seen.app_id, user_id)
    if known is None or not _anonymous(known):
        return named or _new(seen, user_id)
    if named is None:
        return replace(known, id=user_id, aliases=_joined(known.aliases, [user_id]))
    return named if named.user_key == known.user_key else _merged(named, known, rows)


def _merged(user: User, gone: User, rows: Rows) -> User:
    merged = replace(user, aliases=_joined(gone.aliases, user.aliases), traits={**gone.traits, **user.traits})
    rows.merge(gone, merged)
    return merged


def _on_device(user: User, seen: Sighting, rows: Rows) -> User:
    if seen.device_id is not None:
        rows.put_device(user, seen.device_id)
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
