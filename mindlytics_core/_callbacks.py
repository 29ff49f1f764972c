"""The app's own callbacks, on a thread of their own: one that sleeps or raises stalls no delivery."""

import asyncio
import concurrent.futures
import functools
import inspect
import queue
import sys
import threading
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

from mindlytics_core import _guard

#: How often it is looked whether the loop of a callback's app still runs, in seconds.
_LOOK_EVERY = 0.25
#: Calls that wait at most for a callback that takes its time.
_MOST_WAITING = 10_000

#: Whether this code was called by a callback, on whatever loop: it must not wait for later callbacks.
_inside: ContextVar[bool] = ContextVar("mindlytics_inside_callback", default=False)


def inside_callback() -> bool:
    """Whether the app's callback is what calls, so that waiting for another one would be for ever."""
    return _inside.get()


def at_home(callback: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """
    Have a coroutine function called on the loop that runs now, where the app's own tasks and locks are.

    Args:
        callback: The app's; a plain function, or one given outside of any loop, stays as it is.
    """
    try:
        home = asyncio.get_running_loop()
    except RuntimeError:
        return callback
    if callback is None or not inspect.iscoroutinefunction(callback):
        return callback

    @functools.wraps(callback)
    def called(*args: Any) -> Any:
        # A loop that has gone runs nothing any more; then the callbacks' own loop does.
        return _wait_for(callback(*args), home) if home.is_running() else callback(*args)

    return called


def _wait_for(work: Coroutine[Any, Any, Any], home: asyncio.AbstractEventLoop) -> None:
    running = asyncio.run_coroutine_threadsafe(work, home)
    while home.is_running():
        done, _ = concurrent.futures.wait([running], _LOOK_EVERY)
        if done:
            running.result()
            return
    running.cancel()
    if inspect.getcoroutinestate(work) == inspect.CORO_CREATED:
        work.close()


class Callbacks:
    """Runs functions and coroutine functions one after the other; its thread starts with the first of them."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew; a forked child has no thread."""
        self._waiting: queue.SimpleQueue[Callable[[], Any]] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(self, task: Callable[[], Any]) -> None:
        """Have `task` called soon; what it returns is awaited if it can be."""
        self._waiting.put(task)
        # While the interpreter is torn down no thread begins to run; before CPython 3.12 its start is waited for.
        if self._thread is None and not sys.is_finalizing() and self._starting.acquire(blocking=False):
            thread = threading.Thread(target=self._run, name="mindlytics-callbacks", daemon=True)
            with _guard.guarded("callbacks.start"):
                thread.start()
                self._thread = thread

    @property
    def is_behind(self) -> bool:
        """Whether so much waits already that news should be left out: a callback sleeps, or hangs."""
        return self._waiting.qsize() >= _MOST_WAITING

    def wait(self, timeout: float) -> None:
        """Wait until everything submitted so far has been called, or for `timeout` seconds."""
        if self._thread is None or self._thread is threading.current_thread():
            return
        done = threading.Event()
        self._waiting.put(done.set)
        done.wait(timeout)

    def _run(self) -> None:
        _inside.set(True)
        loop = asyncio.SelectorEventLoop()
        while True:
            task = self._waiting.get()
            with _guard.guarded("callback"):
                outcome = task()
                if inspect.isawaitable(outcome):
                    loop.run_until_complete(_awaited(outcome))


async def _awaited(outcome: Any) -> None:
    await outcome


#: The process's one callback thread.
CALLBACKS = Callbacks()
