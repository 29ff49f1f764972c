"""
The errors of this package.

    MindlyticsError
    ├── ConfigurationError (ValueError)   the client cannot be built: a key, an address or an option is missing or wrong
    ├── InvalidArgument (ValueError)      one call was given something that the service cannot take
    ├── SessionClosed (RuntimeError)      one call came after its session's flush or `with` block
    ├── DeliveryError                     events could not be delivered or processed; carries the service's answer
    │   ├── EventRefused                  the service refused one event for good
    │   ├── SpoolFailed                   the spool cannot be written or read; events go on through memory
    │   └── DeliveryPaused                nothing is sent for now: wrong key, project, address or certificate
    └── RequestFailed                     a call that is answered at once was refused or got no answer

Only the first three and the last are ever raised. `DeliveryError` and its kinds reach the app through `on_error`.
"""

__all__ = [
    "ConfigurationError",
    "DeliveryError",
    "DeliveryPaused",
    "EventRefused",
    "InvalidArgument",
    "MindlyticsError",
    "RequestFailed",
    "SessionClosed",
    "SpoolFailed",
]


class MindlyticsError(Exception):
    """Any error of this package."""


class ConfigurationError(MindlyticsError, ValueError):
    """A client cannot be built from its arguments and the environment."""


class InvalidArgument(MindlyticsError, ValueError):
    """One call was given something that the service cannot take."""


class SessionClosed(MindlyticsError, RuntimeError):
    """One call came after its session was closed by `flush` or by the end of its `with` block."""


class DeliveryError(MindlyticsError):
    """
    Events could not be delivered, or the service failed to process one.

    Attributes:
        status: HTTP status of the service's answer; 0 when there was none.

        message: What the service answered, cut to 500 characters.

        session_id: The session whose event it was, when it was one event.
    """

    def __init__(self, message: str, *, status: int = 0, session_id: str | None = None) -> None:
        super().__init__(f"HTTP {status}: {message}" if status else message)
        self.status = status
        self.message = message
        self.session_id = session_id


class EventRefused(DeliveryError):
    """The service refused one event for good; its neighbours were delivered."""


class DeliveryPaused(DeliveryError):
    """
    Every event is held back for now, and one batch is tried every minute: the service answers 401, 403 or 404, or
    its certificate is not trusted (then `status` is 0).
    """


class SpoolFailed(DeliveryError):
    """The spool cannot be written or read (disk full, no right to write, corrupt); events go on through memory."""


class RequestFailed(DeliveryError):
    """A call that is answered at once was refused or got no answer."""
