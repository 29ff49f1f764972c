"""Failures, cancellations and streams that were left: each is recorded as what it was, and nothing stays open."""

import asyncio
import contextlib
import gc
from collections.abc import Coroutine
from operator import itemgetter
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableGenerator, RunnableLambda
from langgraph.graph import START, MessagesState, StateGraph

QUESTION = {"question": "Hi"}
MODEL = {"model": "tiny-1"}
USAGE = {"model": "tiny-1", "prompt_tokens": 7, "completion_tokens": 3}
LEFT = {"interrupted": True, "time_to_first_token_ms": "ms", "prompt_tokens": None, "completion_tokens": None}


class Stuck(GenericFakeChatModel):
    """A model that never answers."""

    entered: Any

    async def _agenerate(self, *_: Any, **__: Any) -> Any:
        self.entered.set()
        await asyncio.Event().wait()

    async def _astream(self, *_: Any, **__: Any) -> Any:
        await self._agenerate()
        yield


@pytest.fixture
async def stuck() -> Stuck:
    return Stuck(messages=iter([]), entered=asyncio.Event())


async def test_a_run_that_fails_is_recorded_as_failed(how: str, lab: Any):
    with pytest.raises(LookupError):
        await lab.run(lab.chain(lab.say.error(LookupError("private"))), how, QUESTION)

    assert lab.arrived() == lab.whole(1, lab.failed(1, "Hi", "LookupError", model="unknown"))


async def test_a_bare_model_that_fails_is_recorded_as_failed(how_direct: str, lab: Any):
    with pytest.raises(LookupError):
        await lab.run(lab.model(lab.say.error(LookupError("private"))), how_direct, "Hi")

    assert lab.arrived() == lab.whole(1, lab.failed(1, "Hi", "LookupError", model="unknown"))


async def test_a_graph_that_fails_is_recorded_as_failed(how_direct: str, lab: Any):
    model = lab.model(lab.say.call("add", a=1, b=2), lab.say.error(LookupError("private")))

    with pytest.raises(LookupError):
        await lab.run(create_agent(model, [lab.add]), how_direct, {"messages": [("user", "1+2?")]})

    call = lab.function(1, "add", '{"a": 1, "b": 2}', "3")
    used = {**MODEL, "prompt_tokens": 5, "completion_tokens": 2}
    assert lab.arrived() == lab.whole(1, call, lab.failed(1, "1+2?", "LookupError", **used))


async def test_a_step_that_fails_after_the_model_leaves_its_usage(how: str, lab: Any):
    def broken(_: str) -> str:
        raise KeyError("private")

    with pytest.raises(KeyError):
        await lab.run(lab.chain("Hello") | broken, how, QUESTION)

    assert lab.arrived() == lab.whole(1, lab.failed(1, "Hi", "KeyError", **USAGE))


async def test_a_chain_that_fails_before_any_model_is_recorded_too(how: str, lab: Any):
    with pytest.raises(KeyError):
        await lab.run(lab.chain("unused"), how, {"wrong": "Hi"})

    assert lab.arrived() == lab.whole(1, lab.failed(1, "Hi", "KeyError"))


@pytest.mark.parametrize("how", ["stream", "astream", "astream_events"])
async def test_a_stream_that_breaks_is_recorded_as_failed_with_its_question(how: str, lab: Any):
    with pytest.raises(OSError, match="gone"):
        await lab.run(lab.chain(lab.say.broken("one two", OSError("gone"))), how, QUESTION)

    assert lab.arrived() == lab.whole(1, lab.failed(1, "Hi", "OSError", model="unknown"))


@pytest.mark.parametrize(("chunks", "seen"), [(1, "one"), (2, "one two"), (3, "one two three")])
def test_a_sync_stream_that_is_left_is_recorded_with_what_was_delivered(chunks: int, seen: str, lab: Any):
    stream = lab.chain("one two three").stream(QUESTION, lab.config)
    for _ in range(chunks):
        next(stream)
    stream.close()

    left = {"interrupted": True, "time_to_first_token_ms": "ms"}
    # LangChain lets the model speak on, so what it cost is known.
    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", seen, **left))


def test_a_sync_stream_that_is_left_because_the_app_raised_is_an_interruption(lab: Any):
    def show() -> None:
        for _ in lab.chain("one two three").stream(QUESTION, lab.config):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        show()

    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "one", interrupted=True, time_to_first_token_ms="ms"))


def test_a_post_processed_stream_that_is_left_keeps_to_its_output(lab: Any):
    def shout(chunks: Any) -> Any:
        for chunk in chunks:
            yield chunk.upper()

    stream = (lab.chain("one two three") | RunnableGenerator(shout)).stream(QUESTION, lab.config)
    assert [next(stream), next(stream)] == ["ONE", " TWO"]
    stream.close()

    # LangChain tells the chunk that was delivered last to nobody.
    left = {"interrupted": True, "time_to_first_token_ms": "ms"}
    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "ONE", **left))


