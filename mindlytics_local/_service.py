"""The service as one object: its address, its file, its end."""

import atexit
import ipaddress
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from mindlytics_local import _prices
from mindlytics_local._app import create_app
from mindlytics_local._server import ServerThread, listen
from mindlytics_local._settings import Settings
from mindlytics_local.storage._store import Store

_FILE = "mindlytics.db"


class LocalService:
    """
    The service while it runs. Made by `start`; a context manager that stops it.

    Args:
        host: Name or address of the interface.

        port: The port; 0 for any free one.

        db: The SQLite file; None for a temporary one that goes with the service.

        settings: How it is to behave.

    Raises:
        OSError: The port or the file cannot be used.
    """

    def __init__(self, host: str, port: int, db: Path | None, settings: Settings) -> None:
        self._temporary = Path(tempfile.mkdtemp(prefix="mindlytics-")) if db is None else None
        self._db = db if db is not None else Path(self._temporary or "") / _FILE
        self._stop_lock = threading.Lock()
        self._running = False
        try:
            self._start(host, port, settings)
        finally:
            if not self._running:
                self._remove_temporary()

    @property
    def url(self) -> str:
        """The address to set as `MLSDK_SERVER_BASE`, and to open in a browser."""
        return self._url

    @property
    def live_url(self) -> str:
        """The address of the WebSocket for live events, where a client looks for it by itself."""
        return self._live_url

    @property
    def taken_port(self) -> int | None:
        """The port on which clients look for live events, if somebody else has it; then there is only `live_url`."""
        return self._taken_port

    @property
    def db(self) -> Path:
        """The SQLite file."""
        return self._db

    def stop(self) -> None:
        """Stop serving and close the file; a temporary one is deleted. A second call does nothing."""
        with self._stop_lock:
            if not self._running:
                return
            self._running = False
            self._server.stop()
            self._store.close()
            self._remove_temporary()
            atexit.unregister(self._remove_temporary)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self._running else "stopped"
        return f"<LocalService {self._url} {state}, {self._db}>"

    def _start(self, host: str, port: int, settings: Settings) -> None:
        listener = listen(host, port)
        self._store = Store(self._db)
        try:
            self._store.open()
        except BaseException:
            listener.close()
            raise
        self._url = _address(host, listener)
        listeners = [listener, *self._listen_for_live_events(host, listener)]
        self._live_url = _address(host, listeners[-1]).replace("http", "ws", 1)
        app = create_app(self._store, settings)
        self._server = ServerThread(app, app.state.live, listeners)
        self._server.start()
        self._running = True
        # Only the file goes at exit, the service does not stop: a client in this process may deliver until the end.
        atexit.register(self._remove_temporary)

    def _listen_for_live_events(self, host: str, listener: socket.socket) -> list[socket.socket]:
        """Clients of a service on port 300x look for its WebSocket on 400x."""
        port = str(listener.getsockname()[1])
        self._taken_port = None
        if not port.startswith("300"):
            return []
        try:
            return [listen(host, int(f"4{port[1:]}"))]
        except OSError:
            self._taken_port = int(f"4{port[1:]}")
            return []

    def _remove_temporary(self) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)


def start(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    db: str | Path | None = None,
    api_keys: Iterable[str] = (),
    admin_key: str | None = None,
    prices: str | Path | None = None,
) -> LocalService:
    """
    Run the service in a daemon thread of this process.

    Args:
        host: Name or address of the interface; the default is for this machine only.

        port: The port; 0 takes any free one.

        db: The SQLite file; None keeps everything in a temporary one that is deleted at the end.

        api_keys: The keys that are taken; without one, any is.

        admin_key: The key for wiping everything and for making keys.

        prices: A JSON file of what models cost, for a million tokens: `{"gpt-4o": {"prompt": 2.5, "completion": 10}}`.

    Raises:
        OSError: The port is in use, or a file cannot be used; the message says which.

        ValueError: The prices are no such table, or a key is empty or none that a header could carry.
    """
    settings = Settings(
        api_keys=tuple(api_keys),
        admin_key=admin_key,
        prices={} if prices is None else _prices.read(Path(prices)),
        loopback_only=is_loopback(host),
    )
    return LocalService(host, port, None if db is None else Path(db), settings)


def serve(service: LocalService, *, ready: Callable[[LocalService], None] | None = None) -> None:
    """
    Keep a service running until Ctrl-C or SIGTERM, then stop it. For the main thread.

    Args:
        service: The service, as `start` gives it.

        ready: Called once a signal would stop it.
    """
    asked = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: asked.set())
    try:
        if ready is not None:
            ready(service)
        # With a limit, because on Windows Ctrl-C does not end a wait without one.
        while not asked.wait(1.0):
            pass
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
        service.stop()


def is_loopback(host: str) -> bool:
    """
    Whether only this machine can reach an interface.

    Args:
        host: Its name or address.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(host: str, listener: socket.socket) -> str:
    port: int = listener.getsockname()[1]
    # The address for "every interface" is none that a client could call.
    name = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # not bound here
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
