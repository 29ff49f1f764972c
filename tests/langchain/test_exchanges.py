"""One turn for each run that the app makes, whatever happens inside."""

import asyncio
import functools
import json
import operator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.messages import HumanMessage
from langchain_core.prompts import PromptTemplate
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel

QUESTION = {"question": "Hi"}


async def test_a_chain_is_one_turn(how: str, lab: Any):
    await lab.run(lab.chain("Hello there"), how, QUESTION)

    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "Hello there", **lab.streamed(how)))


async def test_a_chat_model_by_itself_is_one_turn(how_direct: str, lab: Any):
    await lab.run(lab.model("Hello there"), how_direct, "Hi")

    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "Hello there", **lab.streamed(how_direct)))


async def test_a_model_that_takes_text_is_one_turn(how: str, lab: Any):
    nothing = {"prompt_tokens": None, "completion_tokens": None, "model": "unknown"}

    await lab.run(FakeListLLM(responses=["Hello"]), how, "Hi")

    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "Hello", **nothing))


async def test_a_model_that_takes_text_may_stand_in_a_chain(how: str, lab: Any):
    nothing = {"prompt_tokens": None, "completion_tokens": None, "model": "unknown"}
    chain = PromptTemplate.from_template("Say {word}") | FakeListLLM(responses=["Hello"])

    await lab.run(chain, how, {"word": "it"})

    assert lab.arrived() == lab.whole(1, lab.turn(1, "Say it", "Hello", **nothing))


async def test_an_agent_with_a_tool_is_one_turn(how_direct: str, lab: Any):
    agent = create_agent(
        lab.model(lab.say.call("add", a=1, b=2), lab.say.text("It is 3.")), [lab.add], name="calculator"
    )

    await lab.run(agent, how_direct, {"messages": [("user", "1+2?")]})

    first = lab.streamed_inside(how_direct)
    assert lab.arrived() == lab.whole(
        1,
        lab.function(1, "add", '{"a": 1, "b": 2}', "3"),
        lab.turn(1, "1+2?", "It is 3.", assistant_id="calculator", prompt_tokens=12, completion_tokens=5, **first),
    )


async def test_a_tool_loop_written_by_hand_is_one_turn(how: str, lab: Any):
    asked = lab.model(lab.say.call("add", a=1, b=2), lab.say.text("It is 3."))

    def loop(question: str) -> str:
        messages: list[Any] = [HumanMessage(question)]
        while True:
            answer = asked.bind_tools([lab.add]).invoke(messages)
            messages.append(answer)
            if not answer.tool_calls:
                return answer.content
            messages += [lab.add.invoke(tool_call) for tool_call in answer.tool_calls]

    await lab.run(RunnableLambda(loop), how, "1+2?")

    assert lab.arrived() == lab.whole(
        1,
        lab.function(1, "add", '{"a": 1, "b": 2}', "3"),
        lab.turn(1, "1+2?", "It is 3.", prompt_tokens=12, completion_tokens=5, **lab.streamed_inside(how)),
    )


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "astream", "batch", "abatch"])
async def test_a_tool_loop_outside_of_any_chain_is_one_turn(how: str, lab: Any):
    asked = lab.model(lab.say.call("add", a=1, b=2), lab.say.text("It is 3."))
    messages: list[Any] = [HumanMessage("1+2?")]
    for _ in range(2):
        said = await lab.run(asked, how, messages)
        messages.append(functools.reduce(operator.add, said) if isinstance(said, list) else said)
        messages += [lab.add.invoke(tool_call, lab.config) for tool_call in messages[-1].tool_calls]

    assert lab.arrived() == lab.whole(
        1,
        lab.function(1, "add", '{"a": 1, "b": 2}', "3"),
        lab.turn(1, "1+2?", "It is 3.", prompt_tokens=12, completion_tokens=5, **lab.streamed(how)),
    )


def test_a_call_that_the_model_was_made_to_make_is_its_answer(lab: Any):
    class Extracting(type(lab.model("x"))):  # type: ignore[misc]
        def _get_invocation_params(self, *_: Any, **__: Any) -> dict[str, Any]:
            return {"tool_choice": "required"}

    Extracting(messages=iter([lab.say.call("order", number=7)])).invoke("Order 7", lab.config)

    used = {"prompt_tokens": 5, "completion_tokens": 2}
    assert lab.arrived() == lab.whole(1, lab.turn(1, "Order 7", '{"number": 7}', **used))


class Order(BaseModel):
    number: int


@pytest.mark.parametrize(
    ("schema", "include_raw"),
    [(Order, False), (Order, True), ({"title": "Order", **Order.model_json_schema()}, False)],
    ids=["model", "raw", "json"],
)
async def test_a_structured_answer_of_a_model_is_its_json(how: str, schema: Any, include_raw: bool, lab: Any):
    class Calling(type(lab.model("x"))):  # type: ignore[misc]
        def bind_tools(self, *_: Any, **options: Any) -> Any:
            return self.bind(**options)

    model = Calling(messages=iter([lab.say.call("Order", number=7)]))

    await lab.run(model.with_structured_output(schema, include_raw=include_raw), how, "Order 7")

    used = {"prompt_tokens": 5, "completion_tokens": 2}
    assert lab.arrived() == lab.whole(1, lab.turn(1, "Order 7", '{"number": 7}', **used))


