"""Arguments and environment become one frozen configuration. The only reader of the environment."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

import msgspec

from mindlytics_core.exceptions import ConfigurationError

DEFAULT_ENDPOINT = "https://app.mindlytics.ai"

_TRY_LOCALLY = (
    "To try it without an account, run `mindlytics local` and set MLSDK_SERVER_BASE=http://127.0.0.1:3000 "
    "with any key and project id."
)


Overflow = Literal["drop_newest", "drop_oldest_session", "block"]
Durability = Literal["linger", "call", "power"]
Mode = Literal["server", "serverless"]

#: The fields that are one of a few words.
_CHOICES = {"overflow": get_args(Overflow), "durability": get_args(Durability), "mode": get_args(Mode)}
#: The fields that may be 0.
_FROM_ZERO = {"linger", "exit_timeout", "block_timeout"}


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """
    How events are queued and delivered. Times are seconds, sizes bytes.

    Attributes:
        max_events: Most events held in memory.

        max_bytes: Most bytes held in memory.

        max_event_bytes: Largest single event; a larger one is dropped as `too_large`.

        overflow: What happens when memory is full, and there is no spool: `drop_newest`, because the start of a
            session matters more than its end; `drop_oldest_session`, what waits of the session that came first is
            given up as a whole, as soon as nine tenths are taken; `block`, the call waits for room for up to
            `block_timeout`, except where an event loop runs, which must not stand still.

        block_timeout: How long a call waits for room with `overflow="block"`.

        batch_events: Most events in one request.

        batch_bytes: Most bytes in one request.

        linger: How long an event waits for company before its batch is sent.

        concurrency: Most requests at once.

        connect_timeout: Limit for opening a connection.

        attempt_timeout: Limit for one whole request, so that a server that drips cannot hold a connection.

        retry_base: The first wait after a failure; it doubles from there.

        retry_cap: The longest wait that we choose ourselves.

        retry_after_cap: The longest wait that a server can ask for.

        pause_interval: How often a paused queue (401, 403, 404) is tried again.

        exit_timeout: How long the exit of the interpreter waits for events that are not yet delivered; with a
            spool at most 2 s, because what is left is on disk.

        spool_max_bytes: Largest file of the spool; each process has its own.

        spool_max_age: How long an event waits on disk at most; an older one is dropped as `expired`.

        durability: What a process that is killed loses of a spool: `linger`, at most what came within the last
            `linger`; `call`, nothing, because a call returns when its event is on disk; `power`, like
            `linger`, also when the whole machine loses power.

        mode: `serverless` for functions that are frozen between calls: no `linger`, and after 5 s without a
            request new connections, because the old ones died unnoticed. Goes with `flush_at_end`.
    """

    max_events: int = 10_000
    max_bytes: int = 32 * 1024 * 1024
    max_event_bytes: int = 256 * 1024
    overflow: Overflow = "drop_newest"
    block_timeout: float = 0.1
    batch_events: int = 100
    batch_bytes: int = 512 * 1024
    linger: float = 0.1
    concurrency: int = 4
    connect_timeout: float = 5.0
    attempt_timeout: float = 15.0
    retry_base: float = 0.5
    retry_cap: float = 30.0
    retry_after_cap: float = 300.0
    pause_interval: float = 60.0
    exit_timeout: float = 5.0
    spool_max_bytes: int = 256 * 1024 * 1024
    spool_max_age: float = 7 * 86_400.0
    durability: Durability = "linger"
    mode: Mode = "server"

    def __post_init__(self) -> None:
        for name, words in _CHOICES.items():
            if getattr(self, name) not in words:
                raise ConfigurationError(f"Delivery.{name} is one of {words}, not {getattr(self, name)!r}")
        if self.mode == "serverless":
            msgspec.structs.force_setattr(self, "linger", 0.0)
        for name in set(self.__struct_fields__) - _CHOICES.keys():
            if not getattr(self, name) >= (0 if name in _FROM_ZERO else 1e-3):
                raise ConfigurationError(f"Delivery.{name} must be a number above 0, not {getattr(self, name)!r}")


class Destination(msgspec.Struct, frozen=True):
    """
    Where events go, and as whom. Clients with the same destination share one queue.

    Attributes:
        endpoint: Address of the service, without a slash at its end.

        api_key: The organisation's key; in no repr.

        project_id: The project, sent as `X-App-ID`.
    """

    endpoint: str
    api_key: str
    project_id: str

    def __repr__(self) -> str:
        return f"Destination(endpoint={self.endpoint!r}, project_id={self.project_id!r})"


class Config(msgspec.Struct, frozen=True):
    """
    Everything that a client needs to know and that never changes.

    Attributes:
        destination: Where events go.

        wss_endpoint: Address of the live events' WebSocket.

        disabled: Whether `MLSDK_DISABLED` switches everything off.

        spool_dir: Where events wait on disk; None for memory alone.
    """

    destination: Destination
    wss_endpoint: str
    disabled: bool
    spool_dir: Path | None = None


def load(
    api_key: str | None,
    project_id: str | None,
    server_endpoint: str | None,
    wss_endpoint: str | None,
    spool_dir: str | os.PathLike[str] | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
) -> Config:
    """
    Build the configuration; an argument wins over its variable.

    Raises:
        ConfigurationError: A key or project id is missing, or an address is none.
    """
    disabled = environment.get("MLSDK_DISABLED", "").strip().lower() not in {"", "0", "false", "no", "off"}
    endpoint = _address(server_endpoint or environment.get("MLSDK_SERVER_BASE") or DEFAULT_ENDPOINT)
    destination = Destination(
        endpoint=endpoint,
        api_key=_required("api_key", "MLSDK_API_KEY", api_key, environment, optional=disabled),
        project_id=_required("project_id", "MLSDK_PROJECT_ID", project_id, environment, optional=disabled),
    )
    spool = spool_dir or environment.get("MLSDK_SPOOL_DIR") or None
    # Absolute: the app may change its working directory before the first event.
    directory = None if spool is None else Path(spool).expanduser().absolute()
    return Config(destination, wss_endpoint or _websocket_address(endpoint), disabled, directory)


def _required(
    argument: str, variable: str, value: str | None, environment: Mapping[str, str], *, optional: bool
) -> str:
    found = (value or environment.get(variable) or "").strip()
    # A line break or a letter outside ASCII would make every request fail later, far from its cause.
    if found and not (found.isascii() and found.isprintable()):
        raise ConfigurationError(f"{argument} (or {variable}) holds characters that no HTTP header can carry.")
    if not found and not optional:
        raise ConfigurationError(
            f"No {argument}: pass Client({argument}=…) or set the environment variable {variable}. {_TRY_LOCALLY}"
        )
    return found


def _address(text: str) -> str:
    if not _is_address(text.strip()):
        raise ConfigurationError(
            f"The service's address must start with http:// or https:// (server_endpoint or MLSDK_SERVER_BASE). "
            f"{_TRY_LOCALLY}"
        )
    return text.strip().rstrip("/")


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        # Only reading the port finds that it is none.
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _websocket_address(endpoint: str) -> str:
    """The service's own rule: `app` becomes `wss`, and a local server on 300x has its WebSocket on 400x."""
    return re.sub(r":300(\d)(?=/|$)", r":400\1", re.sub(r"^(wss?://)app\b", r"\1wss", "ws" + endpoint[4:]))
