"""Requests that are answered at once: one attempt each, and an error of ours where it fails."""

import asyncio
from collections.abc import Mapping
from typing import Any

from mindlytics_core import _config, _model, _wire
from mindlytics_core._config import Delivery, Destination
from mindlytics_core._transport import headers, http_library, shown
from mindlytics_core.exceptions import InvalidArgument, RequestFailed

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
#: What the public SDK gives as the status where there was no answer.
_NO_STATUS = -1


class Requests:
    """
    Makes single requests, outside the queue.

    Args:
        destination: Where to, and as whom.

        options: The limits of an attempt.
    """

    def __init__(self, destination: Destination, options: Delivery) -> None:
        self._destination = destination
        self._options = options

    async def send(self, method: str, path: str, data: Mapping[str, Any]) -> Any:
        """
        Make one request and give the JSON that it is answered with.

        Args:
            method: `GET`, `POST`, `PUT` or `PATCH`.

            path: The part of the address after the endpoint.

            data: The body, or the query of a `GET`.

        Raises:
            InvalidArgument: The method is none of these, the path no text, or the data no mapping that JSON can carry.

            RequestFailed: The service refused, or gave no answer in time, or none that is JSON.
        """
        path = _model.check_text("url", path)
        arguments = _arguments(method, data)
        http = http_library()
        limit = self._options.attempt_timeout
        try:
            async with asyncio.timeout(limit), self._connection(http) as connection:
                response = await connection.request(method, path, **arguments)
        except TimeoutError:
            raise RequestFailed(f"no answer within {limit:g} s") from None
        except (http.HTTPError, http.InvalidURL, OSError) as error:
            raise RequestFailed(f"no answer: {type(error).__name__}") from error
        return _read(response)

    def _connection(self, http: Any) -> Any:
        options = self._options
        return http.AsyncClient(
            base_url=self._destination.endpoint,
            headers=headers(self._destination),
            timeout=http.Timeout(options.attempt_timeout, connect=options.connect_timeout),
        )


class HTTPClient:
    """
    Requests to any of the service's endpoints.

    Args:
        api_key: The organisation's key; without it `MLSDK_API_KEY`.

        project_id: The project; without it `MLSDK_PROJECT_ID`.

        server_endpoint: The service's address; without it `MLSDK_SERVER_BASE`, else the public one.

        debug: Kept for the public SDK's users.

    Raises:
        ConfigurationError: A key or project id is missing, or the address is none.
    """

    def __init__(
        self,
        api_key: str | None = None,
        project_id: str | None = None,
        server_endpoint: str | None = None,
        *,
        debug: bool | None = False,
    ) -> None:
        destination = _config.load(api_key, project_id, server_endpoint, None).destination
        self.api_key = destination.api_key
        self.project_id = destination.project_id
        self.server_endpoint = destination.endpoint
        self.debug = bool(debug)
        self._requests = Requests(destination, Delivery())

    def __repr__(self) -> str:
        return f"<HTTPClient of project {self.project_id!r} at {self.server_endpoint}>"

    async def send_request(self, *, method: str, url: str, data: Mapping[str, Any] | None = None) -> Any:
        """
        Make one request; gives the answer, or `{"errored": True, "status": …, "message": …}`. Never raises.

        Args:
            method: `GET`, `POST`, `PUT` or `PATCH`.

            url: The part of the address after the endpoint, such as `/bc/v1/user/list`.

            data: The body, or the query of a `GET`.
        """
        try:
            return await self._requests.send(method, url, data or {})
        except (InvalidArgument, RequestFailed) as error:
            status = getattr(error, "status", 0)
            return {"errored": True, "status": status or _NO_STATUS, "message": getattr(error, "message", str(error))}


def _arguments(method: str, data: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise InvalidArgument(f"data must be a mapping of names to values, not a {type(data).__name__}")
    if method == "GET":
        return {"params": dict(data)}
    if method not in _WITH_BODY:
        raise InvalidArgument(f"method must be GET, POST, PUT or PATCH, not {str(method)[:20]!r}")
    return {"content": _wire.write(data)}


def _read(response: Any) -> Any:
    if not response.is_success:
        raise RequestFailed(shown(response), status=response.status_code)
    try:
        return response.json()
    except ValueError:
        raise RequestFailed("the answer is no JSON", status=response.status_code) from None
