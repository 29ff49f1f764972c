"""All clients of the process: the default one, and the flush of every one."""

import time
from typing import TYPE_CHECKING

from mindlytics_core import _config
from mindlytics_core._flush import Ticket, await_all, wait_for_all
from mindlytics_core._line import overtake
from mindlytics_core._process import PROCESS
from mindlytics_core._stats import FlushResult, combined
from mindlytics_core.client import FLUSH_TIMEOUT, Client

if TYPE_CHECKING:
    from mindlytics_core._worker import Worker

_default: list[Client] = []


def default_client() -> Client:
    """
    The process's own client, made from the environment; made anew when that has changed or it was closed.

    Raises:
        ConfigurationError: The environment holds no key or no project id.
    """
    config = _config.load(None, None, None, None)
    # The registry's lock: it may be taken again, and a forked child has a free one.
    with PROCESS.lock:
        if not _default or _default[0].config != config or _default[0].is_closed:
            _default[:] = [Client()]
        return _default[0]


async def flush(timeout: float = FLUSH_TIMEOUT) -> FlushResult:
    """
    Send what every client of the process has accepted so far, and say what became of it.

    Args:
        timeout: Most seconds to wait, for all of them together.
    """
    deadline = time.monotonic() + timeout
    passing = PROCESS.passing()
    await await_all(list(passing), timeout)
    overtake(passing)
    left = PROCESS.waiting()
    tickets = [(worker, worker.flush()) for worker in PROCESS.workers()]
    await await_all([ticket.done for _, ticket in tickets], deadline - time.monotonic())
    return _result(tickets, left)


def flush_sync(timeout: float = FLUSH_TIMEOUT) -> FlushResult:
    """
    Send what every client of the process has accepted so far, and say what became of it; blocks.

    Args:
        timeout: Most seconds to wait, for all of them together.
    """
    deadline = time.monotonic() + timeout
    passing = PROCESS.passing()
    wait_for_all(list(passing), timeout)
    overtake(passing)
    left = PROCESS.waiting()
    tickets = [(worker, worker.flush()) for worker in PROCESS.workers()]
    wait_for_all([ticket.done for _, ticket in tickets], deadline - time.monotonic())
    return _result(tickets, left)


def _result(tickets: "list[tuple[Worker, Ticket]]", left: int) -> FlushResult:
    """What became of all workers' events, and of those that the app's code still looks at."""
    return combined([*[worker.result(ticket) for worker, ticket in tickets], FlushResult(not left, pending=left)])
