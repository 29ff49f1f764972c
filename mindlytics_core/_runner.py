"""A thread with an event loop of its own: started when there is something to do, and again if it ever died."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from mindlytics_core import _guard
from mindlytics_core._threads import Thread, started

NewLoop = Callable[[], asyncio.AbstractEventLoop]


class Runner:
    """
    Runs one coroutine function.

    Args:
        main: What to run.

        ended: Called on the thread at its very end, whatever ended it: another one may be started from there.

        new_loop: Makes the loop. Not by the app's policy: ours must be the plain one, whatever the app runs on.
    """

    def __init__(
        self,
        main: Callable[[asyncio.AbstractEventLoop], Awaitable[None]],
        *,
        ended: Callable[[], None],
        new_loop: NewLoop = asyncio.SelectorEventLoop,
    ) -> None:
        self._main = main
        self._ended = ended
        self._new_loop = new_loop
        self._starting = threading.Lock()
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        #: Set when there is something to do; waited for on the loop.
        self.alarm = asyncio.Event()
        #: Whether a thread may be started: from CPython 3.12 on not while the interpreter exits.
        self.may_start = True

    @property
    def is_running(self) -> bool:
        """Whether the thread lives."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def ensure_running(self) -> None:
        """Start the thread, unless it lives or may not be started."""
        if self.is_running or not self.may_start:
            return
        # Not blocking: whoever comes second, also re-entrantly, finds its event taken by the first's thread.
        if self._starting.acquire(blocking=False):
            try:
                with _guard.guarded("worker.start"):
                    self._start()
            finally:
                self._starting.release()

    def _start(self) -> None:
        try:
            self._thread = started(self.run, "mindlytics-worker")
        except RuntimeError as error:
            # The app records in an exit handler that is called before ours, which will deliver it.
            if "interpreter shutdown" not in str(error):
                raise
            self.may_start = False

    def wake(self) -> None:
        """Set the alarm from any thread, and start one if there is none."""
        if self._loop is None:
            self.ensure_running()
        else:
            self.ring()

    def ring(self) -> None:
        """Set the alarm from any thread."""
        loop = self._loop
        if loop is not None:
            # The loop may close between the look and the call; then the thread is ending by itself.
            try:
                loop.call_soon_threadsafe(self.alarm.set)
            except RuntimeError:
                self.ensure_running()

    def join(self, timeout: float) -> None:
        """Wait for the thread's end."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)

    def run(self) -> None:
        """Run on the calling thread."""
        loop = self._new_loop()
        loop.set_default_executor(_InlineExecutor())
        self.alarm = asyncio.Event()
        self._loop = loop
        try:
            with _guard.guarded("worker"):
                loop.run_until_complete(self._main(loop))
        finally:
            self._loop = None
            loop.run_until_complete(_end_others())
            loop.close()
            self._thread = None
            self._ended()


async def _end_others() -> None:
    """After Ctrl-C in the exit, when the loop runs on the main thread, something may be left on it."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class _InlineExecutor(concurrent.futures.ThreadPoolExecutor):
    """
    Runs what it is given at once, on the loop's own thread.

    A loop resolves host names in an executor, and the real ones refuse work once the interpreter has begun
    to exit, when the last events still have to leave. Nothing else on this loop needs one.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except OSError as error:
            future.set_exception(error)
        return future
