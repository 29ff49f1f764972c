"""What the service tells of as it happens. Source: the Mindlytics API document, live events."""

from typing import TypeAlias

from pydantic import BaseModel, ConfigDict

LiveValue: TypeAlias = str | bool | int | float | list[str] | list[bool] | list[int] | list[float]


class MLEvent(BaseModel):
    """
    One live event.

    Attributes:
        organization_id: The organisation.

        app_id: The project.

        session_id: The session it belongs to.

        user_id: The service's id of the user.

        conversation_id: The conversation it belongs to, if any.

        event_id: The service's id of the event.

        origin_event_id: The event that it was derived from, if it was.

        timestamp: When it happened, ISO 8601.

        event: Its name: the app's own, or one that the service derives, such as `Session Ended`.

        properties: What it carries.

        user_traits: What is known about the user.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    organization_id: str | None = None
    app_id: str | None = None
    session_id: str
    user_id: str | None = None
    conversation_id: str | None = None
    event_id: str | None = None
    origin_event_id: str | None = None
    timestamp: str
    event: str
    properties: dict[str, LiveValue] | None = None
    user_traits: dict[str, str | bool | int | float] | None = None
