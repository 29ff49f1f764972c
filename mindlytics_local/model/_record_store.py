"""What the decisions need to know and to change: the seam between them and the database."""

from typing import Protocol

from mindlytics_local.model._records import Conversation, Session, User


class RecordStore(Protocol):
    """The records, as one transaction sees them."""

    def session(self, app_id: str, session_id: str) -> Session | None:
        """The session, if it is known."""
        ...

    def conversation(self, app_id: str, conversation_id: str) -> Conversation | None:
        """The conversation, if it is known."""
        ...

    def conversations_in(self, session: Session) -> list[Conversation]:
        """The conversations of a session."""
        ...

    def user(self, user_key: str) -> User | None:
        """The user with this key."""
        ...

    def user_named(self, app_id: str, name: str) -> User | None:
        """The user who was ever known by this id."""
        ...

    def user_on(self, app_id: str, device_id: str) -> User | None:
        """The user who was last seen on this device."""
        ...

    def put(self, record: Session | Conversation | User) -> None:
        """Store a record in place of the one with the same key."""
        ...

    def put_device(self, user: User, device_id: str) -> None:
        """Note that this device is this user's."""
        ...

    def merge(self, gone: User, into: User) -> None:
        """Hand everything of one user to another and forget the first."""
        ...
