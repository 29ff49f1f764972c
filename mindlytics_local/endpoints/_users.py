"""The endpoints about users, outside sessions."""

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mindlytics_core import _shapes, _wire
from mindlytics_core.exceptions import InvalidArgument
from mindlytics_local import _json
from mindlytics_local._errors import Refused
from mindlytics_local._timestamps import now
from mindlytics_local.endpoints import _body, _keys, _parameters
from mindlytics_local.endpoints._database import in_project
from mindlytics_local.endpoints._state import answered, app_id, store
from mindlytics_local.model import _identity
from mindlytics_local.model._identity import Sighting
from mindlytics_local.model._received_events import ALIAS, IDENTIFY, plain
from mindlytics_local.model._record_store import RecordStore
from mindlytics_local.model._records import ORGANIZATION, User
from mindlytics_local.queries import _relations
from mindlytics_local.queries._collections import COLLECTIONS, Record, user
from mindlytics_local.queries._query import Query
from mindlytics_local.storage._record_rows import SQLiteRecords


async def identify(request: Request) -> Response:
    """Name a user or a device, and say something about them."""
    await _keys.check(request)
    sent = await _sent(request, IDENTIFY)
    if "id" not in sent and "device_id" not in sent:
        raise Refused("identify needs an id or a device_id")
    seen = Sighting(app_id(request), now(), device_id=sent.get("device_id"))
    user_id, traits = sent.get("id"), sent.get("traits", {})
    return await _decided(request, lambda records: _identity.identified(seen, user_id, traits, records))


async def alias(request: Request) -> Response:
    """Make two ids one user."""
    await _keys.check(request)
    sent = await _sent(request, ALIAS)
    seen = Sighting(app_id(request), now())
    return await _decided(request, lambda records: _identity.aliased(seen, sent["id"], sent["previous_id"], records))


async def everybody(request: Request) -> Response:
    """List the users."""
    await _keys.check(request)
    params = request.query_params
    if params.get("regex"):
        raise Refused("regex: not known to the local service; ask /bc/v1/db/users/find with a filter")
    limit, skip = _parameters.limit(params), _parameters.count(params, "offset")
    asked = in_project(request, Query(COLLECTIONS["users"], limit=limit, skip=skip or 0))
    if params.get("sort"):
        asked = asked.sorted(_sort(_json.read(params["sort"], "sort")))
    users, total = await store(request).read(lambda db: (asked.find(db), asked.count(db)))
    return JSONResponse({"users": users, "total": total})


async def conversation(request: Request) -> Response:
    """Give what was said in a conversation."""
    await _keys.check(request)
    params = request.query_params
    wanted_id = _required(request, "conversation_id")
    limit, skip = _parameters.limit(params), _parameters.count(params, "offset")
    wanted = {"conversation_id": wanted_id, "event": _wire.CONVERSATION_TURN}
    asked = in_project(
        request, Query(COLLECTIONS["events"], limit=limit, skip=skip or 0).filtered(wanted).sorted({"timestamp": 1})
    )
    records = await store(request).read(lambda db: _turns(db, asked, params.get("user_id")))
    return JSONResponse([_said(record) for record in records])


async def details(request: Request) -> Response:
    """Give a user with all their sessions, latest first, and the events in them."""
    await _keys.check(request)
    params = request.query_params
    wanted = _required(request, "user_id")
    limit, skip = _parameters.limit(params), _parameters.count(params, "offset")
    who = in_project(request, Query(COLLECTIONS["users"]).filtered({"$or": [{"user_id": wanted}, {"aliases": wanted}]}))
    return await answered(request, lambda db: _with_sessions(db, _one(who, db, wanted), limit, skip or 0))


async def event(request: Request) -> Response:
    """Give one event."""
    await _keys.check(request)
    wanted = _required(request, "event_id")
    asked = in_project(request, Query(COLLECTIONS["events"]).filtered({"event_id": wanted}))
    found = await store(request).read(lambda db: _relations.as_live(db, asked.first(db)))
    if not found:
        raise Refused(f"there is no event {wanted!r}", status=404)
    return JSONResponse(found[0])


