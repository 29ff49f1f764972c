"""What every request handler can reach."""

from starlette.requests import HTTPConnection, Request

from mindlytics_local._live import Live
from mindlytics_local._settings import Settings
from mindlytics_local._store import Store


def settings(request: Request) -> Settings:
    """How the service is to behave."""
    found: Settings = request.app.state.settings
    return found


def store(request: Request) -> Store:
    """The database."""
    found: Store = request.app.state.store
    return found


def live(request: HTTPConnection) -> Live:
    """Who is watching."""
    found: Live = request.app.state.live
    return found


def app_id(request: Request) -> str:
    """The project that the request names; empty when it names none."""
    return request.headers.get("X-App-ID", "").strip()
