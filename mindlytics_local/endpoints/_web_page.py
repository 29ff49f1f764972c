"""The endpoints for people: the page, its live stream, and whether the service is well."""

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from mindlytics_core._version import __version__
from mindlytics_local.endpoints import _keys
from mindlytics_local.endpoints._state import live
from mindlytics_local.page._document import Page


async def show_page(request: Request) -> Response:
    """The page; it holds no data, and asks for a key itself where one is needed."""
    page: Page = request.app.state.page
    headers = {
        "Content-Security-Policy": page.policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    return HTMLResponse(page.html, headers=headers)


async def health(_: Request) -> Response:
    """Say that the service is up."""
    return JSONResponse({"status": "ok", "version": __version__})


async def watch(request: Request) -> Response:
    """New events as they are stored, as Server-Sent Events."""
    await _keys.check(request)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(live(request).stream(), media_type="text/event-stream", headers=headers)


ROUTES = [
    Route("/", show_page, methods=["GET"]),
    Route("/health", health, methods=["GET"]),
    Route("/live", watch, methods=["GET"]),
]
