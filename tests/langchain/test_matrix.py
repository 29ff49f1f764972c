"""Every way of calling, by every way of saying whose and which conversation it is."""

from typing import Any

import pytest
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables.history import RunnableWithMessageHistory
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from mindlytics_core import conversation
from mindlytics_langchain import MindlyticsHandler

IDS = {"user_id": "u1", "device_id": "d1", "session_id": "s1", "conversation_id": "c1"}
MINE = {"session": "s1", "conversation": "c1", "user_id": "u1", "device_id": "d1"}
#: How the ids are passed, and the events' ids that follow. A session that is not named gets one that is announced.
NAMED_BY = {
    "metadata": MINE,
    "scope": MINE,
    "constructor": MINE,
    "thread_id": {"session": "S1", "conversation": "t1"},
    "configurable": {"session": "s1", "conversation": "s1", "user_id": "u1"},
}


def named(lab: Any, by: str) -> dict[str, Any]:
    """A configuration that passes the ids, as far as that is the configuration's business."""
    config: dict[str, Any] = {"callbacks": [lab.handler], "configurable": {"thread_id": "t1"}}
    if by == "metadata":
        config["metadata"] = {f"mindlytics_{name}": value for name, value in IDS.items()}
    elif by == "constructor":
        config["callbacks"] = [MindlyticsHandler(client=lab.client, **IDS)]
    elif by == "configurable":
        config["configurable"] = {"session_id": "s1", "user_id": "u1"}
    return config


#: (A checkpointer has a thread_id, which would name the conversation before `session_id` does.)
@pytest.mark.parametrize(
    ("by", "checkpointed"),
    [(by, kept) for by in NAMED_BY for kept in (False, True) if (by, kept) != ("configurable", True)],
)
async def test_two_turns_of_a_graph_are_one_conversation(how: str, by: str, checkpointed: bool, lab: Any):
    model = lab.model("one", "two")
    graph = StateGraph(MessagesState)
    graph.add_node("answer", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_edge(START, "answer")
    config = named(lab, by)
    compiled = graph.compile(checkpointer=InMemorySaver() if checkpointed else None)

    async def twice() -> None:
        await lab.run(compiled, how, {"messages": [("user", "first")]}, config)
        await lab.run(compiled, how, {"messages": [("user", "second")]}, config)

    if by == "scope":
        with conversation(**IDS):
            await twice()
    else:
        await twice()

    who = NAMED_BY[by]
    begun = [{"event": "start_session", "session": "S1"}] if who["session"] == "S1" else []
    first = lab.streamed_inside(how)
    ended = [{"event": "Conversation Ended", **who}] if by == "scope" else []
    assert lab.arrived() == [
        *begun,
        {"event": "Conversation Started", **who},
        {**lab.turn(1, "first", "one", **first), **who},
        {**lab.turn(2, "second", "two", **first), **who},
        *ended,
    ]


@pytest.mark.filterwarnings("ignore:The class")
@pytest.mark.filterwarnings("ignore:.*RunnableWithMessageHistory")
async def test_two_turns_with_a_message_history_are_one_conversation(how: str, lab: Any):
    histories: dict[str, InMemoryChatMessageHistory] = {}
    prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("past"), ("human", "{question}")])
    chain = RunnableWithMessageHistory(
        prompt | lab.model("one", "two"),
        lambda session_id: histories.setdefault(session_id, InMemoryChatMessageHistory()),
        input_messages_key="question",
        history_messages_key="past",
    )
    config = {"callbacks": [lab.handler], "configurable": {"session_id": "s1"}}

    await lab.run(chain, how, {"question": "first"}, config)
    await lab.run(chain, how, {"question": "second"}, config)

    who = {"session": "s1", "conversation": "s1"}
    first = lab.streamed(how)
    assert lab.arrived() == [
        {"event": "Conversation Started", **who},
        {**lab.turn(1, "first", "one", **first), **who},
        {**lab.turn(2, "second", "two", **first), **who},
    ]


@pytest.mark.parametrize("kind", ["chain", "model"])
async def test_messages_that_repeat_a_conversation_continue_it(how: str, kind: str, lab: Any):
    handler = MindlyticsHandler(client=lab.client, continue_within=60)
    runnable = lab.model("one", "two")
    if kind == "chain":
        runnable = ChatPromptTemplate.from_messages([MessagesPlaceholder("messages")]) | runnable
    asked = [("human", "first"), ("ai", "one"), ("human", "second")]

    for messages in (asked[:1], asked):
        given: Any = {"messages": messages} if kind == "chain" else messages
        await lab.run(runnable, how, given, {"callbacks": [handler]})

    who = {"session": "S1", "conversation": "C1"}
    first = lab.streamed(how)
    assert lab.arrived() == [
        {"event": "start_session", "session": "S1"},
        {"event": "Conversation Started", **who},
        {**lab.turn(1, "first", "one", **first), **who},
        {**lab.turn(2, "second", "two", **first), **who},
    ]
