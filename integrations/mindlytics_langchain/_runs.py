"""Which runs are open, what belongs to which root, and which root has been silent for too long."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from mindlytics_langchain._recording import Recording
from mindlytics_langchain._watch import Watch

#: Roots open at once; beyond it the quietest is given up.
MOST_ROOTS = 10_000
#: Seconds without any event after which a root is given up: LangChain reports no end of some cancelled runs.
AGE_LIMIT = 3600.0
#: Ended runs that are still known, so that what comes late does not look like something new.
_MOST_LATE = 5_000


@dataclass(slots=True)
class Run:
    """
    One run.

    Attributes:
        run_id: LangChain's id of it.

        root_id: The run at the top of its tree.

        recording: What is recorded of that tree.

        name: What it is called.

        args: A tool's arguments, as JSON text.

        started: When it began, on the monotonic clock.

        is_open: Whether it has not ended.

        watch: Looks after the task that it began in.
    """

    run_id: UUID
    root_id: UUID
    recording: Recording
    name: str
    args: str | None = None
    started: float = field(default_factory=time.monotonic)
    is_open: bool = True
    watch: Watch | None = None

    @property
    def is_root(self) -> bool:
        """Whether it is the top of its tree."""
        return self.run_id == self.root_id

    def milliseconds(self) -> float:
        """How long it has been running."""
        return (time.monotonic() - self.started) * 1000


@dataclass(slots=True)
class _Tree:
    recording: Recording
    run_ids: list[UUID]
    touched: float


class RunTable:
    """
    The runs of one client's handlers. Every method may be called from any thread.

    Args:
        clock: Seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Re-entrant: a finaliser may end a run while a call of ours is under way.
        self._lock = threading.RLock()
        self._runs: dict[UUID, Run] = {}
        #: By root, the quietest first.
        self._trees: OrderedDict[UUID, _Tree] = OrderedDict()
        self._late: OrderedDict[UUID, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._runs)

    def begin(
        self, run_id: UUID, parents: Callable[[], Iterable[UUID]], name: str, new: Callable[[], Recording]
    ) -> Run | None:
        """
        Note the start of a run; None if it is known already, or belongs to a tree that is over.

        Args:
            run_id: LangChain's id of it.

            parents: The runs that it may be a part of, the likeliest first.

            name: What it is called.

            new: Makes the recording of a new tree.
        """
        with self._lock:
            if run_id in self._runs or run_id in self._late:
                return None
            for parent in parents():
                if parent in self._runs:
                    return self._add(run_id, self._runs[parent].root_id, name)
                if parent in self._late:
                    self._remember(run_id)
                    return None
            self._give_up_quiet()
            self._trees[run_id] = _Tree(new(), [], self._clock())
            return self._add(run_id, run_id, name)

    def end(self, run_id: UUID) -> Run | None:
        """Note the end of a run; None if it is not known, or has ended before."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is None or not run.is_open:
                return None
            run.is_open = False
            return run

    def find(self, run_id: UUID) -> Run | None:
        """A run that has not ended."""
        run = self._runs.get(run_id)
        return run if run is not None and run.is_open else None

    def is_running(self, run_id: UUID) -> bool:
        """Whether a run has begun and not ended."""
        return self.find(run_id) is not None

    def sweep(self, root_id: UUID) -> None:
        """Forget a whole tree: it is over."""
        with self._lock:
            tree = self._trees.pop(root_id, None)
            for run_id in tree.run_ids if tree else ():
                del self._runs[run_id]
                self._remember(run_id)

    def _add(self, run_id: UUID, root_id: UUID, name: str) -> Run:
        tree = self._trees[root_id]
        tree.run_ids.append(run_id)
        tree.touched = self._clock()
        self._trees.move_to_end(root_id)
        run = self._runs[run_id] = Run(run_id, root_id, tree.recording, name)
        return run

    def _give_up_quiet(self) -> None:
        while self._trees:
            root_id, tree = next(iter(self._trees.items()))
            if len(self._trees) < MOST_ROOTS and self._clock() - tree.touched < AGE_LIMIT:
                return
            self.sweep(root_id)
            tree.recording.give_up()

    def _remember(self, run_id: UUID) -> None:
        self._late[run_id] = None
        if len(self._late) > _MOST_LATE:
            self._late.popitem(last=False)
