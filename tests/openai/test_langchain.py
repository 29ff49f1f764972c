"""A wrapped client under LangChain's `ChatOpenAI`."""

import asyncio
from typing import Any

import openai
import pytest
from openai_chat import ENDED, FAILED, OPENED, STREAMED, TURN, chats, without_usage

from mindlytics_core import Client
from mindlytics_langchain import MindlyticsHandler
from mindlytics_openai import wrap

langchain_openai = pytest.importorskip("langchain_openai")


def model(provider: Any, client: Client, **options: Any):
    """A chat model that asks wrapped clients and no others, and the sync one of these."""
    asked = wrap(provider.client(), client=client)
    asked_async = wrap(provider.client(openai.AsyncOpenAI), client=client)
    made = langchain_openai.ChatOpenAI(model="tiny", api_key="none", base_url="http://provider.test/v1", **options)
    made.client, made.root_client = asked.chat.completions, asked
    made.async_client, made.root_async_client = asked_async.chat.completions, asked_async
    return made, asked


def test_an_invocation_is_one_turn(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.completion())
    assert model(provider, client)[0].invoke("Hello?").content == "Hi there"
    assert arrived() == [*OPENED, TURN]


def test_a_stream_is_one_turn(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.spoken("Hi ", "there"))
    chunks = list(model(provider, client)[0].stream("Hello?"))
    assert "".join(chunk.content for chunk in chunks) == "Hi there"
    assert arrived() == [*OPENED, STREAMED]


async def _read(stream: Any) -> str:
    return "".join([part.content async for part in stream])


WAYS = {
    "invoke": lambda model, config: model.invoke("Hello?", config).content,
    "ainvoke": lambda model, config: asyncio.run(model.ainvoke("Hello?", config)).content,
    "batch": lambda model, config: model.batch(["Hello?"], config)[0].content,
    "stream": lambda model, config: "".join(part.content for part in model.stream("Hello?", config)),
    "astream": lambda model, config: asyncio.run(_read(model.astream("Hello?", config))),
}


@pytest.mark.parametrize("way", WAYS)
def test_with_a_handler_on_top_the_call_is_recorded_once(
    provider: Any, client: Client, arrived: Any, say: Any, way: str
):
    streams = way in {"stream", "astream"}
    provider.answers(say.spoken("Hi ", "there") if streams else say.completion())
    asked, _ = model(provider, client)
    assert WAYS[way](asked, {"callbacks": [MindlyticsHandler(client=client)]}) == "Hi there"

    # (A stream that LangChain has not asked for its usage has none.)
    assert arrived() == [*OPENED, without_usage(STREAMED) if streams else TURN, *ENDED]


def test_a_failure_beneath_a_handler_is_recorded_once(provider: Any, client: Client, arrived: Any):
    provider.answers((404, {"error": {"message": "no such model"}}))
    with pytest.raises(openai.NotFoundError) as caught:
        model(provider, client, max_retries=0)[0].invoke("Hello?", {"callbacks": [MindlyticsHandler(client=client)]})
    assert arrived() == [*OPENED, {**FAILED, "model": "tiny", "error": caught.type.__name__}, *ENDED]


@pytest.mark.parametrize("after", [0, 1, 2])
def test_what_the_app_asks_by_itself_while_a_stream_is_read_is_recorded_too(
    provider: Any, client: Client, arrived: Any, say: Any, after: int
):
    provider.answers(say.spoken("Hi ", "there"), say.completion("It is."))
    asked, beneath = model(provider, client)
    for number, _ in enumerate(asked.stream("Hello?", {"callbacks": [MindlyticsHandler(client=client)]})):
        if number == after:
            beneath.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "Is this fine?"}])

    of_handler, of_wrap = [without_usage(STREAMED)], [("Is this fine?", "It is.")]
    assert arrived() == [*chats(of_handler, are_ended=True), *chats(of_handler, of_wrap)[3:]]
