"""What the process owns: one worker per destination, the work at its exit, and what a fork leaves behind."""

import atexit
import importlib
import os
import sys
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mindlytics_core import _guard
from mindlytics_core._callbacks import CALLBACKS
from mindlytics_core._clock import IDS
from mindlytics_core._config import Delivery, Destination
from mindlytics_core._flush import Ticket, wait_for_all
from mindlytics_core._fork import FORKS
from mindlytics_core._last_lock import EXITED, LastLock, new_lock
from mindlytics_core._line import Passing, overtake
from mindlytics_core._outbox import Outbox

if TYPE_CHECKING:
    from mindlytics_core._worker import Worker

_SAID_AFTER = 1.0
#: How long an exit waits for the app's code to look at an event, in seconds: a daemon thread may never come back.
_LOOKED_AT = 1.0

#: Both have `register_after_fork` and `Finalize`; the second is Celery's. Neither is imported for that.
_CHILD_MAKERS = ("multiprocessing.util", "billiard.util")
#: Handlers of a higher number are called first; the app may record in its own.
_AFTER_THE_APP = -1_000


class Ender(Protocol):
    """Has something open that must be ended before the process is."""

    def end_at_exit(self) -> None:
        """Send the ends of everything that this process opened."""
        ...

    def close_for_good(self) -> None:
        """Take nothing more: the exit handlers are done with it."""
        ...

    #: Where what it records waits for the app's code.
    outbox: Outbox

    def forget_after_fork(self) -> None:
        """What is open belongs to the parent."""
        ...


class Process:
    """The registry behind every client."""

    def __init__(self) -> None:
        #: Re-entrant: a signal handler or finaliser may need it while a call of ours holds it.
        self.lock = new_lock()
        self._workers: dict[tuple[Destination, Delivery, Path | None], Worker] = {}
        self._users: dict[Worker, int] = {}
        #: Also those that everybody has let go of: something may come in late.
        self._all_workers: weakref.WeakSet[Worker] = weakref.WeakSet()
        self._enders: weakref.WeakSet[Ender] = weakref.WeakSet()
        #: What is open keeps its owner alive, also when the app has let go of it.
        self._kept: set[Ender] = set()
        self._is_known_to: set[str] = set()
        #: Parents' workers, loops and connections, which a child must neither use nor close.
        self._parked: list[object] = []

    def worker(self, destination: Destination, options: Delivery, spool_dir: Path | None = None) -> "Worker":
        """The worker for a destination, shared by all who ask for the same; give it back with `release`."""
        # Late, like all that only a worker needs: who imports this package may never record anything.
        with FORKS.no_fork():
            from mindlytics_core._worker import Worker  # noqa: PLC0415

            if spool_dir is not None:
                importlib.import_module("mindlytics_core._store")
        with self.lock:
            key = destination, options, spool_dir
            worker = self._workers.get(key)
            if worker is None:
                worker = self._workers[key] = Worker(destination, options, spool_dir=spool_dir)
                self._all_workers.add(worker)
            self._users[worker] = self._users.get(worker, 0) + 1
            return worker

    def release(self, worker: "Worker") -> None:
        """Let go of a worker; its thread ends with the last of its users."""
        with self.lock:
            self._users[worker] -= 1
            if self._users[worker]:
                return
            del self._users[worker]
            self._workers = {key: other for key, other in self._workers.items() if other is not worker}
        worker.release()

    def add_ender(self, ender: Ender) -> None:
        """Have `ender` asked at exit, as long as somebody holds it."""
        self._enders.add(ender)
        if EXITED.is_set():
            ender.close_for_good()

    def enders(self) -> list[Ender]:
        """Whoever would be asked."""
        return list(self._enders)

    def keep(self, ender: Ender, *, open_now: bool) -> None:
        """Hold `ender` while it has something open."""
        (self._kept.add if open_now else self._kept.discard)(ender)

    def passing(self) -> Passing:
        """What a flush waits for first: events that the app's code still looks at, in other threads."""
        return {passed: line for ender in self.enders() for passed, line in ender.outbox.passing().items()}

    def waiting(self) -> int:
        """How many events the app's code still looks at, or have to wait behind them."""
        return sum([ender.outbox.waiting() for ender in self.enders()])

    def workers(self) -> "list[Worker]":
        """Every worker in use, or with something pending."""
        with self.lock:
            return [worker for worker in self._all_workers if worker in self._users or worker.stats().pending]

    def hook(self) -> None:
        """Have exits and forks of the interpreter told to the registry; nothing else starts."""
        atexit.register(self._end_for_good)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=FORKS.hold, after_in_parent=FORKS.let_go, after_in_child=self._after_fork)
        self._hook_children()

    def _hook_children(self) -> None:
        """Children of `multiprocessing` skip the exit handlers of the interpreter, and have handlers of their own."""
        for name in _CHILD_MAKERS:
            util = sys.modules.get(name)
            if util is not None and name not in self._is_known_to:
                self._is_known_to.add(name)
                # A child forgets its parent's handlers before it begins: this puts ours up again.
                util.register_after_fork(self, lambda process, util=util: process._hook_exit_of_child(util))  # noqa: SLF001
                if multiprocessing_child():
                    self._hook_exit_of_child(util)

    def _hook_exit_of_child(self, util: Any) -> None:
        util.Finalize(None, self._at_exit, exitpriority=_AFTER_THE_APP)

    def drain(self) -> None:
        """Deliver what is pending, within the exit timeout."""
        self._wait_for_looks()
        with _guard.guarded("drain"):
            _drain(self.workers())

    def end(self) -> None:
        """End what is open, and deliver everything: the process ends."""
        self._at_exit()

    def _end_for_good(self) -> None:
        """
        The interpreter exits: what comes after this would be delivered by nobody, so it is refused and counted.

        The interpreter is torn down next. Daemon threads are frozen wherever they are, with locks of ours perhaps,
        and the app's finalisers may still record.
        """
        self._at_exit(for_good=True)

    def _at_exit(self, *, for_good: bool = False) -> None:
        for worker in self.workers():
            worker.start_no_thread()
        for ender in self.enders():
            _guard.call_guarded("exit.end", ender.end_at_exit)
        self._wait_for_looks()
        if for_good:
            EXITED.set()
            self.lock = LastLock(self.lock)
            FORKS.outlive_threads()
            for ender in self.enders():
                _guard.call_guarded("exit.close", ender.close_for_good)
        with _guard.guarded("exit.drain"):
            _drain(self.workers(), stop=True)

    def _wait_for_looks(self) -> None:
        with _guard.guarded("exit.looks"):
            passing = self.passing()
            wait_for_all(list(passing), _LOOKED_AT)
            overtake(passing)

    def _after_fork(self) -> None:
        self.lock = new_lock()
        FORKS.renew()
        IDS.renew()
        CALLBACKS.renew()
        for worker in list(self._all_workers):
            self._parked.append(dict(vars(worker)))
            worker.renew_after_fork()
        for ender in list(self._enders):
            ender.forget_after_fork()
        self._hook_children()


