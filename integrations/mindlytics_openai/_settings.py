"""What `wrap` and `install` were given."""

import msgspec
from typing_extensions import TypedDict

from mindlytics_core import Client, Ids, InvalidArgument, check_count, check_name, default_client

#: Seconds that a chat waits for its next message: there are no chains here whose end could end it.
CONTINUE_WITHIN = 1800.0


class Options(TypedDict, total=False):
    """
    How the calls of a client are recorded; the same for `wrap` and `install`.

    Attributes:
        client: Records; without it the process's default client, made from the environment.

        user_id: The app's own id of the user.

        device_id: The id of a device, for users who are not known.

        session_id: The visit.

        conversation_id: The conversation; without it one is recognised by its messages.

        continue_within: Seconds that an unnamed conversation waits for its next message, 1,800 by default.

        assistant_id: Which assistant answers.

        stream_usage: Whether streams are asked for their usage where the app did not ask, which is so by default;
            the app does not see it.
    """

    client: Client | None
    user_id: str | None
    device_id: str | None
    session_id: str | None
    conversation_id: str | None
    continue_within: float | None
    assistant_id: str | None
    stream_usage: bool


class Settings(msgspec.Struct, frozen=True):
    """
    The same, checked, and filled in where nothing was given.

    Attributes:
        client: Records.

        is_default: Whether it is the process's own client, because none was given.

        ids: Ids given.

        continue_within: Seconds that an unnamed conversation waits for its next exchange.

        assistant_id: Which assistant answers.

        stream_usage: Whether streams are asked for their usage.
    """

    client: Client
    is_default: bool
    ids: Ids
    continue_within: float
    assistant_id: str | None
    stream_usage: bool

    def recorder(self) -> Client:
        """The client that records now: a default one that the app has closed is made anew."""
        return default_client() if self.is_default and self.client.is_closed else self.client


def settings(options: Options) -> Settings:
    """
    Check what was given, and fill in what was not.

    Raises:
        TypeError: There is no such option.

        ConfigurationError: No client was given and the environment holds no key or no project id.

        InvalidArgument: An argument is of the wrong kind.
    """
    unknown = options.keys() - Options.__annotations__.keys()
    if unknown:
        raise TypeError(f"there is no option {', '.join(sorted(unknown))}")
    ids = Ids(
        options.get("user_id"), options.get("device_id"), options.get("session_id"), options.get("conversation_id")
    )
    assistant_id = options.get("assistant_id")
    for value in (ids.user_id, ids.device_id, ids.session_id, ids.conversation_id, assistant_id):
        if value is not None:
            check_name("an id", value)
    client, wait = options.get("client"), options.get("continue_within")
    stream_usage = options.get("stream_usage", True)
    if client is not None and not isinstance(client, Client):
        raise InvalidArgument(f"client must be a mindlytics_core.Client, not a {type(client).__name__}")
    if wait is not None:
        check_count("continue_within", wait)
    if not isinstance(stream_usage, bool):
        raise InvalidArgument(f"stream_usage must be True or False, not {stream_usage!r}")
    return Settings(
        client=client or default_client(),
        is_default=client is None,
        ids=ids,
        continue_within=CONTINUE_WITHIN if wait is None else wait,
        assistant_id=assistant_id,
        stream_usage=stream_usage,
    )
