"""Live events as the API document has them: a key to listen with, and a WebSocket that takes it."""

import asyncio
import contextlib
import secrets

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from mindlytics_local.endpoints import _keys
from mindlytics_local.endpoints._state import app_id, live
from mindlytics_local.live._broadcast import Scope
from mindlytics_local.live._subscriber import Subscriber

#: Keys that are remembered; beyond them the oldest is forgotten.
_MAX_KEYS = 10_000
_NO_SUCH_KEY = 1008  # RFC 6455, 7.4.1: policy violation; before the handshake it becomes 403
_GOING_AWAY = 1001


class ListenerKeys:
    """Keys that open a WebSocket, and what each of them is for. They last as long as the service runs."""

    def __init__(self) -> None:
        self._scopes: dict[str, Scope] = {}

    def make(self, scope: Scope) -> str:
        """
        Make a key.

        Args:
            scope: What it is for.
        """
        while len(self._scopes) >= _MAX_KEYS:
            del self._scopes[next(iter(self._scopes))]
        key = secrets.token_urlsafe(24)
        self._scopes[key] = scope
        return key

    def scope(self, key: str) -> Scope | None:
        """
        What a key is for.

        Args:
            key: The key.
        """
        return self._scopes.get(key)


async def listener_key(request: Request) -> Response:
    """Make a key for the WebSocket, for one session or for everything."""
    await _keys.check(request)
    scope = Scope(app_id(request), request.query_params.get("session_id") or None)
    return JSONResponse({"authorization_key": _known(request).make(scope)})


async def listen(socket: WebSocket) -> None:
    """Send what happens to a listener, until it goes or the service stops."""
    scope = _known(socket).scope(_keys.given(socket))
    if scope is None:
        await socket.close(_NO_SUCH_KEY)
        return
    # Listening begins before the handshake ends: what the client does once it is connected is told.
    with live(socket).listening(scope) as listener:
        await socket.accept()
        gone = asyncio.create_task(_until_gone(socket, listener))
        try:
            with contextlib.suppress(WebSocketDisconnect):
                await _send(socket, listener)
        finally:
            gone.cancel()


async def _send(socket: WebSocket, listener: Subscriber) -> None:
    while (message := await listener.next()) is not None:
        await socket.send_text(message)
    await socket.close(_GOING_AWAY)


async def _until_gone(socket: WebSocket, listener: Subscriber) -> None:
    """A listener has nothing to say; whatever it sends is read only to notice that it goes."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
    listener.end()


def _known(connection: Request | WebSocket) -> ListenerKeys:
    found: ListenerKeys = connection.app.state.listener_keys
    return found


ROUTES = [
    Route("/bc/v1/live-events/realtime", listener_key, methods=["GET"]),
    WebSocketRoute("/", listen),
]
