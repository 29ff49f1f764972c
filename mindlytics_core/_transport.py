"""
One HTTP request, and nothing above it knows which library makes it.

`httpx` is the declared dependency; `httpx2`, its maintained continuation with the same interface, is used
where it is installed (openai 3 brings it). Foreign errors end here: what comes out is an `Answer`.
"""

import asyncio
import contextlib
import importlib
import importlib.util
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, Protocol

from mindlytics_core import _retry, _wire
from mindlytics_core._config import Delivery, Destination
from mindlytics_core._fork import FORKS
from mindlytics_core._retry import Answer
from mindlytics_core._version import __version__

_SHOWN_CHARS = 500
_FROZEN_AFTER = 5.0


class Transport(Protocol):
    """Takes one batch to the service."""

    async def send(self, body: bytes, key: str) -> Answer:
        """Make one attempt; `key` is the same on every attempt of the same batch. Never raises an `Exception`."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


def http_library() -> ModuleType:
    """The HTTP library in use; imported late, because it takes a tenth of a second."""
    version = "2" if importlib.util.find_spec("httpx2") else ""
    with FORKS.no_fork(), _trio_where_it_can_be_imported():
        # What the library itself would import with its first request.
        for name in ("anyio._backends._asyncio", f"httpcore{version}"):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        return importlib.import_module(f"httpx{version}")


@contextlib.contextmanager
def _trio_where_it_can_be_imported() -> Iterator[None]:
    """The library looks for trio, whose import starts a program; gevent lets no thread but the main one do so."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("subprocess") or "trio" in sys.modules:
        yield
        return
    modules: dict[str, Any] = sys.modules
    modules["trio"] = None
    try:
        yield
    finally:
        del modules["trio"]


def headers(destination: Destination) -> dict[str, str]:
    """What every request to the service carries."""
    return {
        "Authorization": f"Bearer {destination.api_key}",
        "X-App-ID": destination.project_id,
        "Content-Type": "application/json",
        "User-Agent": f"mindlytics-python/{__version__}",
    }


class HTTPTransport:
    """
    Posts batches over kept-alive connections.

    Args:
        destination: Where to, and as whom.

        options: The limits of an attempt.

        wall: The clock that also runs while a serverless function is frozen.
    """

    def __init__(self, destination: Destination, options: Delivery, *, wall: Callable[[], float] = time.time) -> None:
        self._destination = destination
        self._wall = wall
        #: When the last request began, and how many are under way.
        self._used_at = wall()
        self._under_way = 0
        self._options = options
        #: Whether a connection may have been kept from an earlier request.
        self._kept = False
        with FORKS.no_fork():
            self._http: Any = http_library()
            # What making a client imports.
            self._client = self._new_client(destination, options)
        # Made once: the library would take a sixth of a request's time to put it together each time.
        self._url = self._http.URL(destination.endpoint + _wire.QUEUE_PATH)

    async def send(self, body: bytes, key: str) -> Answer:
        """Post one batch, and turn whatever happens into an answer."""
        await self._replace_dead_connections()
        self._under_way += 1
        try:
            # The library's own limits count silence only: a server that drips would hold on for ever.
            async with asyncio.timeout(self._options.attempt_timeout):
                return await self._post_on_live_connection(body, key)
        except TimeoutError:
            return Answer(0, f"no answer within {self._options.attempt_timeout:g} s")
        except (self._http.HTTPError, self._http.InvalidURL, OSError) as error:
            distrust = _distrust(error)
            if distrust is not None:
                message = f"the service's certificate is not trusted: {distrust.verify_message}"
                return Answer(0, message, untrusted=True)
            return Answer(0, type(error).__name__)
        finally:
            self._under_way -= 1

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _replace_dead_connections(self) -> None:
        """After a freeze the other side has hung up, and nobody here was awake to hear it."""
        now, used_at = self._wall(), self._used_at
        self._used_at = now
        if self._options.mode == "serverless" and now - used_at > _FROZEN_AFTER and not self._under_way:
            old, self._client, self._kept = self._client, self._new_client(self._destination, self._options), False
            await old.aclose()

    def _new_client(self, destination: Destination, options: Delivery) -> Any:
        return self._http.AsyncClient(
            headers=headers(destination),
            timeout=self._http.Timeout(options.attempt_timeout, connect=options.connect_timeout),
            limits=self._http.Limits(
                max_connections=options.concurrency, max_keepalive_connections=options.concurrency
            ),
        )

    async def _post_on_live_connection(self, body: bytes, key: str) -> Answer:
        """Post; a connection that went stale while it was kept is replaced once, at once."""
        broken = (self._http.ReadError, self._http.WriteError, self._http.RemoteProtocolError)
        kept, self._kept = self._kept, False
        try:
            answer = await self._post(body, key)
        except broken:
            if not kept:
                raise
            answer = await self._post(body, key)
        self._kept = True
        return answer

    async def _post(self, body: bytes, key: str) -> Answer:
        response = await self._client.post(self._url, content=body, headers={"Idempotency-Key": key})
        wait = _retry.retry_after(response.headers.get("Retry-After"), datetime.now(UTC), self._options.retry_after_cap)
        return Answer(response.status_code, "" if response.is_success else shown(response), wait)


def _distrust(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """The verification of a certificate that failed, if that is what an error is about."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error


def shown(response: Any) -> str:
    """The part of an answer that an error may repeat."""
    text: str = response.text
    return text[:_SHOWN_CHARS]