def multiprocessing_child() -> bool:
    """Whether `multiprocessing` made this process."""
    made_by = sys.modules.get("multiprocessing.process")
    return made_by is not None and made_by.parent_process() is not None


def _drain(workers: "list[Worker]", *, stop: bool = False) -> None:
    """Deliver what is left, within the longest exit timeout, and say what could not be."""
    pending = [worker for worker in workers if worker.stats().pending]
    started = time.monotonic()
    deadline = started + max((worker.exit_timeout for worker in pending), default=0.0)
    flushes = [(worker, worker.flush(last_chance=True)) for worker in pending]
    try:
        _await(flushes, started, deadline)
        if pending:
            CALLBACKS.wait(max(deadline - time.monotonic(), _SAID_AFTER))
        for worker in workers if stop else ():
            worker.stop(wait=True)
    except KeyboardInterrupt:
        _say("interrupted")
    for kept, what in ((False, "could not be delivered before the exit"), (True, "wait in the spool")):
        # Not what the flushes had of it: something may have come in since.
        left = sum([worker.stats().pending for worker in workers if worker.is_spooling is kept])
        if left:
            _say(f"{left} events {what}")


def _await(flushes: "list[tuple[Worker, Ticket]]", started: float, deadline: float) -> None:
    notice = _Notice("delivering the last events; Ctrl-C ends it")
    for worker, ticket in flushes:
        worker.run_until_settled(ticket, deadline, (started + _SAID_AFTER, notice.give))
    tickets = [ticket for _, ticket in flushes]
    wait_for_all([ticket.done for _, ticket in flushes], min(started + _SAID_AFTER, deadline) - time.monotonic())
    if time.monotonic() < deadline and not all(ticket.done.done() for ticket in tickets):
        notice.give()
        wait_for_all([ticket.done for ticket in tickets], deadline - time.monotonic())


class _Notice:
    """Said once."""

    def __init__(self, text: str) -> None:
        self._text: str | None = text

    def give(self) -> None:
        text, self._text = self._text, None
        if text is not None:
            _say(text)


def _say(text: str) -> None:
    """A line for the operator; at exit there may be nobody left to log to."""
    if sys.stderr is not None:
        sys.stderr.write(f"mindlytics: {text}\n")


#: The process's one registry. Handlers are called in reverse order, so it must be hooked as early as possible:
#: what the app records in its own ones, made after the import, is then delivered too.
PROCESS = Process()
PROCESS.hook()
