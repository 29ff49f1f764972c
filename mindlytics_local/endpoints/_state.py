"""What every request handler can reach."""

from starlette.requests import HTTPConnection, Request

from mindlytics_local._settings import Settings
from mindlytics_local.live._broadcast import Broadcast
from mindlytics_local.storage._store import Store


def settings(request: Request) -> Settings:
    """How the service is to behave."""
    found: Settings = request.app.state.settings
    return found


def store(request: Request) -> Store:
    """The database."""
    found: Store = request.app.state.store
    return found


def live(request: HTTPConnection) -> Broadcast:
    """Who is watching."""
    found: Broadcast = request.app.state.live
    return found


def app_id(request: Request) -> str:
    """The project that the request names; empty when it names none."""
    return request.headers.get("X-App-ID", "").strip()
