"""Who can listen to live events, and with what; the connection itself is imported with the first who does."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from mindlytics_core.exceptions import DeliveryError, RequestFailed

if TYPE_CHECKING:
    from mindlytics_core._live_event import MLEvent

OnEvent: TypeAlias = Callable[["MLEvent"], Any]
OnError: TypeAlias = Callable[[DeliveryError], Any]


class Listening(Protocol):
    """
    What listens.

    Attributes:
        tried: Done with the first attempt: None when it connected, its error otherwise.

        session_ended: Done when `Session Ended` has come and the app has seen it, or when it cannot come any more.
    """

    tried: "Future[RequestFailed | None]"
    session_ended: "Future[None]"

    @property
    def connected(self) -> bool:
        """Whether the connection stands."""
        ...

    def stop(self) -> None:
        """Close the connection; returns at once. A second call does nothing."""
        ...


class Listener(Protocol):
    """Who can listen: a client's book."""

    def listen(
        self,
        *,
        session_id: str | None,
        on_event: OnEvent | None,
        on_error: OnError | None,
        is_over: Callable[[], bool],
    ) -> Listening | None:
        """Begin to listen to live events; None where everything is switched off."""
        ...
