"""Background responses: answers that are fetched later, by another request."""

from collections import OrderedDict
from typing import Any

from mindlytics_openai._recording import Recording

#: Jobs waited for at most; beyond it the oldest is given up.
_MOST = 1_000
_PREFIX = "/responses/"


class Jobs:
    """The recordings whose answers are still being made, by the response's id."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Recording] = OrderedDict()

    def keep(self, response_id: str, recording: Recording) -> None:
        """Wait for the answer to be fetched."""
        self._open[response_id] = recording
        while len(self._open) > _MOST:
            self._open.popitem(last=False)[1].give_up()

    def fetched_by(self, options: Any) -> Recording | None:
        """The recording whose answer a request fetches or cancels."""
        path = options.url.partition("?")[0]
        if not self._open or not path.startswith(_PREFIX):
            return None
        return self._open.get(path.removeprefix(_PREFIX).partition("/")[0])

    def discard(self, response_id: str) -> None:
        """The answer has come."""
        self._open.pop(response_id, None)


#: Shared by all clients: the one that fetches an answer need not be the one that asked for it.
JOBS = Jobs()
