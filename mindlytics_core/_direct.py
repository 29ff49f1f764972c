"""What is answered at once, outside of sessions: users, and the live events of a whole project."""

from collections.abc import Mapping
from concurrent import futures
from typing import TYPE_CHECKING, Any, Protocol

from mindlytics_core import _model
from mindlytics_core._callbacks import at_home
from mindlytics_core._hearing import wait_for
from mindlytics_core._listener import Listener, Listening, OnError, OnEvent
from mindlytics_core._model import Properties
from mindlytics_core._threads import blocking
from mindlytics_core.exceptions import InvalidArgument, RequestFailed
from mindlytics_core.session import LISTEN_TIMEOUT

if TYPE_CHECKING:
    from mindlytics_core._requests import Requests

IDENTIFY_PATH = "/bc/v1/user/identify"
ALIAS_PATH = "/bc/v1/user/alias"


class Book(Listener, Protocol):
    """What these calls need from the client."""

    is_disabled: bool

    @property
    def requests(self) -> "Requests":
        """Makes the requests."""
        ...


class Direct:
    """
    A client's calls that do not go through the queue.

    Args:
        book: Makes the requests and the connection.
    """

    def __init__(self, book: Book) -> None:
        self._outside = book
        self._listening: Listening | None = None

    async def user_identify(
        self,
        *,
        id: str | None = None,  # noqa: A002  # the public SDK's name
        device_id: str | None = None,
        traits: Properties | None = None,
    ) -> dict[str, Any]:
        """
        Name a user or a device outside of any session; gives the user as the service has it then.

        Args:
            id: The app's own id of the user.

            device_id: The id of a device.

            traits: Scalars that describe the user, merged over known ones.

        Raises:
            InvalidArgument: An argument is of the wrong kind, or both ids are missing.

            RequestFailed: The service refused, or gave no answer.
        """
        if id is None and device_id is None:
            raise InvalidArgument("user_identify needs id=… or device_id=…")
        given = {"id": id, "device_id": device_id}
        named = {name: _model.check_name(name, value) for name, value in given.items() if value is not None}
        checked = _model.check_properties("traits", traits)
        return await self._ask(IDENTIFY_PATH, {**named, **({"traits": checked} if checked else {})})

    def user_identify_sync(
        self,
        *,
        id: str | None = None,  # noqa: A002  # the public SDK's name
        device_id: str | None = None,
        traits: Properties | None = None,
    ) -> dict[str, Any]:
        """
        The same, blocking the calling thread.

        Args:
            id: The app's own id of the user.

            device_id: The id of a device.

            traits: Scalars that describe the user, merged over known ones.

        Raises:
            InvalidArgument: An argument is of the wrong kind, or both ids are missing.

            RequestFailed: The service refused, or gave no answer.
        """
        return blocking(lambda: self.user_identify(id=id, device_id=device_id, traits=traits))

    async def user_alias(self, *, id: str, previous_id: str) -> dict[str, Any]:  # noqa: A002  # the public SDK's name
        """
        Say outside of any session that two ids are one user; gives that user.

        Args:
            id: The id that becomes primary.

            previous_id: The id known so far.

        Raises:
            InvalidArgument: An id is no text of 1 to 100 characters.

            RequestFailed: The service refused, or gave no answer.
        """
        given = {"id": id, "previous_id": previous_id}
        return await self._ask(ALIAS_PATH, {name: _model.check_name(name, value) for name, value in given.items()})

    def user_alias_sync(self, *, id: str, previous_id: str) -> dict[str, Any]:  # noqa: A002  # the public SDK's name
        """
        The same, blocking the calling thread.

        Args:
            id: The id that becomes primary.

            previous_id: The id known so far.

        Raises:
            InvalidArgument: An id is no text of 1 to 100 characters.

            RequestFailed: The service refused, or gave no answer.
        """
        return blocking(lambda: self.user_alias(id=id, previous_id=previous_id))

    async def start_listening(
        self, *, on_event: OnEvent, on_error: OnError | None = None, timeout: float = LISTEN_TIMEOUT
    ) -> None:
        """
        Listen to the live events of the whole project; returns when the connection stands.

        A connection that is lost later is made again. A second call takes the place of the first.

        Args:
            on_event: Called with each event, a function or a coroutine function.

            on_error: Called with each fault that the service reports, and when the connection is lost.

            timeout: Most seconds to wait for the connection; afterwards it is still tried.

        Raises:
            RequestFailed: The service refused the connection, or could not be reached.
        """
        listening = self._begin_to_listen(on_event, on_error)
        if listening is not None:
            await wait_for(listening.tried, timeout)
            self._look_at(listening)

    def start_listening_sync(
        self, *, on_event: OnEvent, on_error: OnError | None = None, timeout: float = LISTEN_TIMEOUT
    ) -> None:
        """
        The same, blocking the calling thread.

        Args:
            on_event: Called with each event, a function or a coroutine function.

            on_error: Called with each fault that the service reports, and when the connection is lost.

            timeout: Most seconds to wait for the connection; afterwards it is still tried.

        Raises:
            RequestFailed: The service refused the connection, or could not be reached.
        """
        listening = self._begin_to_listen(on_event, on_error)
        if listening is not None:
            futures.wait([listening.tried], timeout)
            self._look_at(listening)

    async def stop_listening(self) -> None:
        """Stop listening to the project's live events."""
        self.stop_listening_sync()

    def stop_listening_sync(self) -> None:
        """The same, for programs without a loop."""
        if self._listening is not None:
            self._listening.stop()
            self._listening = None

    def _begin_to_listen(self, on_event: OnEvent, on_error: OnError | None) -> Listening | None:
        self.stop_listening_sync()
        self._listening = self._outside.listen(
            session_id=None, on_event=at_home(on_event), on_error=at_home(on_error), is_over=lambda: False
        )
        return self._listening

    def _look_at(self, listening: Listening) -> None:
        if listening.tried.done() and (error := listening.tried.result()) is not None:
            self.stop_listening_sync()
            raise error

    async def _ask(self, path: str, data: Mapping[str, Any]) -> dict[str, Any]:
        if self._outside.is_disabled:
            return {}
        answer = await self._outside.requests.send("POST", path, data)
        if not isinstance(answer, dict):
            raise RequestFailed("the service answered with something else than a user")
        return answer
