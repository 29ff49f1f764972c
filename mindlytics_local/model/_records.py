"""What the service knows of sessions, conversations and users, besides their events. One record is one row."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

Properties: TypeAlias = dict[str, Any]

#: The service knows organisations; on one's own machine there is one.
ORGANIZATION = "local"

#: Fields that are objects or lists; a row holds them as JSON.
JSON_FIELDS = frozenset({"attributes", "properties", "models", "event_names", "unpriced_tokens", "aliases", "traits"})

#: How a session or conversation came to its end or start: by its own event, or by what happened around it.
BY_EVENT = "event"
BY_SESSION = "session"
BY_FIRST_EVENT = "first event"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """
    One visit.

    Attributes:
        app_id: The project; with `session_id` the key.

        session_id: The id that the app gave it.

        user_id: The app's id of its user, once known.

        device_id: Its device, if one was named.

        user_key: The service's own id of its user.

        started_at: Its earliest event, as text and in microseconds (`started_us`).

        started_by: `event` if its start was sent, else `first event`.

        opened_us: Its latest start, if one was sent; an end before it is no end.

        ended_at: Its end, if it has come, as text and in microseconds (`ended_us`).

        attributes: Those of its start, overlaid with those of its end.
    """

    app_id: str
    session_id: str
    user_id: str | None = None
    device_id: str | None = None
    user_key: str | None = None
    started_at: str
    started_us: int
    started_by: str = BY_FIRST_EVENT
    opened_us: int | None = None
    ended_at: str | None = None
    ended_us: int | None = None
    attributes: Properties = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """
    One thread of turns.

    Attributes:
        app_id: The project; with `conversation_id` the key.

        conversation_id: The id that the app gave it.

        session_id: The session of its latest event.

        user_id: The app's id of its user, once known.

        title: What the user said first, cut to one line; `title_us` is when.

        started_at: Its earliest event, as text and in microseconds (`started_us`).

        opened_us: Its latest start, if one was sent; an end before it is no end.

        ended_at: Its end, if it has come, as text and in microseconds (`ended_us`).

        ended_by: `event`, or `session` when the session's end ended it.

        last_activity_at: Its latest event, as text and in microseconds (`last_activity_us`).

        turns: Turns.

        functions: Function calls.

        failed: Exchanges that failed.

        prompt_tokens: Tokens read, over all that reported usage.

        completion_tokens: Tokens written, likewise.

        cost: The sum of the costs that were given; None when none was.

        models: Every model named, in order of arrival.

        event_names: The names of what happened in it, in order of received, the first hundred.

        unpriced_tokens: By model, tokens read and written whose cost nobody gave.

        properties: Those of its start, overlaid with those of its end.
    """

    app_id: str
    conversation_id: str
    session_id: str
    user_id: str | None = None
    title: str | None = None
    title_us: int | None = None
    started_at: str
    started_us: int
    opened_us: int | None = None
    ended_at: str | None = None
    ended_us: int | None = None
    ended_by: str | None = None
    last_activity_at: str
    last_activity_us: int
    turns: int = 0
    functions: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    models: list[str] = field(default_factory=list)
    event_names: list[str] = field(default_factory=list)
    unpriced_tokens: dict[str, list[int]] = field(default_factory=dict)
    properties: Properties = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """
    One person, as far as the ids that were sent tell.

    Attributes:
        user_key: The service's own id; it never changes.

        app_id: The project.

        id: The id to show: the app's, or one that starts with `ml_` while nobody has named the user.

        aliases: Every id the user was known by, in order.

        created_at: When the user was first seen, as text and in microseconds (`created_us`).

        traits: What was said about the user, later words over earlier ones.
    """

    user_key: str
    app_id: str
    id: str
    aliases: list[str]
    created_at: str
    created_us: int
    traits: Properties = field(default_factory=dict)