@pytest.mark.parametrize("chunks", [1, 2, 3])
async def test_an_async_stream_that_is_left_is_recorded_with_what_was_delivered(chunks: int, lab: Any):
    stream = lab.chain("one two three").astream(QUESTION, lab.config)
    seen = "".join([await anext(stream) for _ in range(chunks)])
    await stream.aclose()
    await lab.others_done()

    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", seen, **{**LEFT, "model": "unknown"}))


@pytest.mark.parametrize("kind", ["chain", "model", "agent"])
async def test_a_stream_of_events_that_is_left_is_recorded_with_what_was_said_by_then(kind: str, lab: Any):
    model = lab.model("one two three")
    runnable, given = {
        "chain": (lab.chain("unused").first | model, QUESTION),
        "model": (model, "Hi"),
        "agent": (create_agent(model, []), {"messages": [("user", "Hi")]}),
    }[kind]

    events = runnable.astream_events(given, lab.config, version="v2")
    async for event in events:
        if event["event"] == "on_chat_model_stream":
            break
    await events.aclose()
    await lab.others_done()

    found = lab.arrived()
    seen = found[2]["assistant"]
    # The model goes on while its reader looks at an event; once it is done, its cost is known.
    said, left = ("one", "one two", "one two three"), {**LEFT, "model": "unknown"}
    done = {"interrupted": True, "time_to_first_token_ms": "ms"}
    assert seen in said
    assert found == lab.whole(1, lab.turn(1, "Hi", seen, **(done if "prompt_tokens" in found[2] else left)))


@pytest.mark.skipif(not hasattr(BaseChatModel, "stream_events"), reason="an older langchain-core")
@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
@pytest.mark.parametrize("how", ["stream_events", "astream_events"])
async def test_a_stream_of_the_third_version_that_is_aborted_is_an_interruption(how: str, lab: Any):
    agent = create_agent(lab.model("one two three"), [])
    stream = getattr(agent, how)({"messages": [("user", "Hi")]}, lab.config, version="v3")

    if how == "stream_events":
        next(iter(stream.messages)).text.get()
        stream.abort()
    else:
        stream = await stream
        async for message in stream.messages:
            await message.text
            break
        await stream.abort()
        await lab.others_done()

    done = {"interrupted": True, "time_to_first_token_ms": "ms"}
    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "one two three", **done))


@pytest.mark.parametrize("chunks", [1, 3])
def test_a_bare_model_s_stream_that_is_left(chunks: int, lab: Any):
    stream = lab.model("one two three").stream("Hi", lab.config)
    seen = "".join([next(stream).text for _ in range(chunks)])
    stream.close()

    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", seen, **{**LEFT, "model": "unknown"}))


async def test_a_graph_s_stream_that_is_left_after_its_answer(lab: Any):
    answering = lab.model("Hello")
    graph = StateGraph(MessagesState)
    graph.add_node("answer", lambda state: {"messages": [answering.invoke(state["messages"])]})
    graph.add_node("more", lambda _: {})
    graph.add_edge(START, "answer")
    graph.add_edge("answer", "more")

    for _ in graph.compile().stream({"messages": [("user", "Hi")]}, lab.config, stream_mode="updates"):
        break

    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "Hello", interrupted=True))


@pytest.mark.parametrize("kind", ["chain", "fallbacks", "chain_with_fallbacks", "retry", "graph"])
@pytest.mark.parametrize("how", ["ainvoke", "astream", "abatch", "astream_events"])
async def test_a_cancelled_run_is_recorded_as_failed(how: str, kind: str, stuck: Stuck, lab: Any):
    graph = StateGraph(MessagesState)
    graph.add_node("answer", itemgetter("messages") | stuck | (lambda message: {"messages": [message]}))
    graph.add_edge(START, "answer")
    runnable = {
        "chain": lab.chain("unused").first | stuck,
        "fallbacks": stuck.with_fallbacks([lab.model("unused")]),
        "chain_with_fallbacks": (lab.chain("unused").first | stuck).with_fallbacks([lab.chain("unused")]),
        "retry": stuck.with_retry(),
        "graph": RunnableLambda(lambda given: {"messages": [("user", given["question"])]}) | graph.compile(),
    }[kind]
    task = asyncio.create_task(lab.run(runnable, how, "Hi" if kind in ("fallbacks", "retry") else QUESTION))
    entered = asyncio.create_task(stuck.entered.wait())
    await asyncio.wait([task, entered], return_when=asyncio.FIRST_COMPLETED)
    assert entered.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gc.collect()
    await lab.others_done()

    assert lab.arrived() == lab.whole(1, lab.failed(1, "Hi", "CancelledError", model="unknown"))
    assert len(lab.handler._recorder.tables.runs) == 0


async def test_a_cancelled_stream_is_recorded_with_what_was_seen(lab: Any):
    shown = asyncio.Event()

    async def show() -> None:
        async for _ in lab.chain("one two three").astream(QUESTION, lab.config):
            shown.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(show())
    await shown.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await lab.others_done()

    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "one", **{**LEFT, "model": "unknown"}))


