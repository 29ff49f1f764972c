"""Background responses: answers that are fetched later, by another request, whole or as a stream."""

from collections import OrderedDict
from typing import Any

from mindlytics_openai._recording import Recording
from mindlytics_openai._surface import Answer

#: Jobs waited for at most; beyond it the oldest is given up.
_MOST = 1_000
_PREFIX = "/responses/"
#: What follows the id in the path of a request whose answer is the response, by method.
_FETCHES = {"get": "", "post": "/cancel"}


class Jobs:
    """The recordings whose answers are still being made, by the response's id."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Recording] = OrderedDict()

    def keep(self, response_id: str, recording: Recording) -> None:
        """Wait for the answer to be fetched; one that is given up here ends with its conversation."""
        self._open[response_id] = recording
        while len(self._open) > _MOST:
            self._open.popitem(last=False)

    def fetched_by(self, options: Any) -> Recording | None:
        """The recording whose answer a request fetches or cancels."""
        if not self._open:
            return None
        path = options.url.partition("?")[0]
        fetched = _FETCHES.get(options.method.lower())
        if fetched is None or not path.startswith(_PREFIX) or not path.endswith(fetched):
            return None
        return self._open.get(path.removeprefix(_PREFIX).removesuffix(fetched))

    def discard(self, response_id: str) -> None:
        """The answer has come."""
        self._open.pop(response_id, None)


#: Shared by all clients: the one that fetches an answer need not be the one that asked for it.
JOBS = Jobs()


def settle(recording: Recording, answer: Answer, error: BaseException | None = None) -> None:
    """
    Say what an answer means for its recording: what is made in the background may still come.

    Args:
        recording: The model call.

        answer: What has come.

        error: What broke it off.
    """
    is_over = answer.is_complete or answer.error is not None
    if answer.id is not None and not is_over and (answer.is_pending or recording.is_background):
        JOBS.keep(answer.id, recording)
        recording.wait(answer)
        return
    if answer.id is not None:
        JOBS.discard(answer.id)
    if is_over:
        recording.complete(answer)
    else:
        recording.stop(answer, error)
