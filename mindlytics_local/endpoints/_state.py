"""What every request handler can reach."""

import sqlite3
from collections.abc import Callable
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from mindlytics_local import _json
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


async def answered(request: Request, work: Callable[[sqlite3.Connection], Any]) -> Response:
    """
    Ask the database, and answer with what it says.

    Args:
        request: The request.

        work: Is given a connection that cannot write.
    """
    # Written where it was read, on a thread of the database: a large answer must not hold up everybody else.
    content = await store(request).read(lambda db: _json.answer(work(db)))
    return Response(content, media_type="application/json")