@pytest.mark.parametrize("kind", ["chain", "model", "two models"])
async def test_each_part_of_a_stream_may_be_read_in_a_task_of_its_own(kind: str, lab: Any):
    class Hesitant(type(lab.model("x"))):  # type: ignore[misc]
        def _stream(self, *args: Any, **options: Any) -> Any:
            # As providers do: the first part names the role, and has no text.
            yield ChatGenerationChunk(message=AIMessageChunk(""))
            yield from super()._stream(*args, **options)

    model = Hesitant(messages=iter([lab.say.text("one two")]))
    runnable = {
        "chain": lab.chain("unused").first | model,
        "model": model,
        "two models": lab.model("first") | (lambda message: message.text) | model,
    }[kind]
    stream = runnable.astream("Hi" if kind != "chain" else QUESTION, lab.config)

    parts = []
    with contextlib.suppress(StopAsyncIteration):
        while True:
            parts.append(await asyncio.create_task(anext(stream)))
            await lab.others_done()

    assert "".join(part.text for part in parts) == "one two"
    used = {"prompt_tokens": 14, "completion_tokens": 6} if kind == "two models" else {}
    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "one two", time_to_first_token_ms="ms", **used))


async def test_a_cancelled_bare_model_is_recorded_as_failed(stuck: Stuck, lab: Any):
    task = asyncio.create_task(stuck.ainvoke("Hi", lab.config))
    await stuck.entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await lab.others_done()

    assert lab.arrived() == lab.whole(1, lab.failed(1, "Hi", "CancelledError", model="unknown"))


async def wait_for(work: Coroutine[Any, Any, Any]) -> None:
    await asyncio.wait_for(work, 0.01)


async def timeout(work: Coroutine[Any, Any, Any]) -> None:
    async with asyncio.timeout(0.01):
        await work


@pytest.mark.parametrize("limit", [wait_for, timeout])
async def test_a_bare_model_that_took_too_long_is_recorded_as_failed_when_its_task_ends_at_the_latest(
    limit: Any, stuck: Stuck, lab: Any
):
    with pytest.raises(TimeoutError):
        await asyncio.create_task(limit(stuck.ainvoke("Hi", lab.config)))
    await lab.others_done()

    assert lab.arrived() == lab.whole(1, lab.failed(1, "Hi", "CancelledError", model="unknown"))


@pytest.mark.parametrize("kind", ["step", "whole"])
async def test_retries_are_one_turn(how: str, kind: str, lab: Any):
    tried = lab.model(lab.say.error(ConnectionError()), lab.say.text("Hello", (4, 2)))
    options = {"wait_exponential_jitter": False}
    prompt = lab.chain("unused").first
    chain = prompt | tried.with_retry(**options) if kind == "step" else (prompt | tried).with_retry(**options)

    # `with_retry` does not try a stream again.
    with pytest.raises(ConnectionError) if "stream" in how else contextlib.nullcontext():
        await lab.run(chain, how, QUESTION)

    if "stream" in how:
        assert lab.arrived() == lab.whole(1, lab.failed(1, "Hi", "ConnectionError", model="unknown"))
    else:
        assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "Hello", prompt_tokens=4, completion_tokens=2))


async def test_fallbacks_are_one_turn(how: str, lab: Any):
    tried = lab.model(lab.say.error(OSError())).with_fallbacks([lab.model(lab.say.text("Hello", model="tiny-2"))])

    await lab.run(lab.chain("unused").first | tried, how, QUESTION)

    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "Hello", model="tiny-2", **lab.streamed(how)))


async def test_a_model_s_fallbacks_are_one_turn_without_a_chain(how: str, lab: Any):
    await lab.run(lab.model(lab.say.error(OSError())).with_fallbacks([lab.model("Hello")]), how, "Hi")

    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "Hello", **lab.streamed(how)))


async def test_a_tool_that_fails_is_told_with_its_error(how: str, lab: Any):
    def broken(question: str) -> Any:
        answer = lab.model(lab.say.call("add", a=1, b=2)).invoke([HumanMessage(question)])
        return lab.add.invoke({"a": "one"}) if isinstance(answer, AIMessage) else None

    with pytest.raises(ValueError, match="validation"):
        await lab.run(RunnableLambda(broken), how, "1+2?")

    call = lab.function(1, "add", '{"a": "one"}', None, error="ValidationError")
    used = {"model": "tiny-1", "prompt_tokens": 5, "completion_tokens": 2}
    assert lab.arrived() == lab.whole(1, call, lab.failed(1, "1+2?", "ValidationError", **used))


async def test_a_tool_loop_without_an_answer_is_recorded_as_failed(how: str, lab: Any):
    def loop(question: str) -> None:
        for call in lab.model(lab.say.call("add", a=1, b=2)).invoke(question).tool_calls:
            lab.add.invoke(call)

    await lab.run(RunnableLambda(loop), how, "1+2?")

    used = {"model": "tiny-1", "prompt_tokens": 5, "completion_tokens": 2}
    assert lab.arrived() == lab.whole(
        1, lab.function(1, "add", '{"a": 1, "b": 2}', "3"), lab.failed(1, "1+2?", "NoAnswer", **used)
    )
