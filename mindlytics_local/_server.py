"""A web server in a thread of its own, which leaves the rest of the process alone."""

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Sequence
from typing import Any

import uvicorn
from starlette.applications import Starlette

from mindlytics_local.live._broadcast import Broadcast

_THREAD = "mindlytics-local"
#: How long a client may take to read the answer it is being sent when the service stops, in seconds.
_GRACE_SECONDS = 1.0
#: How long a connection is kept between requests, in seconds; longer than clients keep theirs, so that they close.
_KEEP_ALIVE_SECONDS = 75
_BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """
    Take a port.

    Args:
        host: Name or address of the interface.

        port: The port; 0 for any free one.

    Raises:
        OSError: It cannot be had; the message names it.
    """
    try:
        return _bound(*socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0])
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"cannot listen on {host} port {port}: {reason}") from error


def _bound(family: int, kind: int, protocol: int, _name: str, address: tuple[Any, ...]) -> socket.socket:
    # With its protocol named, or asyncio would not see that it is TCP and leave Nagle's delay of 40 ms per answer on.
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            # A port whose last connections are still fading out may be taken; one that is listened on may not.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


class ServerThread:
    """
    A web server in a daemon thread, with an event loop of its own.

    Args:
        app: What is served.

        live: Its open streams, which have to be ended before the server can stop.

        listeners: The sockets that it listens on; closed when it stops.
    """

    def __init__(self, app: Starlette, live: Broadcast, listeners: Sequence[socket.socket]) -> None:
        self._live = live
        self._listeners = list(listeners)
        self._server = _Server(
            uvicorn.Config(
                app,
                http="h11",
                ws="websockets-sansio",
                lifespan="off",
                log_config=None,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            )
        )
        self._thread = threading.Thread(target=self._run, name=_THREAD, daemon=True)
        self._loop = asyncio.SelectorEventLoop()
        self._stopping = asyncio.Event()

    def start(self) -> None:
        """
        Start serving, and come back once connections are taken.

        Raises:
            OSError: It could not be started.
        """
        _silence()
        self._thread.start()
        self._server.ready.wait()
        if not self._server.started:
            raise OSError("the web server did not start")

    def stop(self) -> None:
        """End open streams, let answers under way finish, and stop."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        # A selector loop whatever the host's policy: others do not survive a fork of the process.
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        finally:
            # Also when it never came to serving: somebody waits for it.
            self._server.ready.set()

    async def _serve(self) -> None:
        serving = asyncio.create_task(self._server.serve(sockets=self._listeners))
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        self._live.close()
        self._server.should_exit = True
        _, unfinished = await asyncio.wait({serving}, timeout=_GRACE_SECONDS)
        if unfinished:
            self._server.abort_connections()
        await serving


class _Server(uvicorn.Server):
    """Says when it is ready, and can hang up on clients that do not read."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.ready.set()

    def abort_connections(self) -> None:
        for connection in list(self.server_state.connections):
            transport = connection.transport
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()


class _OnlyOthers(logging.Filter):
    """Keeps what the server of this thread chats about out of the host's logs; its faults are let through."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.threadName != _THREAD or record.levelno >= logging.ERROR


_ONLY_OTHERS = _OnlyOthers()


def _silence() -> None:
    # The host may run a web server by the same library: its loggers keep their levels and handlers.
    for name in ("uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logging.getLogger(name).addFilter(_ONLY_OTHERS)
