"""Fake models that say what a test wants, and the complete list of events that reached the service."""

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers import events, readable, suspended
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool, tool

from mindlytics_core import Client
from mindlytics_langchain import MindlyticsHandler

Event = dict[str, Any]
Arrived = Callable[..., list[Event]]
#: LangChain's ways of running something.
WAYS = ["invoke", "ainvoke", "stream", "astream", "batch", "abatch", "astream_events"]
#: Those that only a model and a graph know, with a newer langchain-core.
THIRD_VERSION = [
    pytest.param(
        way, marks=pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
    )
    for way in ("stream_events_v3", "astream_events_v3")
    if hasattr(BaseChatModel, "stream_events")
]
#: What a turn has whose answer was streamed.
STREAMED = {"time_to_first_token_ms": "ms"}


class Scripted(GenericFakeChatModel):
    """A chat model that answers by a script, word by word where it streams; an error in the script is raised."""

    def bind_tools(self, *_: Any, **__: Any) -> "Scripted":
        return self

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._next())])

    def _stream(
        self,
        messages: Any,  # noqa: ARG002
        stop: Any = None,  # noqa: ARG002
        run_manager: Any = None,
        **_: Any,
    ) -> Iterator[ChatGenerationChunk]:
        message = self._next()
        for text in re.findall(r"\s*\S+", str(message.text)):
            chunk = ChatGenerationChunk(message=AIMessageChunk(text, id=message.id))
            if run_manager:
                run_manager.on_llm_new_token(text, chunk=chunk)
            yield chunk
        if "break" in message.additional_kwargs:
            raise message.additional_kwargs["break"]
        last = AIMessageChunk(
            "",
            id=message.id,
            tool_calls=message.tool_calls,
            usage_metadata=message.usage_metadata,
            response_metadata=message.response_metadata,
            chunk_position="last",
        )
        yield ChatGenerationChunk(message=last)

    def _next(self) -> AIMessage:
        message = next(self.messages)
        assert isinstance(message, AIMessage)
        if "raise" in message.additional_kwargs:
            raise message.additional_kwargs["raise"]
        return message


class Say:
    """The words of the script."""

    @staticmethod
    def text(text: str, tokens: tuple[int, int] | None = (7, 3), *, model: str = "tiny-1", **more: Any) -> AIMessage:
        """An answer."""
        message = AIMessage(text, response_metadata={"model_name": model}, **more)
        if tokens is not None:
            message.usage_metadata = {
                "input_tokens": tokens[0],
                "output_tokens": tokens[1],
                "total_tokens": sum(tokens),
            }
        return message

    @staticmethod
    def call(name: str, tokens: tuple[int, int] = (5, 2), /, **args: Any) -> AIMessage:
        """A request for one tool."""
        calls = [{"name": name, "args": args, "id": f"call-{name}-{len(args)}"}]
        return Say.text("", tokens, tool_calls=calls)

    @staticmethod
    def error(error: BaseException) -> AIMessage:
        """No answer."""
        return AIMessage("", additional_kwargs={"raise": error})

    @staticmethod
    def broken(text: str, error: BaseException) -> AIMessage:
        """An answer that breaks off where it is streamed."""
        return AIMessage(text, additional_kwargs={"break": error}, response_metadata={"model_name": "tiny-1"})


@pytest.fixture
def say() -> type[Say]:
    """The words of a model's script."""
    return Say


@pytest.fixture
def scripted() -> Callable[..., Scripted]:
    """Makes a model that gives these answers in turn, or one answer for ever."""

    def make(*answers: str | AIMessage) -> Scripted:
        messages = [Say.text(answer) if isinstance(answer, str) else answer for answer in answers]
        script: Iterator[AIMessage] = iter(messages) if len(messages) > 1 else itertools.repeat(messages[0])
        return Scripted(messages=script)

    return make


@pytest.fixture
def chain(scripted: Callable[..., Scripted]) -> Callable[..., Runnable[Any, Any]]:
    """Makes `prompt | model | parser`."""

    def make(*answers: str | AIMessage) -> Runnable[Any, Any]:
        prompt = ChatPromptTemplate.from_messages([("system", "Be kind."), ("human", "{question}")])
        return prompt | scripted(*answers) | StrOutputParser()

    return make


@pytest.fixture
def add() -> BaseTool:
    """A tool."""

    @tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    return add


@pytest.fixture
def handler(client: Client) -> MindlyticsHandler:
    """A handler of the service's client."""
    return MindlyticsHandler(client=client)


@pytest.fixture
def config(handler: MindlyticsHandler) -> dict[str, Any]:
    """A configuration with the handler."""
    return {"callbacks": [handler]}


