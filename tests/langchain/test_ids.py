"""Whose and which conversation a run belongs to, in every way of calling and of saying so."""

from typing import Any

import pytest
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from mindlytics_core import conversation
from mindlytics_langchain import MindlyticsHandler

IDS = {"user_id": "u1", "device_id": "d1", "session_id": "s1", "conversation_id": "c1"}
MINE = {"session": "s1", "conversation": "c1", "user_id": "u1", "device_id": "d1"}
METADATA = {f"mindlytics_{name}": value for name, value in IDS.items()}


@pytest.mark.parametrize("named_by", ["metadata", "scope", "constructor"])
@pytest.mark.parametrize("kind", ["chain", "model"])
async def test_ids_arrive_however_they_are_given(how: str, named_by: str, kind: str, lab: Any):
    handler = MindlyticsHandler(client=lab.client, **(IDS if named_by == "constructor" else {}))
    config = {"callbacks": [handler], "metadata": METADATA if named_by == "metadata" else {}}
    runnable, given = (lab.chain("Hello"), {"question": "Hi"}) if kind == "chain" else (lab.model("Hello"), "Hi")

    if named_by == "scope":
        with conversation(**IDS):
            await lab.run(runnable, how, given, config)
    else:
        await lab.run(runnable, how, given, config)

    first = lab.streamed(how)
    # A named conversation stays open, unless its block has ended.
    ended = [{"event": "Conversation Ended", **MINE}] if named_by == "scope" else []
    assert lab.arrived() == [
        {"event": "Conversation Started", **MINE},
        {**lab.turn(1, "Hi", "Hello", **first), **MINE},
        *ended,
    ]


def test_each_id_is_looked_up_on_its_own(lab: Any):
    handler = MindlyticsHandler(client=lab.client, user_id="theirs", device_id="d1", session_id="theirs")
    metadata = {"mindlytics_user_id": "u1", "thread_id": 7, "user_id": "not me", "session_id": "not this"}

    with conversation(user_id="not me", session_id="s1", conversation_id="c1"):
        lab.chain("Hello").invoke({"question": "Hi"}, {"callbacks": [handler], "metadata": metadata})

    assert lab.arrived() == [
        {"event": "Conversation Started", **MINE},
        {**lab.turn(1, "Hi", "Hello"), **MINE},
        {"event": "Conversation Ended", **MINE},
    ]


def test_a_thread_s_turns_land_in_one_conversation(lab: Any):
    graph = StateGraph(MessagesState)
    graph.add_node("answer", lambda state: {"messages": [answering.invoke(state["messages"])]})
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    answering = lab.model("one", "two")
    compiled = graph.compile(checkpointer=InMemorySaver())
    config = {"callbacks": [lab.handler], "configurable": {"thread_id": 7, "user_id": "u1"}}

    compiled.invoke({"messages": [("user", "first")]}, config)
    compiled.invoke({"messages": [("user", "second")]}, config)

    mine = {"session": "S1", "user_id": "u1"}
    assert lab.arrived() == [
        {"event": "start_session", **mine},
        {"event": "Conversation Started", "conversation": "7", **mine},
        {**lab.turn(1, "first", "one"), "conversation": "7", **mine},
        {**lab.turn(2, "second", "two"), "conversation": "7", **mine},
    ]


@pytest.mark.filterwarnings("ignore:The class")
@pytest.mark.filterwarnings("ignore:.*RunnableWithMessageHistory")
def test_a_message_history_s_session_is_one_conversation(lab: Any):
    histories: dict[str, InMemoryChatMessageHistory] = {}
    prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("past"), ("human", "Please: {question}")])
    chain = RunnableWithMessageHistory(
        prompt | lab.model("one", "two"),
        lambda session_id: histories.setdefault(session_id, InMemoryChatMessageHistory()),
        input_messages_key="question",
        history_messages_key="past",
    )
    config = {"callbacks": [lab.handler], "configurable": {"session_id": "s1"}}

    chain.invoke({"question": "first"}, config)
    chain.invoke({"question": "second"}, config)

    mine = {"session": "s1", "conversation": "s1"}
    anonymous = {"device_id": "s1"}
    assert [{**event, **anonymous} for event in lab.arrived()] == [
        {"event": "Conversation Started", **mine, **anonymous},
        {**lab.turn(1, "Please: first", "one"), **mine, **anonymous},
        {**lab.turn(2, "Please: second", "two"), **mine, **anonymous},
    ]


def test_a_history_continues_its_conversation_within_the_given_time(lab: Any):
    handler = MindlyticsHandler(client=lab.client, continue_within=60)
    prompt = ChatPromptTemplate.from_messages([("system", "Be kind."), MessagesPlaceholder("messages")])
    chain = prompt | lab.model("one", "two", "three")
    config = {"callbacks": [handler]}
    asked: list[Any] = [("human", "first")]

    chain.invoke({"messages": asked}, config)
    list(chain.stream({"messages": [*asked, ("ai", "one"), ("human", "second")]}, config))
    chain.invoke({"messages": [("human", "other")]}, config)

    mine, other = {"session": "S1", "conversation": "C1"}, {"session": "S2", "conversation": "C2"}
    assert lab.arrived() == [
        {"event": "start_session", "session": "S1"},
        {"event": "Conversation Started", **mine},
        {**lab.turn(1, "first", "one"), **mine},
        {**lab.turn(2, "second", "two", time_to_first_token_ms="ms"), **mine},
        {"event": "start_session", "session": "S2"},
        {"event": "Conversation Started", **other},
        {**lab.turn(3, "other", "three"), **other},
    ]


def test_configurable_ids_are_seen_in_a_chain(lab: Any):
    config: RunnableConfig = {"callbacks": [lab.handler], "configurable": {"user_id": "u1"}}

    (RunnableLambda(lambda question: {"question": question}) | lab.chain("Hello")).invoke("Hi", config)

    who = {"user_id": "u1"}
    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "Hello"), **who)
