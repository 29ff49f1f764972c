"""What `wrap` and `install` were given."""

from dataclasses import dataclass

from mindlytics_core import Client, Ids, check_name, default_client

#: Seconds that a chat waits for its next message: there are no chains here whose end could end it.
CONTINUE_WITHIN = 1800.0


@dataclass(frozen=True, slots=True)
class Settings:
    """
    How the calls of a client are recorded.

    Attributes:
        client: Records.

        is_default: Whether it is the process's own client, because none was given.

        ids: Ids given to `wrap`.

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


def settings(
    client: Client | None,
    ids: Ids,
    *,
    continue_within: float | None,
    assistant_id: str | None,
    stream_usage: bool,
) -> Settings:
    """
    Check what was given, and fill in what was not.

    Raises:
        ConfigurationError: No client was given and the environment holds no key or no project id.

        InvalidArgument: An argument is of the wrong kind.
    """
    for value in (ids.user_id, ids.device_id, ids.session_id, ids.conversation_id, assistant_id):
        if value is not None:
            check_name("an id", value)
    return Settings(
        client=client or default_client(),
        is_default=client is None,
        ids=ids,
        continue_within=CONTINUE_WITHIN if continue_within is None else continue_within,
        assistant_id=assistant_id,
        stream_usage=stream_usage,
    )
