"""The doctor's instruments: they ask the network, and judge nothing."""

import asyncio
import os
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.request import getproxies, proxy_bypass

from mindlytics_cli.doctor._answers import Answer
from mindlytics_core import Client
from mindlytics_core._transport import headers, http_library

_SHOWN_CHARS = 200


def proxy(scheme: str, host: str) -> str | None:
    """
    The proxy through which a host is reached, from the environment; without user and password.

    Args:
        scheme: `http` or `https`.

        host: The host.
    """
    proxies = getproxies()
    found = proxies.get(scheme) or proxies.get("all")
    if found is None or proxy_bypass(host):
        return None
    return found.rpartition("@")[2].removeprefix(f"{scheme}://")


def resolved(host: str, port: int) -> list[str] | OSError:
    """
    The addresses of a host.

    Args:
        host: The host.

        port: The port.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        return error
    except UnicodeError:
        return socket.gaierror(socket.EAI_NONAME, "no such name")
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def connected(host: str, port: int, timeout: float) -> OSError | None:
    """
    What keeps a connection from being opened; None if nothing does.

    Args:
        host: The host.

        port: The port.

        timeout: Most seconds to try.
    """
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError as error:
        return error
    return None


def trusted_until(host: str, port: int, timeout: float) -> float | OSError:
    """
    When the host's certificate ends, in seconds since 1970; or why it, or TLS with the host, is no good.

    Args:
        host: The host.

        port: The port.

        timeout: Most seconds to try.
    """
    # The very trust that the delivery has: its library's, not the standard library's.
    trust: ssl.SSLContext = http_library().create_ssl_context()
    try:
        with (
            socket.create_connection((host, port), timeout) as raw,
            trust.wrap_socket(raw, server_hostname=host) as secured,
        ):
            ends = (secured.getpeercert() or {}).get("notAfter")
            return ssl.cert_time_to_seconds(str(ends))
    except OSError as error:
        return error


def asked(client: Client, path: str, query: Mapping[str, str], timeout: float) -> Answer:
    """
    Ask the service one question, as the client's key and project.

    Args:
        client: The client.

        path: The path.

        query: The query.

        timeout: Most seconds to wait.
    """
    return asyncio.run(_asked(client, path, query, timeout))


async def _asked(client: Client, path: str, query: Mapping[str, str], timeout: float) -> Answer:
    http: Any = http_library()
    destination = client.config.destination
    try:
        # The library's own limit counts silence only: a server that drips would hold on for ever.
        async with asyncio.timeout(timeout), http.AsyncClient(headers=headers(destination), timeout=timeout) as asking:
            answer = await asking.get(f"{destination.endpoint}{path}", params=dict(query))
    except TimeoutError:
        return Answer(0, f"Timeout after {timeout:g} s")
    except (http.HTTPError, http.InvalidURL, OSError) as error:
        return Answer(0, f"{type(error).__name__} {error}".strip()[:_SHOWN_CHARS])
    return Answer(answer.status_code, answer.text, {name.lower(): value for name, value in answer.headers.items()})


def unusable(directory: Path) -> str:
    """
    What keeps events from waiting in a directory; empty if nothing does. Makes nothing.

    Args:
        directory: The directory; it may still have to be made.
    """
    nearest = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if not nearest.is_dir():
        return f"{nearest} is no directory"
    return "" if os.access(nearest, os.W_OK | os.X_OK) else f"{nearest} cannot be written to"
