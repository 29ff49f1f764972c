"""The handler: LangChain's hooks, each guarded, each handed on to the recording of the run that it is about."""

import uuid
import weakref
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, Self
from uuid import UUID

from mindlytics_core import Client, Ids, default_client, guarding
from mindlytics_langchain import _graphs
from mindlytics_langchain._content import content_text, delta_text
from mindlytics_langchain._current import show_current_session
from mindlytics_langchain._json import as_json
from mindlytics_langchain._langchain import BaseCallbackHandler, BaseMessage, LLMResult
from mindlytics_langchain._messages import text_of
from mindlytics_langchain._recorder import Recorder
from mindlytics_langchain._settings import Settings, checked_ids
from mindlytics_langchain._tools import Outcome, outcome
from mindlytics_langchain._transcript import Prompt
from mindlytics_langchain._usage import asked_model, read_result, wants_call

P = ParamSpec("P")
#: Chains that are a mere step of something: by themselves they are no exchange.
_STEPS = ("prompt", "parser")


def _hook(function: Callable[P, None]) -> Callable[P, None]:
    return guarding(f"langchain.{function.__name__}")(function)


class MindlyticsHandler(BaseCallbackHandler):
    """
    Records what runs under it: one turn for each run of a chain, agent, graph or model that the app makes.

    One handler serves any number of runs at once, from any thread or loop. Copies of it are the handler itself;
    unpickled in another process, it takes that process's default client.

    Args:
        client: Records; without it the process's default client, made from the environment.

        user_id: The app's own id of the user.

        device_id: The id of a device, for users who are not known.

        session_id: The visit.

        conversation_id: The conversation; it stays open across runs.

        continue_within: Seconds that an unnamed conversation waits for a run that continues it; by default it
            ends when its run finishes.

        assistant_id: Which assistant answers; without it the agent's or graph's own name.

    Raises:
        ConfigurationError: No client was given and the environment holds no key or no project id.

        InvalidArgument: An id is no text of 1 to 100 characters.
    """

    #: Hooks run where the run is, in order, and cost no thread.
    run_inline = True
    ignore_retry = True
    ignore_custom_event = True

    def __init__(
        self,
        *,
        client: Client | None = None,
        user_id: str | None = None,
        device_id: str | None = None,
        session_id: str | None = None,
        conversation_id: str | None = None,
        continue_within: float | None = None,
        assistant_id: str | None = None,
    ) -> None:
        ids = checked_ids(Ids(user_id, device_id, session_id, conversation_id))
        self._set_up(uuid.uuid4().hex, client, Settings(ids, continue_within, assistant_id))
        if client is None:
            # Whoever forgot the key learns it here, not from a log.
            default_client()

    # Chains and graphs.

    @_hook
    def on_chain_start(
        self,
        serialized: Any,  # noqa: ARG002  # LangChain's signature
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
        name: str | None = None,
        run_type: str | None = None,
        **_: Any,
    ) -> None:
        """A chain, a graph or a part of one begins."""
        if parent_run_id is None:
            _graphs.receive_graph_events(self)
        self._recorder.begin(run_id, parent_run_id, metadata, name, given=inputs, silent=run_type in _STEPS)

    @_hook
    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A chain has ended; where it was streamed its input is known only now."""
        run = self._recorder.end(run_id)
        if run is not None and run.is_root:
            run.recording.finish(outputs, kwargs.get("inputs"), streamed="inputs" in kwargs)
            self._recorder.sweep(run)

    @_hook
    def on_chain_error(self, error: BaseException, *, run_id: UUID, inputs: Any = None, **_: Any) -> None:
        """A chain was stopped, or has failed."""
        self._recorder.fail(run_id, error, inputs)

    # Models.

    @_hook
    def on_chat_model_start(
        self,
        serialized: Any,  # noqa: ARG002
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A chat model is called."""
        params = kwargs.get("invocation_params")
        prompt = Prompt(messages=tuple(messages[0]) if messages else (), wants_call=wants_call(params))
        run = self._recorder.begin(run_id, parent_run_id, metadata, given=list(prompt.messages))
        if run is not None:
            self._recorder.model_began(run, prompt, metadata, asked_model(metadata, params))

    @_hook
    def on_llm_start(
        self,
        serialized: Any,  # noqa: ARG002
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A model that takes texts is called."""
        text = prompts[0] if prompts else ""
        run = self._recorder.begin(run_id, parent_run_id, metadata, given=text)
        if run is not None:
            model = asked_model(metadata, kwargs.get("invocation_params"))
            self._recorder.model_began(run, Prompt(text=text), metadata, model)

    @_hook
    def on_llm_new_token(self, token: Any, *, run_id: UUID, chunk: Any = None, **_: Any) -> None:
        """A model's answer goes on."""
        run = self._recorder.find(run_id)
        if run is not None:
            message = getattr(chunk, "message", None)
            text = content_text(token) if message is None else text_of(message)
            run.answers = True
            run.recording.token(run_id, chunk, text)

    @_hook
    def on_stream_event(self, event: Any, *, run_id: UUID, **_: Any) -> None:
        """The same in the third version of streaming, where a model may report no tokens."""
        run = self._recorder.find(run_id)
        if run is not None:
            run.answers = True
            run.recording.token(run_id, None, delta_text(event))

    @_hook
    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """A model has answered."""
        self._recorder.model_ended(run_id, read_result(response))

    @_hook
    def on_llm_error(self, error: BaseException, *, run_id: UUID, response: LLMResult | None = None, **_: Any) -> None:
        """A model was stopped, or has failed; what it had said by then counts."""
        run = self._recorder.find(run_id)
        if run is not None:
            run.recording.model_ended(run_id, read_result(response))
            self._recorder.fail(run_id, error)

    # Tools.

    @_hook
    def on_tool_start(
        self,
        serialized: Mapping[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
        name: str | None = None,
        **_: Any,
    ) -> None:
        """A tool is run."""
        name = name or (serialized or {}).get("name")
        run = self._recorder.begin(run_id, parent_run_id, metadata, name, silent=True)
        if run is not None:
            run.recording.exchange()
            run.args = input_str if inputs is None else as_json(inputs)

    @_hook
    def on_tool_end(self, output: Any, *, run_id: UUID, **_: Any) -> None:
        """A tool has given its result."""
        run = self._recorder.end(run_id)
        if run is not None:
            self._recorder.tool_ended(run, outcome(output))
            self._recorder.sweep(run)

    @_hook
    def on_tool_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """A tool has raised, or was interrupted: then it is run again when the graph goes on."""
        run = self._recorder.fail(run_id, error)
        if run is not None and not _graphs.is_control_flow(error):
            self._recorder.tool_ended(run, Outcome(None, type(error).__name__))

    # Retrievers.

    @_hook
    def on_retriever_start(
        self,
        serialized: Any,  # noqa: ARG002
        query: str,  # noqa: ARG002
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Documents are looked for."""
        run = self._recorder.begin(run_id, parent_run_id, metadata, silent=True)
        if run is not None:
            run.recording.transcript.retrieved = True

    @_hook
    def on_retriever_end(self, documents: Any, *, run_id: UUID, **_: Any) -> None:  # noqa: ARG002
        """Documents were found."""
        run = self._recorder.end(run_id)
        if run is not None:
            self._recorder.sweep(run)

    @_hook
    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """No documents could be looked for."""
        self._recorder.fail(run_id, error)

    # Graphs; called once LangGraph is there, see `receive_graph_events`.

    @_hook
    def on_interrupt(self, event: Any) -> None:
        """A graph has stopped at a breakpoint, or to ask a person."""
        run = self._recorder.find(event.run_id)
        if run is not None:
            run.recording.interrupted()

    # What a handler is.

    def _set_up(self, key: str, client: Client | None, settings: Settings) -> None:
        self._recorder = Recorder(client, settings)
        self._key = key
        _alive[key] = self
        show_current_session()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _revived, (self._key, self._recorder.settings)


#: The handlers of this process, so that unpickling one gives it back.
_alive: "weakref.WeakValueDictionary[str, MindlyticsHandler]" = weakref.WeakValueDictionary()


def _revived(key: str, settings: Settings) -> MindlyticsHandler:
    found = _alive.get(key)
    if found is None:
        # Not by the constructor: a process without a key must still be able to unpickle what holds a handler.
        found = MindlyticsHandler.__new__(MindlyticsHandler)
        found._set_up(key, None, settings)  # noqa: SLF001  # our own class
    return found
