"""How a run's exchange is opened: whose it is, and whether it goes on with one that waits."""

from collections.abc import Mapping
from typing import Any

from mindlytics_core import Client, Exchange, Message
from mindlytics_langchain import _ids, _question_answer
from mindlytics_langchain._graphs import graph_name, name_above_node
from mindlytics_langchain._json import as_json
from mindlytics_langchain._langchain import AIMessage, BaseMessage, ToolMessage
from mindlytics_langchain._messages import last_of, text_of
from mindlytics_langchain._settings import Settings
from mindlytics_langchain._transcript import Transcript
from mindlytics_langchain._waiting import Waiting

_NO_ANSWER = "NoAnswer"


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
        self._assistant_id = settings.assistant_id or graph_name(name, metadata)
        self._metadata = metadata
        self._configurable: Mapping[str, Any] | None = None

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
            self._assistant_id = self._assistant_id or name_above_node(self._name, metadata)
        self._configurable = self._configurable or configurable
        self.thread_id = self.thread_id or _ids.thread_id(metadata, configurable)

    def open(self, transcript: Transcript, messages: tuple[Message, ...]) -> Exchange:
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

    def _opened(self, transcript: Transcript, messages: tuple[Message, ...]) -> Exchange:
        return self._client.exchange(
            transcript.user(),
            ids=_ids.call_ids(self._metadata),
            default_ids=self._settings.ids,
            framework_ids=_ids.framework_ids({"thread_id": self.thread_id}, self._configurable, self._metadata),
            messages=messages,
            continue_within=self._settings.continue_within,
            assistant_id=self._assistant_id,
        )


def _note_results(exchange: Exchange, messages: tuple[BaseMessage, ...], runtime: float) -> None:
    """Record the tools that the app ran by itself, whose results this call brings."""
    start = last_of(messages, AIMessage)
    asking = messages[start] if start is not None else None
    asked = {call["id"]: call for call in asking.tool_calls} if isinstance(asking, AIMessage) else {}
    for message in messages[start or 0 :]:
        if isinstance(message, ToolMessage) and (call := asked.get(message.tool_call_id)):
            exchange.function_call(call["name"], args=as_json(call["args"]), result=text_of(message), runtime=runtime)
