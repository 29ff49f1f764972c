"""The app's own callbacks, on a thread of their own: one that sleeps or raises stalls no delivery."""

import asyncio
import inspect
import queue
import threading
from collections.abc import Callable
from typing import Any

from mindlytics_core import _guard


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
        if self._thread is None and self._starting.acquire(blocking=False):
            thread = threading.Thread(target=self._run, name="mindlytics-callbacks", daemon=True)
            with _guard.guarded("callbacks.start"):
                thread.start()
                self._thread = thread

    def wait(self, timeout: float) -> None:
        """Wait until everything submitted so far has been called, or for `timeout` seconds."""
        if self._thread is None or self._thread is threading.current_thread():
            return
        done = threading.Event()
        self._waiting.put(done.set)
        done.wait(timeout)

    def _run(self) -> None:
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
