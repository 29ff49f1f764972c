"""`current_session()` inside a tool or a node: the session of the exchange in progress."""

import asyncio
from typing import Any

import pytest
from helpers import suspended
from langchain.agents import create_agent
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph

from mindlytics_core import Session, current_session
from mindlytics_langchain import MindlyticsHandler

WAYS = ["invoke", "ainvoke", "stream", "astream"]


def session() -> Session:
    found = current_session()
    assert found is not None
    return found


@pytest.fixture(params=["sync", "async"])
def sign_in(request: pytest.FixtureRequest) -> Any:
    """A tool that learns who the user is."""

    @tool
    def sign_in(name: str) -> str:
        """Sign in."""
        session().user_identify(id=name, traits={"plan": "pro"})
        return "welcome"

    @tool("sign_in")
    async def sign_in_later(name: str) -> str:
        """Sign in."""
        await suspended()
        session().user_identify(id=name, traits={"plan": "pro"})
        return "welcome"

    return sign_in if request.param == "sync" else sign_in_later


@pytest.mark.parametrize("how", WAYS)
async def test_a_tool_can_say_who_the_user_is(how: str, sign_in: Any, lab: Any):
    if sign_in.coroutine and how[0] != "a":
        pytest.skip("LangChain runs no coroutine of a tool from a call that is sync")
    agent = create_agent(lab.model(lab.say.call("sign_in", name="ann"), lab.say.text("Hello Ann")), [sign_in])

    await lab.run(agent, how, {"messages": [("user", "I am ann")]})

    said = lab.turn(1, "I am ann", "Hello Ann", prompt_tokens=12, completion_tokens=5)
    called = lab.function(1, "sign_in", '{"name": "ann"}', "welcome")
    told = {"event": "identify", "session": "S1", "user_id": "ann", "id": "ann", "traits": {"plan": "pro"}}
    begun, started, *known = lab.whole(1, called, said)
    assert lab.arrived() == [begun, started, told, *({**event, "user_id": "ann"} for event in known)]


@pytest.mark.parametrize("how", WAYS)
async def test_a_node_can_track_events_into_the_conversation_before_any_model_is_called(how: str, lab: Any):
    model = lab.model("Hello")

    def answer(state: Any) -> Any:
        session().track_event(event="Asked", properties={"length": 2})
        return {"messages": [model.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")

    await lab.run(graph.compile(), how, {"messages": [("user", "Hi")]})

    assert lab.arrived() == lab.whole(1, {"event": "Asked", "length": 2}, lab.turn(1, "Hi", "Hello"))


@pytest.mark.parametrize("how", WAYS)
async def test_a_step_of_a_chain_has_it_too(how: str, lab: Any):
    def ask(question: str) -> Any:
        session().track_event(event="Asked")
        return {"question": question}

    await lab.run(RunnableLambda(ask) | lab.chain("Hello"), how, "Hi")

    assert lab.arrived() == lab.whole(1, {"event": "Asked"}, lab.turn(1, "Hi", "Hello", **lab.streamed(how)))


async def test_runs_at_the_same_time_have_each_their_own(lab: Any):
    all_of_them = asyncio.Barrier(10)

    async def ask(name: str) -> str:
        await all_of_them.wait()
        session().track_event(event="Asked", properties={"name": name})
        await all_of_them.wait()
        return f"{name}!"

    await asyncio.gather(*(RunnableLambda(ask).ainvoke(f"word {n}", lab.config) for n in range(10)))

    found = lab.arrived()
    names = [event["name"] for event in found if event["event"] == "Asked"]
    nothing = {"prompt_tokens": None, "completion_tokens": None, "model": None}
    expected = (
        lab.whole(n, {"event": "Asked", "name": name}, lab.turn(n, name, f"{name}!", **nothing))
        for n, name in enumerate(names, 1)
    )
    assert sorted(names) == [f"word {n}" for n in range(10)]
    assert found == [event for one in expected for event in one]


def test_nothing_stays_of_it(lab: Any):
    lab.chain("Hello").invoke({"question": "Hi"}, lab.config)

    assert current_session() is None


def test_a_block_around_it_comes_second(lab: Any):
    seen: list[Session | None] = []

    with lab.client.create_session(session_id="s1", conversation_id="c1") as around:
        assert current_session() is around
        RunnableLambda(lambda _: seen.append(current_session())).invoke("x", lab.config)
        RunnableLambda(lambda _: seen.append(current_session())).invoke("x")

    assert [found and (found.session_id, found.conversation_id) for found in seen] == [("s1", "c1"), ("s1", "c1")]


def test_a_tool_by_itself_is_in_no_exchange(lab: Any):
    @tool
    def alone() -> bool:
        """Look."""
        return current_session() is None

    assert alone.invoke({}, {"callbacks": [MindlyticsHandler(client=lab.client)]})