def test_each_of_a_batch_is_a_conversation_of_its_own(lab: Any):
    echo = RunnableLambda(lambda word: lab.model(f"{word}!").invoke(word).content)

    echo.batch([f"word {n}" for n in range(20)], lab.config)

    found = lab.arrived()
    words = [event["user"] for event in found if "user" in event]
    expected = (lab.whole(n, lab.turn(n, word, f"{word}!")) for n, word in enumerate(words, 1))
    assert sorted(words) == sorted(f"word {n}" for n in range(20))
    assert found == [event for one in expected for event in one]


@pytest.mark.parametrize("how", ["batch", "abatch", "batch_as_completed", "abatch_as_completed"])
async def test_those_of_a_batch_that_fail_are_recorded_as_failed(how: str, lab: Any):
    def answer(word: str) -> Any:
        return lab.model(lab.say.error(LookupError()) if word == "b" else f"{word}!").invoke(word).text

    called = getattr(RunnableLambda(answer), how)(["a", "b"], lab.config, return_exceptions=True)
    if how == "abatch_as_completed":
        results = [result async for _, result in called]
    else:
        results = await called if how == "abatch" else list(called)

    assert len(results) == 2
    found = lab.arrived()
    said = [lab.turn(1, "a", "a!"), lab.failed(2, "b", "LookupError", model="unknown")]
    if found[2]["user"] == "b":
        said = [{**event, "turn": f"T{number}"} for number, event in enumerate(reversed(said), 1)]
    assert found == [event for number, one in enumerate(said, 1) for event in lab.whole(number, one)]


async def test_runs_at_the_same_time_never_mix(lab: Any):
    async def answer(word: str) -> str:
        await asyncio.sleep(0)
        answer = await lab.model(f"{word}!").ainvoke(f"say {word}")
        await asyncio.sleep(0)
        return answer.content

    await asyncio.gather(*(RunnableLambda(answer).ainvoke(f"word {n}", lab.config) for n in range(20)))

    found = lab.arrived()
    users = [event["user"] for event in found if "user" in event]
    expected = (lab.whole(n, lab.turn(n, user, user.removeprefix("say ") + "!")) for n, user in enumerate(users, 1))
    assert sorted(users) == sorted(f"say word {n}" for n in range(20))
    assert found == [event for one in expected for event in one]


async def test_a_tool_or_a_step_called_by_itself_is_no_exchange(how: str, lab: Any):
    await lab.run(lab.add, how, {"a": 1, "b": 2})
    await lab.run(lab.chain("unused").first, how, QUESTION)
    await lab.run(lab.chain("unused").last, how, "text")

    assert lab.arrived() == []


async def test_a_canned_answer_is_a_turn_without_usage(how: str, lab: Any):
    await lab.run(RunnableLambda(lambda _: "We are closed."), how, "Hi")

    nothing = {"prompt_tokens": None, "completion_tokens": None, "model": None}
    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "We are closed.", **nothing))


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream"])
async def test_a_wrapped_client_below_the_handler_records_nothing_more(how: str, lab: Any):
    openai = pytest.importorskip("openai")
    langchain_openai = pytest.importorskip("langchain_openai")
    wrap = pytest.importorskip("mindlytics_openai").wrap
    http = pytest.importorskip("httpx2" if int(openai.__version__.split(".")[0]) >= 3 else "httpx")
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    part = {"id": "c1", "created": 1, "model": "tiny-1", "usage": usage}
    said = {"role": "assistant", "content": "Hello"}

    def reply(request: Any) -> Any:
        choice = {"index": 0, "finish_reason": "stop"}
        if b'"stream":true' in request.content.replace(b" ", b""):
            chunk = {**part, "object": "chat.completion.chunk", "choices": [{**choice, "delta": said}]}
            body = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n"
            return http.Response(200, text=body, headers={"content-type": "text/event-stream"})
        return http.Response(200, json={**part, "object": "chat.completion", "choices": [{**choice, "message": said}]})

    options = {"api_key": "none", "base_url": "http://provider.test/v1"}
    sync = openai.OpenAI(http_client=http.Client(transport=http.MockTransport(reply)), **options)
    later = openai.AsyncOpenAI(http_client=http.AsyncClient(transport=http.MockTransport(reply)), **options)
    model = langchain_openai.ChatOpenAI(
        model="tiny-1",
        client=wrap(sync, client=lab.client).chat.completions,
        async_client=wrap(later, client=lab.client).chat.completions,
    )

    await lab.run(model, how, "Hi")

    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "Hello", **lab.streamed(how)))
    sync.close()
    await later.close()
