"""The endpoints that take events."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mindlytics_local._errors import Refused
from mindlytics_local.endpoints import _body, _keys
from mindlytics_local.endpoints._state import app_id, live, store
from mindlytics_local.model import _received_events
from mindlytics_local.model._received_events import KINDS, ReceivedEvent, RefusedEvent
from mindlytics_local.queries._collections import Record
from mindlytics_local.storage import _event_rows
from mindlytics_local.storage._store import Added

_KEY_CHARS = 200


async def queue(request: Request) -> Response:
    """Take an array of events, or one; they can be read back as soon as this is answered."""
    await _keys.check(request)
    body = await _body.read(request)
    with _faults_told(request):
        events = _received_events.read_several(body, app_id(request))
        if events:
            await _add(request, events)
    return JSONResponse({"status": "ok"})


async def event(request: Request) -> Response:
    """Take one event, and answer with what became of it."""
    await _keys.check(request)
    kind = request.path_params.get("kind")
    if kind is not None and kind not in KINDS:
        raise Refused(f"there is no kind of event {kind!r}; there are {', '.join(KINDS)}", status=404)
    body = await _body.read(request)
    with _faults_told(request):
        added = await _add(request, [_received_events.read_single(body, app_id(request), kind)])
    return JSONResponse(await _read_back(request, added))


async def _add(request: Request, events: Sequence[ReceivedEvent]) -> Added:
    added = await store(request).add(events, _delivery(request))
    if added.outcomes:
        live(request).tell(added.outcomes)
        if live(request).pages:
            live(request).show(await _read_back(request, added))
    return added


@contextmanager
def _faults_told(request: Request) -> Iterator[None]:
    """Whoever listens or looks at the page hears of an event that could not be taken, besides who sent it."""
    try:
        yield
    except RefusedEvent as refused:
        live(request).fault(refused.text, app_id(request), refused.session_id)
        raise


async def _read_back(request: Request, added: Added) -> list[Record]:
    return await store(request).read(lambda db: _event_rows.numbered(db, added.seqs))


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