@pytest.fixture
def arrived(service: Any, client: Client) -> Arrived:
    """Reads back what has reached the service, see `readable`, and that nothing of ours has raised."""

    # They are counted for the whole process.
    before = sum(client.stats().faults.values())

    def read(*, faults: int = 0) -> list[Event]:
        assert client.flush_sync(), client.stats()
        assert sum(client.stats().faults.values()) - before == faults
        return readable(events(service))

    return read


@pytest.fixture
def whole() -> Callable[..., list[Event]]:
    """The complete events of one exchange with a session and conversation of its own."""

    def make(number: int, *inside: Event, session: str = "", conversation: str = "", **who: str) -> list[Event]:
        base = {"session": session or f"S{number}"}
        in_conversation = {**base, "conversation": conversation or f"C{number}", **who}
        return [
            {"event": "start_session", **base, **who},
            {"event": "Conversation Started", **in_conversation},
            *({**in_conversation, **event} for event in inside),
            {"event": "Conversation Ended", **in_conversation},
            {"event": "end_session", **base, **who},
        ]

    return make


@pytest.fixture
def turn() -> Callable[..., Event]:
    """A turn of the scripted model."""

    def make(number: int, user: str, assistant: str, **more: Any) -> Event:
        usage = {"model": "tiny-1", "prompt_tokens": 7, "completion_tokens": 3}
        shown = {
            "event": "Conversation Turn",
            "turn": f"T{number}",
            "user": user,
            "assistant": assistant,
            "latency_ms": "ms",
            **usage,
            **more,
        }
        return {name: value for name, value in shown.items() if value is not None}

    return make


@pytest.fixture
def function() -> Callable[..., Event]:
    """A function call."""

    def make(number: int, name: str, args: str, result: str | None, **more: Any) -> Event:
        shown = {"event": "Conversation Function", "turn": f"T{number}", "name": name, "args": args, "result": result}
        return {key: value for key, value in {**shown, "runtime": "ms", **more}.items() if value is not None}

    return make


@pytest.fixture
def failed() -> Callable[..., Event]:
    """An exchange that failed."""

    def make(number: int, user: str, error: str, **more: Any) -> Event:
        return {"event": "Turn Failed", "turn": f"T{number}", "user": user, "error": error, "latency_ms": "ms", **more}

    return make


@pytest.fixture(params=WAYS)
def how(request: pytest.FixtureRequest) -> str:
    """Each of LangChain's ways of running something; a test that needs fewer names them itself."""
    way: str = request.param
    return way


@pytest.fixture(params=[*WAYS, *THIRD_VERSION])
def how_direct(request: pytest.FixtureRequest) -> str:
    """The same for what is a model or a graph itself."""
    way: str = request.param
    return way


@dataclasses.dataclass(frozen=True)
class Lab:
    """Everything that a test of a run needs."""

    client: Client
    handler: MindlyticsHandler
    config: dict[str, Any]
    arrived: Arrived
    say: type[Say]
    model: Callable[..., Scripted]
    chain: Callable[..., Runnable[Any, Any]]
    add: BaseTool
    whole: Callable[..., list[Event]]
    turn: Callable[..., Event]
    function: Callable[..., Event]
    failed: Callable[..., Event]

    async def run(self, runnable: Any, how: str, given: Any, config: Any = None) -> Any:
        """Run something in one of LangChain's ways; gives what it gave, of a stream or a batch a list."""
        config = self.config if config is None else config
        given = [given] if "batch" in how else given
        name, _, version = how.partition("_v")
        options = {"version": f"v{version or 2}"} if name.endswith("stream_events") else {}
        called = getattr(runnable, name)(given, config, **options)
        if name in ("invoke", "batch"):
            return called
        if name in ("ainvoke", "abatch"):
            return await called
        if not name.startswith("a"):
            return list(called)
        try:
            return [part async for part in (await called if version else called)]
        finally:
            if version:
                # The model's own task ends a few rounds after its last event.
                await self.others_done()

    @staticmethod
    async def others_done() -> None:
        """Let the loop do what it has still to do: it closes generators a few rounds later."""
        for _ in range(50):
            await suspended()

    @staticmethod
    def streamed(how: str) -> Event:
        """What the turn of a chain or a model has where it was streamed."""
        return STREAMED if "stream" in how else {}

    @staticmethod
    def streamed_inside(how: str) -> Event:
        """What the turn of a graph has whose nodes call their models and wait: they are streamed for events alone."""
        return STREAMED if "stream_events" in how else {}


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Lab:
    """Fake models, a handler of the live service, and what arrived there."""
    fixtures = {"model": "scripted"}
    names = [field.name for field in dataclasses.fields(Lab)]
    return Lab(**{name: request.getfixturevalue(fixtures.get(name, name)) for name in names})
