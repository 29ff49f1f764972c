"""A request's body, bounded while it is read."""

from starlette.requests import Request

from mindlytics_local._errors import Refused
from mindlytics_local.endpoints._state import settings

#: How much of a body that is too large is still taken from the wire, unkept: a client that writes into a closed
#: connection never sees the answer that says why.
_DRAINED_BYTES = 64 * 1024 * 1024


async def read(request: Request) -> bytes:
    """
    Read a body.

    Args:
        request: The request.

    Raises:
        Refused: It is larger than the settings allow (413), or compressed (415).
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refused("send the body without Content-Encoding", status=415)
    limit = settings(request).max_body_bytes
    _refuse_announced(request, limit)
    kept, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            kept += chunk
        elif size > limit + _DRAINED_BYTES:
            break
    if size > limit:
        raise _too_large(limit)
    return bytes(kept)


def _refuse_announced(request: Request, limit: int) -> None:
    announced = request.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > limit + _DRAINED_BYTES:
        raise _too_large(limit)


def _too_large(limit: int) -> Refused:
    return Refused(f"the body is larger than {limit} bytes; send fewer events at once", status=413)
