"""The service as an ASGI app."""

import sqlite3

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from mindlytics_local._errors import Refused
from mindlytics_local._settings import Settings
from mindlytics_local.endpoints import _database, _ingestion, _realtime, _statistics, _users, _web_page
from mindlytics_local.endpoints._origin_guard import OriginGuard
from mindlytics_local.endpoints._realtime import ListenerKeys
from mindlytics_local.live._broadcast import Broadcast
from mindlytics_local.page._document import page
from mindlytics_local.storage._store import Store


def create_app(store: Store, settings: Settings) -> Starlette:
    """
    Build the service.

    Args:
        store: The database, open; it stays the caller's to close.

        settings: How the service is to behave.
    """
    app = Starlette(
        routes=[
            *_ingestion.ROUTES,
            *_database.ROUTES,
            *_users.ROUTES,
            *_realtime.ROUTES,
            *_statistics.ROUTES,
            *_web_page.ROUTES,
        ],
        middleware=[Middleware(OriginGuard, loopback_only=settings.loopback_only)],
        exception_handlers={Refused: _refused, sqlite3.Error: _not_stored},
    )
    # An address is either right or unknown; a redirect would lose a client's body.
    app.router.redirect_slashes = False
    app.state.store, app.state.settings = store, settings
    app.state.live, app.state.page = Broadcast(), page()
    app.state.listener_keys = ListenerKeys()
    return app


async def _refused(_: Request, error: Exception) -> Response:
    refusal = error if isinstance(error, Refused) else Refused(str(error))
    headers = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else None  # noqa: PLR2004  # HTTP's own number
    return PlainTextResponse(refusal.text, status_code=refusal.status, headers=headers)


async def _not_stored(_: Request, error: Exception) -> Response:
    """A full or broken disk: 503, so that a client keeps what it has and tries again."""
    return PlainTextResponse(f"the database cannot be used now: {error}", status_code=503)
