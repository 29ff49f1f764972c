"""Which runs are open, what belongs to which root, and which root has been silent for too long."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from mindlytics_langchain._recording import Recording
from mindlytics_langchain._watch import Watch

#: Roots open at once; beyond it the quietest is given up.
MOST_ROOTS = 10_000
#: Seconds without any new run in it after which a root is given up: LangChain reports no end of some cancelled runs.
AGE_LIMIT = 3600.0
#: Ended runs that are still known, so that what comes late does not look like something new.
_MOST_LATE = 5_000


@dataclass(slots=True)
class Tree:
    """
    A root run with all that runs below it.

    Attributes:
        root_id: LangChain's id of the root.

        recording: What is recorded of it.

        touched: When its latest run began, on the table's clock.

        keys: All of its runs, as numbers, the root first.

        is_running: Whether the root has not ended.
    """

    root_id: UUID
    recording: Recording
    touched: float
    keys: list[int] = field(default_factory=list)
    is_running: bool = True


@dataclass(slots=True)
class Run:
    """
    One run.

    Attributes:
        run_id: LangChain's id of it.

        tree: What it is a part of.

        is_root: Whether it is the top of its tree.

        name: What it is called.

        args: A tool's arguments, as JSON text.

        started: When it began, on the monotonic clock.

        is_open: Whether it has not ended.

        answers: Whether a part of a model's answer has come: what it asks for has then been asked.

        watch: Looks after the task that it began in.

        ends_with_task: Whether it cannot outlast that task, unless it streams.
    """

    run_id: UUID
    tree: Tree
    is_root: bool
    name: str
    args: str | None = None
    started: float = field(default_factory=time.monotonic)
    is_open: bool = True
    answers: bool = False
    watch: Watch | None = None
    ends_with_task: bool = False

    @property
    def recording(self) -> Recording:
        """What is recorded of its tree."""
        return self.tree.recording

    def milliseconds(self) -> float:
        """How long it has been running."""
        return (time.monotonic() - self.started) * 1000


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
        #: By the number that an id is: the hash of a UUID is made anew each time, in Python.
        self._runs: dict[int, Run] = {}
        #: By root, the quietest first.
        self._trees: OrderedDict[int, Tree] = OrderedDict()
        self._late: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._runs)

    def begin(
        self,
        run_id: UUID,
        parent_run_id: UUID | None,
        ambient_parent: Callable[[], UUID | None],
        name: str,
        new: Callable[[], Recording],
    ) -> Run | None:
        """
        Note the start of a run; None if it is known already, or belongs to a tree that is over.

        Args:
            run_id: LangChain's id of it.

            parent_run_id: The run that it says it is a part of.

            ambient_parent: Tells the run that it is made in, where it says nothing that is known.

            name: What it is called.

            new: Makes the recording of a new tree.
        """
        key = run_id.int
        with self._lock:
            if key in self._runs or key in self._late:
                return None
            parent_key = None if parent_run_id is None else parent_run_id.int
            if parent_key is None or not (parent_key in self._runs or parent_key in self._late):
                ambient = ambient_parent()
                parent_key = None if ambient is None else ambient.int
            if parent_key is not None:
                parent = self._runs.get(parent_key)
                if parent is not None:
                    return self._add(run_id, parent.tree, name, is_root=False)
                if parent_key in self._late:
                    self._remember([key])
                    return None
            self._give_up_quiet()
            tree = self._trees[key] = Tree(run_id, new(), self._clock())
            return self._add(run_id, tree, name, is_root=True)

    def end(self, run_id: UUID) -> Run | None:
        """Note the end of a run; None if it is not known, or has ended before."""
        with self._lock:
            run = self._runs.get(run_id.int)
            if run is None or not run.is_open:
                return None
            run.is_open = False
            if run.is_root:
                run.tree.is_running = False
            return run

    def find(self, run_id: UUID) -> Run | None:
        """A run that has not ended."""
        run = self._runs.get(run_id.int)
        return run if run is not None and run.is_open else None

    def is_asking(self, run_id: UUID) -> bool:
        """Whether a model's run has begun, and nothing of its answer has come."""
        run = self.find(run_id)
        return run is not None and not run.answers

    def sweep(self, tree: Tree) -> None:
        """Forget a whole tree: it is over."""
        with self._lock:
            if self._trees.pop(tree.root_id.int, None) is not None:
                for key in tree.keys:
                    del self._runs[key]
                self._remember(tree.keys)

    def _add(self, run_id: UUID, tree: Tree, name: str, *, is_root: bool) -> Run:
        tree.touched = now = self._clock()
        self._trees.move_to_end(tree.root_id.int)
        run = self._runs[run_id.int] = Run(run_id, tree, is_root, name, started=now)
        tree.keys.append(run_id.int)
        return run

    def _give_up_quiet(self) -> None:
        while self._trees:
            tree = next(iter(self._trees.values()))
            if len(self._trees) < MOST_ROOTS and self._clock() - tree.touched < AGE_LIMIT:
                return
            self.sweep(tree)
            tree.recording.give_up()

    def _remember(self, keys: list[int]) -> None:
        for key in keys:
            self._late[key] = None
        while len(self._late) > _MOST_LATE:
            self._late.popitem(last=False)
