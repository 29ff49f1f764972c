"""Threads that each own one connection to the database and do what they are asked, in order of asking."""

import concurrent.futures
import queue
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")
Work = Callable[[sqlite3.Connection], Any]
_Asked = tuple[Work, "concurrent.futures.Future[Any]"]


class DatabaseThreads:
    """
    Threads with a connection each.

    Daemons of their own, not a `ThreadPoolExecutor`: at interpreter exit those are shut down before the exit
    handlers run in which a client in the same process still delivers its last events.

    Args:
        name: What the threads are called.

        count: How many.

        connect: Opens a connection, in the thread that will use it.
    """

    def __init__(self, name: str, count: int, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._asked: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True) for number in range(count)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[sqlite3.Connection], Result]) -> "concurrent.futures.Future[Result]":
        """
        Have something done.

        Args:
            work: Is given the connection of the thread that does it.
        """
        future: concurrent.futures.Future[Result] = concurrent.futures.Future()
        self._asked.put((work, future))
        return future

    def close(self) -> None:
        """Do what was asked so far, then close the connections and end the threads."""
        for _ in self._threads:
            self._asked.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        db: sqlite3.Connection | None = None
        while (asked := self._asked.get()) is not None:
            work, future = asked
            if not future.set_running_or_notify_cancel():
                continue
            try:
                db = db or self._connect()
                future.set_result(work(db))
            except BaseException as error:  # noqa: BLE001  # nothing is swallowed: whoever asked gets it
                future.set_exception(error)
            # Or the last caller's answer would live as long as the thread waits.
            del asked, work, future
        if db is not None:
            db.close()
