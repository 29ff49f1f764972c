"""The endpoints that give back what was stored."""

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mindlytics_local._errors import Refused
from mindlytics_local.endpoints import _keys, _parameters
from mindlytics_local.endpoints._state import answered, app_id, live, store
from mindlytics_local.queries import _relations
from mindlytics_local.queries._collections import COLLECTIONS, Collection, Record, collection_named
from mindlytics_local.queries._query import Query, projected

_LIVE_EVENTS = 150

_Work: TypeAlias = Callable[[sqlite3.Connection], Any]


async def database(request: Request) -> Response:
    """Answer a question to a collection."""
    await _keys.check(request)
    collection = collection_named(request.path_params["collection"])
    op = request.path_params["op"]
    if op not in _OPS:
        raise Refused(f"there is no operation {op!r}; there are {', '.join(_OPS)}")
    asked = _parameters.query(request.query_params, collection)
    return await answered(request, _OPS[op](request, in_project(request, asked)))


async def wipe(request: Request) -> Response:
    """Forget everything."""
    await _keys.check_admin(request)
    await store(request).wipe()
    live(request).changed()
    return JSONResponse({"status": "ok"})


async def live_events(request: Request) -> Response:
    """Give the events of a stretch of time, latest first."""
    await _keys.check(request)
    params = request.query_params
    limit = _parameters.count(params, "limit", _LIVE_EVENTS)
    asked = in_project(request, Query(COLLECTIONS["events"], limit=limit).sorted({"timestamp": -1, "seq": -1}))
    asked = _parameters.within(asked, "timestamp", _parameters.time(params, "start"), _parameters.time(params, "end"))
    return await answered(request, lambda db: _relations.as_live(db, asked.find(db)))


def in_project(request: Request, asked: Query) -> Query:
    """
    The same question about one project, if the request names one.

    Args:
        request: The request.

        asked: The question.
    """
    project = app_id(request)
    return asked.filtered({"app_id": project}) if project else asked


def _find(request: Request, asked: Query) -> _Work:
    finish = _finisher(request, asked.collection)
    return lambda db: [finish(db, record) for record in asked.find(db)]


def _find_one(request: Request, asked: Query) -> _Work:
    finish = _finisher(request, asked.collection)
    return lambda db: next((finish(db, record) for record in asked.first(db)), None)


def _count(_: Request, asked: Query) -> _Work:
    return lambda db: {"count": asked.count(db)}


def _finisher(request: Request, collection: Collection) -> Callable[[sqlite3.Connection, Record], Record]:
    """What is done with each record that was found: relations in, and only what was asked for out."""
    names = _parameters.include(request.query_params)
    _relations.check(names, collection)
    wanted = _parameters.projection(request.query_params)

    def finish(db: sqlite3.Connection, record: Record) -> Record:
        related = _relations.included(db, record, names, collection)
        shown = record if wanted is None else projected(record, wanted)
        return shown | {name: related[name] for name in names}

    return finish


_OPS: Mapping[str, Callable[[Request, Query], _Work]] = {
    "find": _find,
    "findOne": _find_one,
    "count": _count,
}

ROUTES = [
    Route("/bc/v1/db/_cleanup", wipe, methods=["GET"]),
    Route("/bc/v1/db/{collection}/{op}", database, methods=["GET"]),
    Route("/bc/v1/live-events/events", live_events, methods=["GET"]),
]
