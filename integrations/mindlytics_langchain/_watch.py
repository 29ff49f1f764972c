"""Of a bare model, a batch or a stream of events that is cancelled LangChain reports nothing: the task is asked."""

import asyncio
import functools
from collections.abc import Callable

from mindlytics_core import guarded


class Watch:
    """
    Tells when the task that a run began in is over.

    Args:
        task: The task.

        ended: Told whether it was cancelled.
    """

    def __init__(self, task: "asyncio.Task[object]", ended: Callable[[bool], None]) -> None:
        self._task = task
        self._callback = functools.partial(_tell, ended)
        task.add_done_callback(self._callback)

    def is_over(self) -> bool:
        """Whether the task is over, told or not."""
        return self._task.done()

    def stop(self) -> None:
        """The run has ended, so the task may go on with others; nothing of this one stays with it."""
        self._task.remove_done_callback(self._callback)


def watch_task(ended: Callable[[bool], None]) -> Watch | None:
    """
    Watch the current task; None outside of any.

    Args:
        ended: Told whether it was cancelled.
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:
        # No loop runs in this thread.
        return None
    return None if task is None else Watch(task, ended)


def _tell(ended: Callable[[bool], None], task: "asyncio.Task[object]") -> None:
    with guarded("langchain.task_end"):
        ended(task.cancelled())
