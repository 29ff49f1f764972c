"""How a run's exchange is opened: whose it is, and whether it goes on with one that waits."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from mindlytics_core import Client, Exchange, Message, call_guarded
from mindlytics_langchain import _graphs, _ids, _question_answer
from mindlytics_langchain._json import as_json
from mindlytics_langchain._langchain import AIMessage, BaseMessage, HumanMessage, ToolMessage
from mindlytics_langchain._messages import last_of, text_of
from mindlytics_langchain._settings import Settings
from mindlytics_langchain._transcript import Transcript
from mindlytics_langchain._waiting import Waiting

_NO_ANSWER = "NoAnswer"
#: In the metadata of a run that begins at a checkpoint of the app's choice.
_CHECKPOINT = "checkpoint_id"


class Opening:
    """
    Opens the exchange of one root run.

    Args:
        client: Records.

        settings: What the handler was told.

        waiting: The exchanges that may go on.

        metadata: The root's metadata.

        name: What the root is called.
    """

    def __init__(
        self,
        client: Client,
        settings: Settings,
        waiting: Waiting,
        *,
        metadata: Mapping[str, Any] | None,
        name: str | None,
    ) -> None:
        self.waiting = waiting
        #: LangGraph's name of the thread, by which an interrupted run is resumed.
        self.thread_id = _ids.thread_id(metadata)
        #: Whether the exchange was begun, and its question asked, by an earlier run.
        self.resumed = False
        self._client = client
        self._settings = settings
        self._name = name
        self._assistant_id = settings.assistant_id or _graphs.graph_name(name, metadata)
        self._metadata = metadata
        self._configurable: Mapping[str, Any] | None = None
        self._first_task: str | None = None

    def note_child(
        self, metadata: Mapping[str, Any] | None, configurable: Mapping[str, Any] | None, *, is_direct: bool
    ) -> None:
        """
        A part of the run begins: what it knows of ids, the root could not know.

        Args:
            metadata: Its metadata.

            configurable: The configuration that it runs in.

            is_direct: Whether the root is what it is a part of.
        """
        if is_direct:
            self._assistant_id = self._assistant_id or _graphs.name_above_node(self._name, metadata)
        self._configurable = self._configurable or configurable
        self._first_task = self._first_task or _graphs.task_id(metadata)
        self.thread_id = self.thread_id or _ids.thread_id(metadata, configurable)

    def open(self, transcript: Transcript, messages: Sequence[Message]) -> Exchange:
        """
        Open an exchange, or go on with one that waits for this run.

        Args:
            transcript: The run's words, as far as they are known.

            messages: The model's input.
        """
        thread_id = self.thread_id
        if thread_id is not None and self.waiting.is_interrupted(thread_id):
            exchange = self._opened(transcript, self.waiting.messages(thread_id))
            if _question_answer.is_resume(transcript.given):
                self.resumed = True
                exchange.resume(messages)
                return exchange
            # The user said something new instead of what they were asked for.
            exchange.fail(_NO_ANSWER)
        exchange = self._opened(transcript, messages)
        runtime = self.waiting.took(exchange)
        if runtime is not None and transcript.first is not None:
            self.resumed = True
            _note_results(exchange, transcript.first.messages, runtime)
        return exchange

    def _opened(self, transcript: Transcript, messages: Sequence[Message]) -> Exchange:
        return self._client.exchange(
            transcript.user(),
            ids=_ids.call_ids(self._metadata),
            default_ids=self._settings.ids,
            framework_ids=_ids.framework_ids(self.thread_id, self._configurable, self._metadata),
            messages=messages,
            continue_within=self._settings.continue_within,
            assistant_id=self._assistant_id,
            turn_id=self._turn_id(transcript),
        )

    def _turn_id(self, transcript: Transcript) -> str | None:
        """
        The id of a turn that another process may have begun, or may go on with.

        It is made of what every process finds: the message that the turn began with, in the graph's state; without
        one, the part that runs first, which is the one that stopped where a graph has but one, or stopped at once.
        What is done once more with it, from an older checkpoint or after the turn is complete, is another turn.
        """
        is_replay = _CHECKPOINT in (self._metadata or {}) and transcript.given is None
        if self.thread_id is None or is_replay:
            return None
        began_with = _as_uuid(_first_message(transcript)) or _as_uuid(self._first_task)
        turn_id = None if began_with is None else uuid.uuid5(began_with, self.thread_id).hex
        return None if turn_id is None or self.waiting.is_over(turn_id) else turn_id


def graph_state(given: Any, configurable: Mapping[str, Any] | None, *, is_direct: bool) -> Any:
    """
    What a part of a graph shows of the graph's state: its messages, or the question that it holds; None for neither.

    Args:
        given: The part's input.

        configurable: The configuration that it runs in.

        is_direct: Whether it is a node of the graph that the app runs.
    """
    given = _graphs.shown_state(given)
    if _question_answer.messages_in(given):
        return given
    messages = call_guarded("langchain.graph_state", _graphs.state_messages, configurable)
    if messages:
        return {"messages": messages}
    return given if is_direct and _question_answer.evident_question(given) is not None else None


def _first_message(transcript: Transcript) -> str | None:
    """The id of the message that a turn began with."""
    given = transcript.given
    if transcript.state is None or not (_question_answer.is_resume(given) or _question_answer.asked(given) is not None):
        return None
    messages = _question_answer.messages_in(transcript.state)
    at = last_of(messages, HumanMessage)
    return None if at is None else messages[at].id


def _as_uuid(text: str | None) -> uuid.UUID | None:
    # Of LangGraph's own making, or as good: an app may begin to count anew in every process.
    try:
        return uuid.UUID(text)
    except (TypeError, ValueError, AttributeError):
        return None


def _note_results(exchange: Exchange, messages: tuple[BaseMessage, ...], runtime: float) -> None:
    """Record the tools that the app ran by itself, whose results this call brings."""
    start = last_of(messages, AIMessage)
    asking = messages[start] if start is not None else None
    asked = {call["id"]: call for call in asking.tool_calls} if isinstance(asking, AIMessage) else {}
    for message in messages[start or 0 :]:
        if isinstance(message, ToolMessage) and (call := asked.get(message.tool_call_id)):
            exchange.function_call(call["name"], args=as_json(call["args"]), result=text_of(message), runtime=runtime)
