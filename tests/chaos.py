"""
A loopback HTTP server that answers by a script, and records what it was asked.

Raw sockets, one thread a connection: nothing between a test and the faults that it wants. Once the script is
used up, every request is answered with 200.
"""

import collections
import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BufferedReader
from typing import Any, Self

_GIVEN_UP_AFTER = 10.0
_DRIPS_EVERY = 0.1
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Reply:
    """
    What to do with one request.

    Attributes:
        then: `answer`; `reset` the connection after some bytes of the answer; `hang` for ever; `close` the
            connection after the answer without having announced it; `drip` the answer, byte by byte.

        after: How many bytes of the answer leave before a reset.

        gate: Wait for this before anything else.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: str = '{"status":"ok"}'
    then: str = "answer"
    after: int = 0
    gate: threading.Event | None = None


@dataclass(frozen=True)
class Request:
    """One request as it arrived; `connection` counts from 1."""

    connection: int
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


class Chaos:
    """The server. `script(...)` for the next requests in order; `decide` judges what no script names."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.decide: Callable[[Request], Reply] = lambda _: Reply()
        self.connections = 0
        #: Whether it keeps no request, because there will be too many.
        self.forgets = False
        #: With it the server speaks TLS.
        self.tls: ssl.SSLContext | None = None
        #: Most requests that were being answered at once.
        self.most_at_once = 0
        self._at_once = 0
        self._script: collections.deque[Reply] = collections.deque()
        self._cuts: collections.deque[int] = collections.deque()
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self.port = 0
        self.listen()
        self.url = f"http://127.0.0.1:{self.port}"

    def script(self, *replies: Reply) -> None:
        """Answer the next requests so."""
        self._script.extend(replies)

    def cut(self, after: int) -> None:
        """Reset the connection of the next request when so many bytes of it have been read; it must be longer."""
        self._cuts.append(after)

    def listen(self) -> None:
        """Take connections, on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._spawn(self._accept, self._listener)

    def refuse(self) -> None:
        """Refuse connections, and drop those that are open."""
        assert self._listener is not None
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def wait_for(self, count: int) -> None:
        """Wait until so many requests have arrived."""
        self.wait_until(lambda: len(self.requests) >= count)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; looked at again with every connection and request."""
        with self._changed:
            assert self._changed.wait_for(condition, _GIVEN_UP_AFTER), f"only {len(self.requests)} requests"

    def events(self) -> list[dict[str, Any]]:
        """The events of all requests, in the order of arrival, refused ones too."""
        return [event for request in self.requests for event in request.json]

    def names(self) -> list[str]:
        """The names of the tracked events among them."""
        return [event["event"] for event in self.events() if "event" in event]

    def close(self) -> None:
        self._stopped.set()
        self.refuse()
        for thread in self._threads:
            thread.join(_GIVEN_UP_AFTER)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _spawn(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with self._changed:
                    self.connections += 1
                    self._changed.notify_all()
                if self.tls is not None:
                    connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                self._open.add(connection)
                self._spawn(self._serve, connection, self.connections)

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection, connection.makefile("rb") as stream, contextlib.suppress(OSError):
            while stream.peek(1):
                if self._cuts:
                    stream.read(self._cuts.popleft())
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    break
                request = _read(stream, number)
                if request is None or not self._answered(connection, request):
                    break
        self._open.discard(connection)

    def _answered(self, connection: socket.socket, request: Request) -> bool:
        """Answer one request; whether the connection stays."""
        with self._changed:
            if not self.forgets:
                self.requests.append(request)
            reply = self._script.popleft() if self._script else self.decide(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self._changed.notify_all()
        if reply.gate is not None:
            reply.gate.wait(_GIVEN_UP_AFTER)
        with self._changed:
            self._at_once -= 1
        answer = _answer(reply)
        if reply.then == "hang":
            self._stopped.wait(_GIVEN_UP_AFTER)
        elif reply.then == "drip":
            for byte in answer:
                connection.sendall(bytes([byte]))
                self._stopped.wait(_DRIPS_EVERY)
        elif reply.then == "reset":
            connection.sendall(answer[: reply.after])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        else:
            connection.sendall(answer)
        return reply.then == "answer"


def _read(stream: BufferedReader, connection: int) -> Request | None:
    line = stream.readline()
    if not line:
        return None
    headers: dict[str, str] = {}
    while (field_line := stream.readline().strip()) != b"":
        name, _, value = field_line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    raw = stream.read(length)
    if len(raw) < length:
        return None
    return Request(connection, line.split()[1].decode(), headers, raw)


def _answer(reply: Reply) -> bytes:
    body = reply.body.encode()
    lines = [f"HTTP/1.1 {reply.status} scripted", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body
