"""The parameters of a query, as they stand in an address."""

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import QueryParams

from mindlytics_local import _json
from mindlytics_local._errors import Refused
from mindlytics_local._timestamps import Timestamp, parse_timestamp
from mindlytics_local.queries._collections import Collection
from mindlytics_local.queries._query import Query

_COUNT_DIGITS = 9
#: How many records are given back where the request sets no limit: the default of the API document.
_MOST_RECORDS = 100_000


def query(params: QueryParams, collection: Collection) -> Query:
    """
    Read `filter`, `sort`, `limit` and `skip`.

    Args:
        params: The address's parameters.

        collection: What is asked for.

    Raises:
        Refused: One of them cannot be understood.
    """
    asked = Query(collection, limit=limit(params), skip=count(params, "skip") or 0)
    if params.get("filter"):
        asked = asked.filtered(_json.read(params["filter"], "filter"))
    return asked.sorted(_json.read(params["sort"], "sort")) if params.get("sort") else asked


def projection(params: QueryParams) -> Mapping[str, Any] | None:
    """
    Read `projection`.

    Args:
        params: The address's parameters.

    Raises:
        Refused: It is not a JSON object.
    """
    if not params.get("projection"):
        return None
    wanted = _json.read(params["projection"], "projection")
    if not isinstance(wanted, dict):
        raise Refused('projection must be a JSON object, such as {"session_id": 1}')
    return wanted or None


def include(params: QueryParams) -> list[str]:
    """
    Read `include`: a JSON list, or the parameter several times.

    Args:
        params: The address's parameters.

    Raises:
        Refused: It is neither.
    """
    given = params.getlist("include")
    if len(given) == 1 and given[0].startswith("["):
        read = _json.read(given[0], "include")
        if not all(isinstance(name, str) for name in read):
            raise Refused('include must be a JSON list of names, such as ["events"]')
        given = read
    return [name for name in given if name]


def count(params: QueryParams, name: str, default: int | None = None) -> int | None:
    """
    Read a whole number of at least 0.

    Args:
        params: The address's parameters.

        name: The parameter's name.

        default: What it is when it is not given.

    Raises:
        Refused: It is anything else.
    """
    given = params.get(name)
    if not given:
        return default
    # Nine digits are enough for anybody, and far below what SQLite counts.
    if not (given.isascii() and given.isdecimal() and len(given) <= _COUNT_DIGITS):
        raise Refused(f"{name} must be a whole number of at least 0")
    return int(given)


def limit(params: QueryParams) -> int:
    """
    Read `limit`.

    Args:
        params: The address's parameters.

    Raises:
        Refused: It is not a whole number.
    """
    return count(params, "limit") or _MOST_RECORDS


def time(params: QueryParams, name: str) -> Timestamp | None:
    """
    Read a point in time.

    Args:
        params: The address's parameters.

        name: The parameter's name.

    Raises:
        Refused: It is not one.
    """
    given = params.get(name)
    if not given:
        return None
    try:
        # An unescaped plus in an address arrives as a space.
        return parse_timestamp(given.replace(" ", "+") if "T" in given else given)
    except ValueError as error:
        raise Refused(f"{name}: {error}") from None


def within(asked: Query, field: str, start: Timestamp | None, end: Timestamp | None) -> Query:
    """
    The same question about a stretch of time, both ends included.

    Args:
        asked: The question.

        field: The field that holds the time.

        start: Where it begins, if it does.

        end: Where it ends, if it does.
    """
    if start is not None:
        asked = asked.filtered({field: {"$gte": start.text}})
    return asked.filtered({field: {"$lte": end.text}}) if end is not None else asked
