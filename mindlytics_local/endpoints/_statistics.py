"""The endpoint of figures over time, for the page's charts."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mindlytics_local._timestamps import now
from mindlytics_local.endpoints import _keys, _parameters
from mindlytics_local.endpoints._state import app_id, settings, store
from mindlytics_local.storage import _hourly_figures

_DEFAULT_HOURS = 7 * 24


async def statistics(request: Request) -> Response:
    """Give figures by the hour, and the prices that a cost can be reckoned from."""
    await _keys.check(request)
    start, end = (_parameters.time(request.query_params, name) for name in ("start", "end"))
    last = (end or now()).us
    first = start.us if start is not None else last - _DEFAULT_HOURS * _hourly_figures.HOUR_US
    project = app_id(request)
    figures = await store(request).read(lambda db: _hourly_figures.between(db, project, first, last))
    prices = {model: price.as_json() for model, price in settings(request).prices.items()}
    return JSONResponse({**figures, "prices": prices})


ROUTES = [Route("/statistics", statistics, methods=["GET"])]
