"""Background responses: answers that are fetched later, by another request, whole or as a stream."""

from collections import OrderedDict
from typing import Any, NamedTuple

from mindlytics_openai._recording import Recording
from mindlytics_openai._surface import Answer

#: Jobs waited for at most; beyond it the oldest is given up.
_MOST = 1_000
_PREFIX = "/responses/"


class _Job(NamedTuple):
    recording: Recording
    #: What has come of the answer so far.
    answer: Answer


class Jobs:
    """The recordings whose answers are still being made, by the response's id."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, _Job] = OrderedDict()

    def keep(self, response_id: str, recording: Recording, answer: Answer) -> None:
        """Wait for the rest of the answer to be fetched."""
        self._open[response_id] = _Job(recording, answer)
        while len(self._open) > _MOST:
            given_up = self._open.popitem(last=False)[1]
            with given_up.recording.closing("openai.job"):
                given_up.recording.stop(given_up.answer, "NoAnswer")

    def fetched_by(self, options: Any) -> Recording | None:
        """The recording whose answer a request fetches or cancels."""
        path = options.url.partition("?")[0]
        if not self._open or not path.startswith(_PREFIX):
            return None
        job = self._open.get(path.removeprefix(_PREFIX).partition("/")[0])
        return None if job is None else job.recording

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
        JOBS.keep(answer.id, recording, answer)
        return
    if answer.id is not None:
        JOBS.discard(answer.id)
    if is_over:
        recording.complete(answer)
    else:
        recording.stop(answer, error)
