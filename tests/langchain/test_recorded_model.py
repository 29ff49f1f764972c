"""ChatOpenAI on a small real model, as it was recorded: a chain, its stream, and an agent with a tool."""

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

pytestmark = pytest.mark.recorded

QUESTION = {"question": "What is the capital of France?"}


@pytest.fixture
async def chat(model: Any) -> AsyncIterator[ChatOpenAI]:
    """The model, as LangChain's users talk to it."""
    # Clients of the test's own: LangChain keeps its own ones beyond the end of their event loop.
    own = openai.OpenAI(**(options := {"base_url": model.base_url, "api_key": model.api_key, "max_retries": 0}))
    own_later = openai.AsyncOpenAI(**options)
    yield ChatOpenAI(
        model=model.name,
        client=own.chat.completions,
        async_client=own_later.chat.completions,
        temperature=0,
        max_tokens=24,
        stream_usage=True,
    )
    own.close()
    await own_later.close()


@pytest.fixture
def chain(chat: ChatOpenAI) -> Any:
    prompt = ChatPromptTemplate.from_messages([("system", "Answer in one short sentence."), ("human", "{question}")])
    return prompt | chat | StrOutputParser()


@pytest.fixture
def counted(lab: Any) -> UsageMetadataCallbackHandler:
    """LangChain's own count of the same run's tokens."""
    lab.config["callbacks"].append(UsageMetadataCallbackHandler())
    return lab.config["callbacks"][-1]


def turn(lab: Any, user: str, assistant: str, counted: UsageMetadataCallbackHandler, **more: Any) -> Any:
    ((model, usage),) = counted.usage_metadata.items()
    cached = usage.get("input_token_details", {}).get("cache_read")
    tokens = {"prompt_tokens": usage["input_tokens"], "completion_tokens": usage["output_tokens"]}
    return lab.turn(1, user, assistant, model=model, cached_tokens=cached or None, **tokens, **more)


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
async def test_a_chain(how: str, chain: Any, counted: Any, lab: Any):
    called = getattr(chain, how)(QUESTION, lab.config)
    answer = await called if how == "ainvoke" else called

    assert answer
    assert lab.arrived() == lab.whole(1, turn(lab, QUESTION["question"], answer, counted))


@pytest.mark.parametrize("how", ["stream", "astream"])
async def test_a_streamed_chain(how: str, chain: Any, counted: Any, lab: Any):
    called = getattr(chain, how)(QUESTION, lab.config)
    chunks = list(called) if how == "stream" else [chunk async for chunk in called]

    first = {"time_to_first_token_ms": "ms"}
    answer = "".join(chunks)
    assert lab.arrived() == lab.whole(1, turn(lab, QUESTION["question"], answer, counted, **first))


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
async def test_an_agent_with_a_tool(how: str, chat: ChatOpenAI, counted: Any, lab: Any):
    @tool
    def get_weather(city: str) -> str:
        """Tell the weather in a city."""
        return f"sunny, 24 degrees in {city}"

    asked = {"messages": [("user", "What is the weather in Paris?")]}
    called = getattr(create_agent(chat, [get_weather], name="weather"), how)(asked, lab.config)
    _, asking, result, said = (await called if how == "ainvoke" else called)["messages"]

    call = lab.function(1, "get_weather", json.dumps(asking.tool_calls[0]["args"]), result.text)
    done = turn(lab, "What is the weather in Paris?", said.text, counted, assistant_id="weather")
    assert lab.arrived() == lab.whole(1, call, done)
