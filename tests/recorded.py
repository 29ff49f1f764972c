"""
Recordings of the small real model: how they are made and played.

A test marked `recorded` asks the fixture `model` whom to talk to. `make record` starts the real one and writes
what it says beside the test; otherwise its words are played from there, and it need not be installed.
"""

from typing import Any

from mindlytics_local.demo._model import Model

#: The model as recordings know it: the port of the real one is another each time.
PLAYED = Model("smollm2-135m", "http://model.test/v1", "none")
#: What is kept of headers: the rest is about the machine that recorded, or whose key it was.
KEPT_HEADERS = {"content-type"}


def _anonymous(request: Any) -> Any:
    """A request without its address; what goes to the Mindlytics service is not recorded, and really goes there."""
    if not request.path.startswith("/v1/"):
        return None
    request.uri = PLAYED.base_url.removesuffix("/v1") + request.path
    request.headers = _kept(request.headers)
    return request


def _bare(response: Any) -> Any:
    return {**response, "headers": _kept(response["headers"])}


def _kept(headers: Any) -> dict[str, Any]:
    return {name.lower(): value for name, value in headers.items() if name.lower() in KEPT_HEADERS}


#: For vcr. The same question has one answer in a test, however often it is asked.
VCR_CONFIG = {
    "match_on": ["method", "path", "body"],
    "allow_playback_repeats": True,
    "before_record_request": _anonymous,
    "before_record_response": _bare,
}
