"""Which requests are recorded, what is taken off them and what is added; the app's own objects stay as they are."""

import enum
from collections.abc import Mapping
from typing import Any

from mindlytics_core import Ids
from mindlytics_openai._chat import CHAT
from mindlytics_openai._completions import COMPLETIONS
from mindlytics_openai._openai import openai
from mindlytics_openai._responses import RESPONSES
from mindlytics_openai._surface import NO_IDS, Surface

_PREFIX = "x-mindlytics-"
_ID_HEADERS = {
    "x-mindlytics-user-id": "user_id",
    "x-mindlytics-device-id": "device_id",
    "x-mindlytics-session-id": "session_id",
    "x-mindlytics-conversation-id": "conversation_id",
}
_RAW_HEADER = "x-stainless-raw-response"
_SURFACES = {"/chat/completions": CHAT, "/completions": COMPLETIONS, "/responses": RESPONSES}


class RawMode(enum.Enum):
    """How the app asked for the HTTP response."""

    NONE = "the app gets the answer itself"
    READ = "with_raw_response: the app gets the response, and may parse it"
    UNREAD = "with_streaming_response: the app gets the response, and reads it"


def surface_of(options: Any) -> Surface | None:
    """How the request is read, or None when it is not one that is recorded."""
    surface = _SURFACES.get(options.url) or _SURFACES.get("/" + options.url.partition("?")[0].strip("/"))
    return surface if surface is not None and options.method.lower() == "post" else None


def body_of(options: Any) -> Mapping[str, Any]:
    """The body as it will be sent."""
    body = options.json_data if isinstance(options.json_data, dict) else {}
    return {**body, **options.extra_json} if options.extra_json else body


def raw_mode(options: Any) -> RawMode:
    """How the app asked for the HTTP response."""
    for name, value in (options.headers or {}).items():
        if name.lower() == _RAW_HEADER:
            return RawMode.UNREAD if value == "stream" else RawMode.READ
    return RawMode.NONE


def without_ids(options: Any, default_headers: Mapping[str, Any]) -> tuple[Any, Ids]:
    """
    The request without our headers, and the ids that they held.

    Args:
        options: The request.

        default_headers: Headers that the client sends with each request; the request's own win.
    """
    given: dict[str, Any] = {}
    headers = dict(options.headers or {})
    for name in default_headers:
        if name.lower().startswith(_PREFIX):
            given[name.lower()] = default_headers[name]
            headers[name] = openai.Omit()
    for name in options.headers or ():
        if name.lower().startswith(_PREFIX):
            given[name.lower()] = headers[name]
            headers[name] = openai.Omit()
    if not given:
        return options, NO_IDS
    ids = {field: given.get(name) for name, field in _ID_HEADERS.items()}
    named = {field: value for field, value in ids.items() if isinstance(value, str) and value}
    return options.model_copy(update={"headers": headers}), Ids(**named)


def with_usage(options: Any) -> Any:
    """The request, asking for the usage of its stream."""
    return options.model_copy(update={"json_data": {**options.json_data, "stream_options": {"include_usage": True}}})
