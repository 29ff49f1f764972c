"""
Threads: the worker's is one of the operating system's, also where gevent has put greenlets in their place.

And whether a loop runs on the present one, which must not be made to wait, and how coroutines are waited for then.
"""

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent import futures
from typing import Any, Protocol, TypeVar

R = TypeVar("R")


class Thread(Protocol):
    """What the worker needs of its thread."""

    def is_alive(self) -> bool:
        """Whether it still runs."""
        ...

    def join(self, timeout: float) -> None:
        """Wait for its end."""
        ...


def started(target: Callable[[], None], name: str) -> Thread:
    """
    Start a daemon thread.

    Args:
        target: What it runs.

        name: What debuggers call it.

    Raises:
        RuntimeError: The interpreter exits, and starts no thread any more.
    """
    if sys.is_finalizing():
        # Before CPython 3.12 its start would be waited for, for ever.
        raise RuntimeError("can't create new thread at interpreter shutdown")
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        # A greenlet would make the app's own greenlets wait for our imports and encryption.
        return _RealThread(target, monkey.get_original)
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread


class _RealThread:
    def __init__(self, target: Callable[[], None], original: Callable[[str, str], Any]) -> None:
        self._target = target
        self._running = original("_thread", "allocate_lock")()
        self._running.acquire()
        original("_thread", "start_new_thread")(self._run, ())

    def is_alive(self) -> bool:
        """Whether it still runs."""
        locked: bool = self._running.locked()
        return locked

    def join(self, timeout: float) -> None:
        """Wait for its end."""
        if self._running.acquire(timeout=timeout):
            self._running.release()

    def _run(self) -> None:
        try:
            self._target()
        finally:
            self._running.release()


def loop_runs() -> bool:
    """Whether an event loop runs on this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def blocking(new_call: Callable[[], Coroutine[Any, Any, R]]) -> R:
    """Run a coroutine to its end on a loop of its own; inside a running loop, on a thread of its own."""
    if not loop_runs():
        return asyncio.run(new_call())
    with futures.ThreadPoolExecutor(1, "mindlytics-request") as thread:
        return thread.submit(lambda: asyncio.run(new_call())).result()
