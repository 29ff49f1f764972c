"""What the hooks do: find the run that an event is about, and hand the event on to its recording."""

import asyncio
import functools
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from mindlytics_core import Client, claim_model_call, default_client
from mindlytics_langchain import _graphs
from mindlytics_langchain._ambient import ambient_configurable
from mindlytics_langchain._opening import Opening
from mindlytics_langchain._recording import Recording
from mindlytics_langchain._runs import Run
from mindlytics_langchain._settings import Settings
from mindlytics_langchain._tables import Tables, tables_of
from mindlytics_langchain._tools import Outcome
from mindlytics_langchain._transcript import Prompt
from mindlytics_langchain._usage import Result
from mindlytics_langchain._watch import watch_task


class Recorder:
    """
    Records the runs that one handler sees.

    Args:
        client: Records; None for the process's default client.

        settings: What the handler was told.
    """

    def __init__(self, client: Client | None, settings: Settings) -> None:
        self.settings = settings
        self._is_default = client is None
        self._client = client
        self._tables: tuple[Client, Tables] | None = None

    @property
    def client(self) -> Client:
        """The client; the default one is asked for when it is needed, and again when it was closed."""
        if self._client is None or (self._is_default and self._client.is_closed):
            self._client = default_client()
        return self._client

    @property
    def tables(self) -> Tables:
        """What it shares with the other handlers of its client."""
        known = self._tables
        if known is None or self._is_default:
            client = self.client
            if known is None or known[0] is not client:
                known = self._tables = (client, tables_of(client))
        return known[1]

    def begin(
        self,
        run_id: UUID,
        parent_run_id: UUID | None,
        metadata: Mapping[str, Any] | None,
        name: str | None = None,
        *,
        given: Any = None,
        silent: bool = False,
    ) -> Run | None:
        """
        A run begins.

        Args:
            run_id: LangChain's id of it.

            parent_run_id: The run that it says it is a part of.

            metadata: Its metadata.

            name: What it is called.

            given: Its input.

            silent: Whether it is no exchange when it is a root.
        """
        new = functools.partial(self._new_recording, metadata, name, given, silent)
        run = self.tables.runs.begin(run_id, parent_run_id, name or "", new)
        if run is None:
            return None
        if run.is_root:
            run.watch = run.tree.watch = watch_task(functools.partial(self._task_ended, run))
            return run
        is_direct = parent_run_id is not None and parent_run_id.int == run.tree.root_id.int
        if run.recording.is_unopened:
            run.recording.child_started(metadata, ambient_configurable(), given, is_direct=is_direct)
        if is_direct and run.tree.watch is not None and run.tree.watch.is_over():
            # A batch starts its roots in tasks that only do that; `with_fallbacks` never tells that it was cancelled.
            run.takes_root = True
            run.watch = watch_task(functools.partial(self._task_ended, run))
        return run

    def _new_recording(
        self,
        metadata: Mapping[str, Any] | None,
        name: str | None,
        given: Any,
        silent: bool,  # noqa: FBT001  # by place, which a `partial` hands on more quickly
    ) -> Recording:
        opening = Opening(self.client, self.settings, self.tables.waiting, metadata=metadata, name=name)
        return Recording(opening, given, silent=silent)

    def model_began(self, run: Run, prompt: Prompt, metadata: Mapping[str, Any] | None, model: str | None) -> None:
        """A model is called; a wrapped client beneath it shall not record the call once more."""
        # Only until its answer begins: while a stream is read, the app may have something to ask by itself.
        claim_model_call(functools.partial(self.tables.runs.is_asking, run.run_id))
        run.recording.model_started(run.run_id, prompt, metadata, model)
        # (A model that takes text is started in a task of its own, whose end says nothing.)
        run.ends_with_task = bool(prompt.messages)

    def model_ended(self, run_id: UUID, result: Result) -> None:
        """A model has answered."""
        run = self.end(run_id)
        if run is not None:
            run.recording.model_ended(run_id, result)
            if run.is_root:
                run.recording.finish(result.text if result.message is None else result.message)
            self.sweep(run)

    def tool_ended(self, run: Run, got: Outcome) -> None:
        """A tool was run."""
        exchange = run.recording.exchange()
        if exchange is not None:
            exchange.function_call(
                run.name, args=run.args, result=got.result, runtime=run.milliseconds(), error=got.error
            )

    def find(self, run_id: UUID) -> Run | None:
        """A run that has not ended."""
        return self.tables.runs.find(run_id)

    def end(self, run_id: UUID) -> Run | None:
        """A run has ended; None if that is no news."""
        run = self.tables.runs.end(run_id)
        if run is not None and run.watch is not None:
            run.watch.stop()
            run.watch = None
        return run

    def fail(self, run_id: UUID, error: BaseException, given: Any = None) -> Run | None:
        """A run was stopped, or has failed; None if that is no news."""
        run = self.end(run_id)
        if run is not None:
            if _graphs.is_interrupt(error):
                run.recording.interrupted()
            if run.is_root:
                run.recording.fail(error, given)
            elif run.takes_root and isinstance(error, asyncio.CancelledError):
                self.fail(run.tree.root_id, error)
            self.sweep(run)
        return run

    def _task_ended(self, run: Run, cancelled: bool) -> None:  # noqa: FBT001  # a callback
        # A stream may be read by one task after the other; a call that waits for its answer may not.
        if cancelled or (run.ends_with_task and not run.answers):
            self.fail(run.run_id, asyncio.CancelledError())

    def sweep(self, run: Run) -> None:
        """Forget the tree once nothing more can be recorded of it."""
        if run.recording.is_over and not run.tree.is_running:
            self.tables.runs.sweep(run.tree)
