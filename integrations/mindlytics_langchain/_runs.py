"""Which runs are open, what belongs to which root, and which root has been silent for too long."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from uuid import UUID

import msgspec

from mindlytics_langchain._recording import Recording
from mindlytics_langchain._watch import Watch

#: Roots open at once; beyond it the quietest is given up.
MOST_ROOTS = 10_000
#: Seconds without any new run in it after which a root is given up: LangChain reports no end of some cancelled runs.
AGE_LIMIT = 3600.0
#: Ended runs that are still known, so that what comes late does not look like something new.
_MOST_LATE = 5_000


class Tree(msgspec.Struct, eq=False):
    """
    A root run with all that runs below it.

    Attributes:
        root_id: LangChain's id of the root.

        recording: What is recorded of it.

        touched: When its latest run began, on the table's clock.

        keys: All of its runs, as numbers, the root first.

        is_running: Whether the root has not ended.

        watch: Looks after the task that the root began in.
    """

    root_id: UUID
    recording: Recording
    touched: float
    keys: list[int] = []
    is_running: bool = True
    watch: Watch | None = None


class Run(msgspec.Struct, eq=False):
    """
    One run.

    Attributes:
        run_id: LangChain's id of it.

        tree: What it is a part of.

        is_root: Whether it is the top of its tree.

        name: What it is called.

        started: When it began, on the monotonic clock.

        args: A tool's arguments, as JSON text.

        is_open: Whether it has not ended.

        answers: Whether a part of a model's answer has come: what it asks for has then been asked.

        watch: Looks after the task that it began in.

        ends_with_task: Whether it cannot outlast that task, unless it streams.

        takes_root: Whether the root is cancelled when it is.
    """

    run_id: UUID
    tree: Tree
    is_root: bool
    name: str
    started: float
    args: str | None = None
    is_open: bool = True
    answers: bool = False
    watch: Watch | None = None
    ends_with_task: bool = False
    takes_root: bool = False

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
        ambient_parent: Tells the run that a new one is made in, where it says nothing that is known.

        clock: Seconds that only go forward.
    """

    def __init__(self, ambient_parent: Callable[[], UUID | None], clock: Callable[[], float] = time.monotonic) -> None:
        self._ambient_parent = ambient_parent
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

    def begin(self, run_id: UUID, parent_run_id: UUID | None, name: str, new: Callable[[], Recording]) -> Run | None:
        """
        Note the start of a run; None if it is known already, or belongs to a tree that is over.

        Args:
            run_id: LangChain's id of it.

            parent_run_id: The run that it says it is a part of.

            name: What it is called.

            new: Makes the recording of a new tree.
        """
        key = run_id.int
        with self._lock:
            if key in self._runs or key in self._late:
                return None
            parent = None if parent_run_id is None else self._runs.get(parent_run_id.int)
            if parent is None and (parent_run_id is None or parent_run_id.int not in self._late):
                parent_run_id = self._ambient_parent()
                parent = None if parent_run_id is None else self._runs.get(parent_run_id.int)
            if parent is not None:
                return self._add(run_id, parent.tree, name, is_root=False)
            if parent_run_id is not None and parent_run_id.int in self._late:
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
        key = run_id.int
        tree.touched = now = self._clock()
        if len(self._trees) > 1:
            self._trees.move_to_end(tree.root_id.int)
        run = self._runs[key] = Run(run_id, tree, is_root, name, now)
        tree.keys.append(key)
        return run

    def _give_up_quiet(self) -> None:
        while self._trees:
            tree = next(iter(self._trees.values()))
            if len(self._trees) < MOST_ROOTS and self._clock() - tree.touched < AGE_LIMIT:
                return
            self.sweep(tree)
            tree.recording.give_up()

    def _remember(self, keys: list[int]) -> None:
        self._late.update(dict.fromkeys(keys))
        while len(self._late) > _MOST_LATE:
            self._late.popitem(last=False)
