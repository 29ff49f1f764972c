"""The endpoints that take events."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mindlytics_local import _arrival, _body, _events, _keys
from mindlytics_local._arrival import KINDS
from mindlytics_local._collections import Record
from mindlytics_local._context import app_id, live, store
from mindlytics_local._refusal import Refused
from mindlytics_local._store import Added

_KEY_CHARS = 200


async def queue(request: Request) -> Response:
    """Take an array of events, or one; they can be read back as soon as this is answered."""
    await _keys.check(request)
    arrivals = _arrival.several(await _body.read(request), app_id(request))
    if arrivals:
        added = await store(request).add(arrivals, _delivery(request))
        if added.new and live(request).watchers:
            live(request).publish(await _read_back(request, added))
    return JSONResponse({"status": "ok"})


async def event(request: Request) -> Response:
    """Take one event, and answer with what became of it."""
    await _keys.check(request)
    kind = request.path_params.get("kind")
    if kind is not None and kind not in KINDS:
        raise Refused(f"there is no kind of event {kind!r}; there are {', '.join(KINDS)}", status=404)
    arrival = _arrival.single(await _body.read(request), app_id(request), kind)
    added = await store(request).add([arrival], _delivery(request))
    records = await _read_back(request, added)
    if added.new:
        live(request).publish(records)
    return JSONResponse(records)


async def _read_back(request: Request, added: Added) -> list[Record]:
    return await store(request).read(lambda db: _events.numbered(db, added.seqs))


def _delivery(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and len(key) > _KEY_CHARS:
        raise Refused(f"the Idempotency-Key is longer than {_KEY_CHARS} characters")
    return key or None


ROUTES = [
    Route("/bc/v1/events/queue", queue, methods=["POST"]),
    Route("/bc/v1/events/event", event, methods=["POST"]),
    Route("/bc/v1/events/event/{kind}", event, methods=["POST"]),
]
