"""What the process owns: one worker per destination, the work at its exit, and what a fork leaves behind."""

import atexit
import os
import sys
import threading
import time
import weakref
from typing import Protocol

from mindlytics_core import _guard
from mindlytics_core._callbacks import CALLBACKS
from mindlytics_core._clock import IDS
from mindlytics_core._config import Delivery, Destination
from mindlytics_core._flush import wait_for_all
from mindlytics_core._worker import Worker

_SAID_AFTER = 1.0


class Ender(Protocol):
    """Has something open that must be ended before the process is."""

    def end_at_exit(self) -> None:
        """Send the ends of everything that this process opened."""
        ...

    def forget_after_fork(self) -> None:
        """What is open belongs to the parent."""
        ...


class Process:
    """The registry behind every client."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workers: dict[tuple[Destination, Delivery], Worker] = {}
        self._users: dict[Worker, int] = {}
        self._enders: weakref.WeakSet[Ender] = weakref.WeakSet()
        #: What is open keeps its owner alive, also when the app has let go of it.
        self._kept: set[Ender] = set()
        self._hooked = False
        #: Parents' workers, loops and connections, which a child must neither use nor close.
        self._parked: list[object] = []

    def worker(self, destination: Destination, options: Delivery) -> Worker:
        """The worker for a destination, shared by all who ask for the same; give it back with `release`."""
        with self._lock:
            self._hook()
            worker = self._workers.setdefault((destination, options), Worker(destination, options))
            self._users[worker] = self._users.get(worker, 0) + 1
            return worker

    def release(self, worker: Worker) -> None:
        """Let go of a worker; its thread ends with the last of its users."""
        with self._lock:
            self._users[worker] -= 1
            if self._users[worker]:
                return
            del self._users[worker]
            self._workers = {key: other for key, other in self._workers.items() if other is not worker}
        worker.stop()

    def add_ender(self, ender: Ender) -> None:
        """Have `ender` asked at exit, as long as somebody holds it."""
        self._enders.add(ender)

    def enders(self) -> list[Ender]:
        """Whoever would be asked."""
        return list(self._enders)

    def keep(self, ender: Ender, *, open_now: bool) -> None:
        """Hold `ender` while it has something open."""
        (self._kept.add if open_now else self._kept.discard)(ender)

    def workers(self) -> list[Worker]:
        """Every worker in use."""
        with self._lock:
            return list(self._users)

    def _hook(self) -> None:
        if not self._hooked:
            self._hooked = True
            atexit.register(self._at_exit)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=self._after_fork)

    def _at_exit(self) -> None:
        for ender in list(self._enders):
            _guard.call_guarded("exit.end", ender.end_at_exit)
        with _guard.guarded("exit.drain"):
            _drain(self.workers())

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        IDS.renew()
        CALLBACKS.renew()
        for worker in self._users:
            self._parked.append(dict(vars(worker)))
            worker.renew()
        for ender in list(self._enders):
            ender.forget_after_fork()


def _drain(workers: list[Worker]) -> None:
    """Deliver what is left, within the longest exit timeout, and say what could not be."""
    pending = [worker for worker in workers if worker.stats().pending]
    started = time.monotonic()
    deadline = started + max((worker.options.exit_timeout for worker in pending), default=0.0)
    flushes = [(worker, worker.flush(last_chance=True)) for worker in pending]
    tickets = [ticket for _, ticket in flushes]
    try:
        for worker, ticket in flushes:
            worker.run_until_settled(ticket, deadline)
        wait_for_all(tickets, min(_SAID_AFTER, deadline - started))
        if not all(ticket.done.done() for ticket in tickets):
            _say("delivering the last events; Ctrl-C ends it")
            wait_for_all(tickets, deadline - time.monotonic())
    except KeyboardInterrupt:
        _say("interrupted")
    left = sum(worker.result(ticket).pending for worker, ticket in flushes)
    if left:
        _say(f"{left} events could not be delivered before the exit")
    CALLBACKS.wait(max(deadline - time.monotonic(), _SAID_AFTER) if pending else 0.0)
    for worker in workers:
        worker.stop(wait=True)


def _say(text: str) -> None:
    """A line for the operator; at exit there may be nobody left to log to."""
    if sys.stderr is not None:
        sys.stderr.write(f"mindlytics: {text}\n")


#: The process's one registry.
PROCESS = Process()