async def make_key(request: Request) -> Response:
    """Make an API key."""
    await _keys.check_admin(request)
    return JSONResponse({"organization_id": ORGANIZATION, "apikey": await _keys.make(request)})


def _required(request: Request, name: str) -> str:
    given = request.query_params.get(name)
    if not given:
        raise Refused(f"{name} is missing")
    return given


def _one(who: Query, db: sqlite3.Connection, wanted: str) -> Record:
    for found in who.first(db):
        return found
    raise Refused(f"there is no user {wanted!r}", status=404)


def _with_sessions(db: sqlite3.Connection, found: Record, limit: int, skip: int) -> Record:
    page = (found["user_id"], limit, skip)
    rows = db.execute(
        "SELECT * FROM sessions WHERE user_key = ? ORDER BY started_us DESC, rowid DESC LIMIT ? OFFSET ?", page
    ).fetchall()
    sessions = COLLECTIONS["sessions"].records(rows)
    for session, row in zip(sessions, rows, strict=True):
        session["duration"] = None if row["ended_us"] is None else (row["ended_us"] - row["started_us"]) // 1000
        session["user_id"] = session["user_id"] or found["id"]
        session["user_traits"] = found["traits"]
        within = {"session_id": session["session_id"], "app_id": session["app_id"]}
        events = Query(COLLECTIONS["events"]).filtered(within).sorted({"timestamp": 1})
        session["events"] = _relations.as_live(db, events.find(db))
    return {**found, "sessions": sessions}


async def _sent(request: Request, kind: str) -> Mapping[str, Any]:
    sent = _json.read(await _body.read(request), "the body")
    if not isinstance(sent, dict):
        raise Refused("the body must be a JSON object")
    try:
        # The same fields as those of the event, which alone has a session.
        return _shapes.check({**sent, "type": kind, "session_id": "none"})
    except InvalidArgument as error:
        raise Refused(f"{kind}: {plain(error)}") from None


async def _decided(request: Request, decide: Callable[[RecordStore], User]) -> Response:
    return JSONResponse(await store(request).write(lambda db: _shown(db, decide(SQLiteRecords(db)))))


def _shown(db: sqlite3.Connection, decided: User) -> Record:
    return user(db.execute("SELECT * FROM users WHERE user_key = ?", (decided.user_key,)).fetchone())


def _sort(given: object) -> object:
    """The API document's `{"value": field, "order": "asc"}` as a sort like any other."""
    if isinstance(given, dict) and set(given) == {"value", "order"}:
        return {str(given["value"]): given["order"]}
    return given


def _turns(db: sqlite3.Connection, asked: Query, user_id: str | None) -> list[Record]:
    """The turns; when a user is named, by the service's id or any of the app's, only those of their sessions."""
    records = asked.find(db)
    if not user_id:
        return records
    rows = db.execute(
        "SELECT session_id, sessions.app_id FROM sessions JOIN user_names USING (user_key)"
        " WHERE user_key = ? OR (kind = 'alias' AND name = ?)",
        (user_id, user_id),
    )
    theirs = {(row["session_id"], row["app_id"]) for row in rows}
    return [record for record in records if (record["session_id"], record["app_id"]) in theirs]


def _said(record: Record) -> Record:
    return {side: record["properties"][side] for side in ("user", "assistant")}


ROUTES = [
    Route("/bc/v1/user/list", everybody, methods=["GET"]),
    Route("/bc/v1/user/details", details, methods=["GET"]),
    Route("/bc/v1/user/event", event, methods=["GET"]),
    Route("/bc/v1/user/conversation", conversation, methods=["GET"]),
    Route("/bc/v1/user/identify", identify, methods=["POST"]),
    Route("/bc/v1/user/alias", alias, methods=["POST"]),
    Route("/bc/v1/orgkeys", make_key, methods=["POST"]),
]
