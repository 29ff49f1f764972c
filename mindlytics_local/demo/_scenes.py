"""
The demo's conversations, held the way an app would hold them.

Each scene uses the very lines that the README shows, and gives back what its user saw, so that the report
can ask the service for exactly that.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import openai
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import SecretStr

from mindlytics_core import Client, TokenBasedCost
from mindlytics_langchain import MindlyticsHandler
from mindlytics_local.demo._model import Model
from mindlytics_openai import AsyncOpenAI

_MAX_TOKENS = 48


@dataclass(frozen=True, slots=True)
class Said:
    """
    One turn as its user saw it.

    Attributes:
        user: What the user said.

        assistant: What came back.

        functions: Names of the tools that ran in between.
    """

    user: str
    assistant: str
    functions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """
    What one scene did.

    Attributes:
        title: What the scene shows.

        conversations: Its conversations, each with its turns in order.
    """

    title: str
    conversations: list[list[Said]] = field(default_factory=list)


Scene = Callable[[Model], Awaitable[Seen]]


async def langchain_chain(model: Model) -> Seen:
    """A chain with our handler: called once as a whole, once streamed."""
    prompt = ChatPromptTemplate.from_messages([("system", "Answer in one short sentence."), ("user", "{question}")])
    chain = prompt | _chat_model(model) | StrOutputParser()

    first = "What is the capital of France?"
    answer = chain.invoke({"question": first}, config={"callbacks": [MindlyticsHandler()]})

    second = "Name one primary colour."
    chunks = chain.stream({"question": second}, config={"callbacks": [MindlyticsHandler()]})
    streamed = "".join(chunks)

    return Seen("LangChain chain, invoke and stream", [[Said(first, answer)], [Said(second, streamed)]])


async def langchain_agent(model: Model) -> Seen:
    """An agent that calls a tool before it answers: one turn, with its function call."""

    @tool
    def get_weather(city: str) -> str:
        """Tell the weather in a city."""
        return f"sunny, 24 degrees in {city}"

    agent = create_agent(_chat_model(model), [get_weather], name="weather-agent")
    question = "What is the weather in Paris?"
    state = await agent.ainvoke(
        {"messages": [HumanMessage(question)]}, config={"callbacks": [MindlyticsHandler(user_id="demo-traveller")]}
    )
    answer = str(state["messages"][-1].text)
    return Seen("LangChain agent with a tool", [[Said(question, answer, ("get_weather",))]])


async def openai_chat(model: Model) -> Seen:
    """A chat through the drop-in client, streamed: three turns, whose growing messages are their only id."""
    client = AsyncOpenAI(base_url=model.base_url, api_key=model.api_key)
    messages: list[ChatCompletionMessageParam] = [{"role": "system", "content": "You are a friendly assistant."}]
    turns = []
    for question in ("Hello, I am planning a picnic.", "What should I bring?", "Thank you!"):
        messages.append({"role": "user", "content": question})
        answer = await _streamed(client, model, messages)
        messages.append({"role": "assistant", "content": answer})
        turns.append(Said(question, answer))
    await client.close()
    return Seen("Wrapped AsyncOpenAI, three turns, streamed", [turns])


async def by_hand(_: Model) -> Seen:
    """A session written by hand, without any framework or model."""
    said = Said("Where is my order?", "It left our warehouse this morning.", ("find_order",))
    session = Client().create_session(id="demo-jjacob", attributes={"channel": "web"})
    session.user_identify(id="demo-jjacob", traits={"plan": "pro"})
    session.track_function_call(name="find_order", args='{"customer": "demo-jjacob"}', result="shipped", runtime=12)
    session.track_conversation_turn(
        user=said.user,
        assistant=said.assistant,
        usage=TokenBasedCost(model="gpt-4o", prompt_tokens=42, completion_tokens=11),
    )
    session.end_session()
    return Seen("Session by hand", [[said]])


SCENES: list[Scene] = [langchain_chain, langchain_agent, openai_chat, by_hand]


async def _streamed(client: openai.AsyncOpenAI, model: Model, messages: list[ChatCompletionMessageParam]) -> str:
    stream = await client.chat.completions.create(
        model=model.name, messages=messages, stream=True, max_tokens=_MAX_TOKENS, temperature=0
    )
    pieces = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
    return "".join(pieces)


def _chat_model(model: Model) -> ChatOpenAI:
    return ChatOpenAI(
        model=model.name,
        base_url=model.base_url,
        api_key=SecretStr(model.api_key),
        temperature=0,
        max_completion_tokens=_MAX_TOKENS,
        stream_usage=True,
    )
