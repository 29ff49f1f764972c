"""
Keeps web pages of others away from a service that asks nobody for a key.

A browser runs pages of anybody on the user's machine. Such a page may send requests to this service, and by letting
its own name point to this machine (DNS rebinding) even read the answers. Both can be told from their headers:
`Sec-Fetch-Site`, or `Origin` where a browser is too old for it or the address has no TLS and is not this machine's.
"""

import ipaddress

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

#: What a browser says in `Sec-Fetch-Site` about a request of this service's own page, or of the address bar.
_OWN = {"same-origin", "none"}


class OriginGuard:
    """
    Refuses requests that a web page of somebody else made.

    Args:
        app: What is guarded.

        loopback_only: Whether the service is for this machine only, so that `Host` must name it.
    """

    def __init__(self, app: ASGIApp, *, loopback_only: bool) -> None:
        self._app = app
        self._loopback_only = loopback_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] in {"http", "websocket"} and (refusal := self._refusal(scope)) is not None:
            # Closing before the handshake is over is how a WebSocket is answered with 403.
            refused = WebSocketClose() if scope["type"] == "websocket" else PlainTextResponse(refusal, status_code=403)
            await refused(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        if self._loopback_only and not is_this_machine(headers.get("host", "localhost")):
            return "this service is for this machine only; start it with another --host to reach it by name"
        if _is_own(headers) or _is_link(headers, scope):
            return None
        return "a web page of another origin may not use this service"


def is_this_machine(host: str) -> bool:
    """
    Whether a host is an address, or a name that nobody else can let point here.

    Args:
        host: A host as in the header `Host`, with or without a port.
    """
    name = host[1 : host.find("]")] if host.startswith("[") else host.rpartition(":")[0] or host
    try:
        # A name can be made to point anywhere, an address cannot.
        ipaddress.ip_address(name)
    except ValueError:
        # The last is how a container calls its host; nobody can register a name in it.
        return name == "localhost" or name.endswith((".localhost", ".internal"))
    return True


def _is_own(headers: Headers) -> bool:
    if "sec-fetch-site" in headers:
        return headers["sec-fetch-site"] in _OWN
    return "origin" not in headers or headers["origin"].partition("://")[2] == headers.get("host")


def _is_link(headers: Headers, scope: Scope) -> bool:
    """A link to the page, from a chat or a document, is fine: it only shows the page."""
    return scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"
