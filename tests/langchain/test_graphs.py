"""Graphs: threads, interrupts, hand-offs and whatever else runs below one root."""

import dataclasses
import inspect
from typing import Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware, SummarizationMiddleware
from langchain.agents.structured_output import ProviderStrategy
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from mindlytics_langchain import MindlyticsHandler, _graphs

THREAD = {"thread_id": "t1"}
ASKED = {"messages": [("user", "Delete it.")]}
MINE = {"session": "S1", "conversation": "t1"}
STARTED = [{"event": "start_session", "session": "S1"}, {"event": "Conversation Started", **MINE}]


def answering(lab: Any, *answers: Any, **options: Any) -> Any:
    """A graph of one node that answers."""
    model = lab.model(*answers)
    graph = StateGraph(MessagesState)
    graph.add_node("answer", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    return graph.compile(**options)


@pytest.fixture
def confirm() -> Any:
    """A tool that asks a person."""

    @tool
    def confirm(what: str) -> str:
        """Ask a person."""
        return f"{what}: {interrupt('Really?')}"

    return confirm


@pytest.mark.parametrize("how", ["invoke", "astream_events"])
async def test_a_graph_s_name_is_its_assistant(how: str, lab: Any):
    await lab.run(answering(lab, "Hello", name="support"), how, {"messages": [("user", "Hi")]})

    first = lab.streamed_inside(how)
    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "Hello", assistant_id="support", **first))


async def test_an_interrupt_and_its_resume_are_one_exchange_also_of_two_handlers(
    how_direct: str, confirm: Any, lab: Any
):
    model = lab.model(lab.say.call("confirm", what="delete"), lab.say.text("Deleted."))
    agent = create_agent(model, [confirm], checkpointer=InMemorySaver())

    await lab.run(agent, how_direct, ASKED, {**lab.config, "configurable": THREAD})
    assert lab.arrived() == STARTED
    other = MindlyticsHandler(client=lab.client)
    await lab.run(agent, how_direct, Command(resume="yes"), {"callbacks": [other], "configurable": THREAD})

    call = lab.function(1, "confirm", '{"what": "delete"}', "delete: yes")
    used = {"prompt_tokens": 12, "completion_tokens": 5, **lab.streamed_inside(how_direct)}
    done = lab.turn(1, "Delete it.", "Deleted.", **used)
    assert lab.arrived() == [*STARTED, {**call, **MINE}, {**done, **MINE}]


@pytest.mark.parametrize("how", ["invoke", "astream"])
async def test_an_interrupt_twice_is_still_one_exchange(how: str, lab: Any):
    def ask(_: Any) -> Any:
        return {"messages": [AIMessage(f"{interrupt('name?')} {interrupt('age?')}")]}

    graph = StateGraph(MessagesState)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    compiled = graph.compile(checkpointer=InMemorySaver())
    config = {**lab.config, "configurable": THREAD}

    for given in (ASKED, Command(resume="Ann"), Command(resume="30")):
        await lab.run(compiled, how, given, config)

    nothing = {"prompt_tokens": None, "completion_tokens": None, "model": None}
    assert lab.arrived() == [*STARTED, {**lab.turn(1, "Delete it.", "Ann 30", **nothing), **MINE}]


#: (What shows the state is LangGraph's own, and may go: then the second half is a turn of its own.)
@pytest.mark.parametrize("shows_state", [True, False])
def test_a_run_that_is_resumed_after_its_conversation_ended_keeps_its_turn(
    shows_state: bool, confirm: Any, lab: Any, monkeypatch: pytest.MonkeyPatch
):
    if not shows_state:
        pytest.importorskip("langgraph.callbacks", reason="an older LangGraph shows the state with the tool call")
        monkeypatch.setattr(_graphs, "_READ", "gone")
    model = lab.model(lab.say.call("confirm", what="delete"), lab.say.text("Deleted."))
    agent = create_agent(model, [confirm], checkpointer=InMemorySaver())
    config = {**lab.config, "configurable": THREAD}

    agent.invoke(ASKED, config)
    lab.client.end_conversation("t1")
    agent.invoke(Command(resume="yes"), config)

    spent = {"event": "Conversation Usage", "turn": "T1", "model": "tiny-1", "prompt_tokens": 5, "completion_tokens": 2}
    first = lab.whole(1, spent, {"event": "Turn Suspended", "turn": "T1", "user": "Delete it."}, conversation="t1")
    turn = 1 if shows_state else 2
    call = lab.function(turn, "confirm", '{"what": "delete"}', "delete: yes")
    second = lab.whole(2, call, lab.turn(turn, "Delete it.", "Deleted."), conversation="t1")
    assert lab.arrived() == [*first, *second[:-2]]


def test_what_goes_on_once_more_from_a_complete_turn_is_another_turn(lab: Any):
    compiled = answering(lab, "one", "two", "three", checkpointer=InMemorySaver())
    config = {**lab.config, "configurable": THREAD}

    compiled.invoke({"messages": [("user", "Hi")]}, config)
    before = list(compiled.get_state_history(config))[-2]
    compiled.invoke(None, {**lab.config, **before.config})
    compiled.update_state(config, None, as_node="__start__")
    compiled.invoke(None, config)

    said = enumerate(("one", "two", "three"), 1)
    assert lab.arrived() == [*STARTED, *({**lab.turn(number, "Hi", text), **MINE} for number, text in said)]


@pytest.mark.parametrize("stop", ["interrupt_before", "interrupt_after"])
async def test_a_static_breakpoint_and_its_continuation_are_one_exchange(how_direct: str, stop: str, lab: Any):
    compiled = answering(lab, "Done.", checkpointer=InMemorySaver(), **{stop: ["answer"]})
    config = {**lab.config, "configurable": THREAD}

    for given in (ASKED, None):
        await lab.run(compiled, how_direct, given, config)

    done = lab.turn(1, "Delete it.", "Done.", **lab.streamed_inside(how_direct))
    assert lab.arrived() == [*STARTED, {**done, **MINE}]


async def test_something_new_instead_of_a_resume_gives_the_old_exchange_up(how_direct: str, confirm: Any, lab: Any):
    model = lab.model(lab.say.call("confirm", what="delete"), lab.say.text("Never mind."))
    agent = create_agent(model, [confirm], checkpointer=InMemorySaver())
    config = {**lab.config, "configurable": THREAD}

    for text in ("Delete it.", "Stop."):
        await lab.run(agent, how_direct, {"messages": [("user", text)]}, config)

    used = {"model": "tiny-1", "prompt_tokens": 5, "completion_tokens": 2}
    assert lab.arrived() == [
        *STARTED,
        {**lab.failed(1, "Delete it.", "NoAnswer", **used), **MINE},
        {**lab.turn(2, "Stop.", "Never mind.", **lab.streamed_inside(how_direct)), **MINE},
    ]


async def test_a_person_in_the_loop_of_an_agent_s_tools(how_direct: str, lab: Any):
    model = lab.model(lab.say.call("add", a=1, b=2), lab.say.text("It is 3."))
    asks = HumanInTheLoopMiddleware(interrupt_on={"add": True})
    agent = create_agent(model, [lab.add], middleware=[asks], checkpointer=InMemorySaver())
    config = {**lab.config, "configurable": THREAD}

    await lab.run(agent, how_direct, {"messages": [("user", "1+2?")]}, config)
    assert lab.arrived() == STARTED
    await lab.run(agent, how_direct, Command(resume={"decisions": [{"type": "approve"}]}), config)

    call = lab.function(1, "add", '{"a": 1, "b": 2}', "3")
    used = {"prompt_tokens": 12, "completion_tokens": 5, **lab.streamed_inside(how_direct)}
    done = lab.turn(1, "1+2?", "It is 3.", **used)
    assert lab.arrived() == [*STARTED, {**call, **MINE}, {**done, **MINE}]


async def test_several_people_asked_at_once_are_one_exchange(how_direct: str, lab: Any):
    def asking(name: str) -> Any:
        return lambda _: {"messages": [AIMessage(f"{name}: {interrupt(name)}")]}

    below = StateGraph(MessagesState)
    below.add_node("ask", asking("below"))
    below.add_edge(START, "ask")
    model = lab.model("Done.")
    graph = StateGraph(MessagesState)
    graph.add_node("first", asking("first"))
    graph.add_node("below", below.compile())
    graph.add_node("last", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_edge(START, "first")
    graph.add_edge(START, "below")
    graph.add_edge(["first", "below"], "last")
    compiled = graph.compile(checkpointer=InMemorySaver())
    config = {**lab.config, "configurable": THREAD}

    await lab.run(compiled, how_direct, ASKED, config)
    answers = {asked.id: "yes" for asked in (await compiled.aget_state(config)).interrupts}
    assert len(answers) == 2
    await lab.run(compiled, how_direct, Command(resume=answers), config)

    done = lab.turn(1, "Delete it.", "Done.", **lab.streamed_inside(how_direct))
    assert lab.arrived() == [*STARTED, {**done, **MINE}]


async def test_an_agent_that_is_another_one_s_tool_is_part_of_its_turn(how_direct: str, lab: Any):
    helper = create_agent(lab.model(lab.say.call("add", a=1, b=2), lab.say.text("3")), [lab.add], name="helper")

    @tool
    def ask(question: str) -> str:
        """Ask the helper."""
        return str(helper.invoke({"messages": [("user", question)]})["messages"][-1].text)

    agent = create_agent(lab.model(lab.say.call("ask", question="1+2"), lab.say.text("It is 3.")), [ask], name="boss")

    await lab.run(agent, how_direct, {"messages": [("user", "1+2?")]})

    used = {"prompt_tokens": 24, "completion_tokens": 10, **lab.streamed_inside(how_direct)}
    assert lab.arrived() == lab.whole(
        1,
        lab.function(1, "add", '{"a": 1, "b": 2}', "3"),
        lab.function(1, "ask", '{"question": "1+2"}', "3"),
        lab.turn(1, "1+2?", "It is 3.", assistant_id="boss", **used),
    )


async def test_parallel_tools_are_function_calls_of_one_turn(how_direct: str, lab: Any):
    first, second = lab.say.call("add", a=1, b=2), lab.say.call("add", a=3, b=4)
    second.tool_calls[0]["id"] = "other"
    first.tool_calls = [*first.tool_calls, *second.tool_calls]
    agent = create_agent(lab.model(first, lab.say.text("3 and 7")), [lab.add])

    await lab.run(agent, how_direct, {"messages": [("user", "both?")]})

    found = lab.arrived()
    # Which tool is done first is a matter of chance.
    found[2:4] = sorted(found[2:4], key=lambda event: event["result"])
    assert found == lab.whole(
        1,
        lab.function(1, "add", '{"a": 1, "b": 2}', "3"),
        lab.function(1, "add", '{"a": 3, "b": 4}', "7"),
        lab.turn(1, "both?", "3 and 7", prompt_tokens=12, completion_tokens=5, **lab.streamed_inside(how_direct)),
    )


async def test_a_structured_answer_is_its_json(how_direct: str, lab: Any):
    class Order(BaseModel):
        number: int

    agent = create_agent(lab.model(lab.say.call("Order", number=7)), [], response_format=Order)

    await lab.run(agent, how_direct, {"messages": [("user", "order 7")]})

    used = {"prompt_tokens": 5, "completion_tokens": 2}
    assert lab.arrived() == lab.whole(1, lab.turn(1, "order 7", '{"number": 7}', **used))


async def test_a_structured_answer_that_the_provider_writes_is_its_json(how_direct: str, lab: Any):
    class Order(BaseModel):
        number: int

    agent = create_agent(lab.model('{"number": 7}'), [], response_format=ProviderStrategy(Order))

    await lab.run(agent, how_direct, {"messages": [("user", "order 7")]})

    assert lab.arrived() == lab.whole(1, lab.turn(1, "order 7", '{"number": 7}', **lab.streamed_inside(how_direct)))


@pytest.mark.skipif(
    "trigger" not in inspect.signature(SummarizationMiddleware).parameters,
    reason="an older langchain, with other options",
)
async def test_langchain_s_own_summaries_add_usage_and_no_turn(how_direct: str, lab: Any):
    summariser = lab.model(lab.say.text("A summary.", (100, 10), model="helper-1"))
    shortens = SummarizationMiddleware(model=summariser, trigger=("messages", 3), keep=("messages", 1))
    agent = create_agent(lab.model("Hello again"), [], middleware=[shortens])
    history = [("user", "Hi"), ("ai", "Hello"), ("user", "And?"), ("ai", "Well."), ("user", "So?")]

    await lab.run(agent, how_direct, {"messages": history}, lab.config)

    usage = {"event": "Conversation Usage", "turn": "T1", "model": "helper-1"}
    assert lab.arrived() == lab.whole(
        1,
        {**usage, "prompt_tokens": 100, "completion_tokens": 10},
        lab.turn(1, "So?", "Hello again", **lab.streamed_inside(how_direct)),
    )


async def test_a_middleware_s_model_calls_add_usage_and_no_turn(how_direct: str, lab: Any):
    helper = lab.model(lab.say.text("a summary", (100, 10), model="helper-1"))

    class Summarise(AgentMiddleware):
        def before_model(self, *_: Any) -> None:
            helper.invoke("Summarise this: …", {"metadata": {"lc_source": "summarization"}})

    agent = create_agent(lab.model("Hello"), [], middleware=[Summarise()])

    await lab.run(agent, how_direct, {"messages": [("user", "Hi")]}, lab.config)

    usage = {"event": "Conversation Usage", "turn": "T1", "model": "helper-1"}
    assert lab.arrived() == lab.whole(
        1,
        {**usage, "prompt_tokens": 100, "completion_tokens": 10},
        lab.turn(1, "Hi", "Hello", **lab.streamed_inside(how_direct)),
    )


async def test_a_hand_off_between_agents_is_one_turn(how_direct: str, lab: Any):
    @tool
    def to_sales() -> Command[Any]:
        """Hand over to sales."""
        return Command(goto="sales", graph=Command.PARENT, update={"messages": [HumanMessage("to sales", name="desk")]})

    desk = create_agent(lab.model(lab.say.call("to_sales")), [to_sales], name="desk")
    sales = create_agent(lab.model("Which size?"), [], name="sales")
    graph = StateGraph(MessagesState)
    graph.add_node("desk", desk, destinations=("sales",))
    graph.add_node("sales", sales)
    graph.add_edge(START, "desk")

    await lab.run(graph.compile(name="shop"), how_direct, {"messages": [("user", "A shirt?")]}, lab.config)

    used = {"prompt_tokens": 12, "completion_tokens": 5, **lab.streamed_inside(how_direct)}
    said = lab.turn(1, "A shirt?", "Which size?", assistant_id="shop", **used)
    handed = lab.function(1, "to_sales", "{}", "to sales")
    assert lab.arrived() == lab.whole(1, handed, said)


async def test_subgraphs_and_parallel_nodes_are_one_turn(how_direct: str, lab: Any):
    class State(TypedDict, total=False):
        question: str
        one: str
        two: str
        answer: str

    def node(name: str, text: str) -> Any:
        model = lab.model(text)
        return lambda state: {name: model.invoke(f"work on {state['question']}").content}

    inner = StateGraph(State)
    inner.add_node("write", node("answer", "The answer."))
    inner.add_edge(START, "write")
    graph = StateGraph(State)
    graph.add_node("first", node("one", "1"))
    graph.add_node("second", node("two", "2"))
    graph.add_node("last", inner.compile())
    graph.add_edge(START, "first")
    graph.add_edge(START, "second")
    graph.add_edge(["first", "second"], "last")

    await lab.run(graph.compile(), how_direct, {"question": "Why?"})

    used = {"prompt_tokens": 21, "completion_tokens": 9, **lab.streamed_inside(how_direct)}
    assert lab.arrived() == lab.whole(1, lab.turn(1, "Why?", "The answer.", **used))


@dataclasses.dataclass
class Wish:
    question: str
    length: int = 3
    answer: str = ""


class Order(BaseModel):
    topics: list[str]
    answer: str = ""


#: The prompts of a graph's nodes are not the user's words: these are its input, or what stands for it.
@pytest.mark.parametrize(
    ("state", "given", "user"),
    [
        (Wish, Wish("Why?"), "Why?"),
        (Wish, {"question": "Why?", "length": 2}, "Why?"),
        (Order, Order(topics=["a", "b"]), '{"topics": ["a", "b"], "answer": ""}'),
        (Order, {"topics": ["a", "b"]}, '{"topics": ["a", "b"]}'),
    ],
)
@pytest.mark.parametrize("how", ["invoke", "astream"])
async def test_the_question_of_a_graph_is_not_the_prompt_of_its_node(
    how: str, state: Any, given: Any, user: str, lab: Any
):
    model = lab.model("Because.")
    graph = StateGraph(state)
    graph.add_node("write", lambda _: {"answer": model.invoke("Write about it.").text})
    graph.add_edge(START, "write")

    await lab.run(graph.compile(), how, given)

    assert lab.arrived() == lab.whole(1, lab.turn(1, user, "Because."))


async def test_the_functional_api_is_one_turn(how_direct: str, lab: Any):
    model = lab.model("Hello")

    @task
    def answer(question: str) -> str:
        return str(model.invoke(question).text)

    @entrypoint()
    def workflow(question: str) -> str:
        return answer(question).result()

    await lab.run(workflow, how_direct, "Hi")

    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "Hello", **lab.streamed_inside(how_direct)))


async def test_a_model_that_is_given_the_handler_in_a_node_is_part_of_the_graph(how_direct: str, lab: Any):
    model = lab.model("Hello")
    graph = StateGraph(MessagesState)
    graph.add_node("answer", lambda state: {"messages": [model.invoke(state["messages"], lab.config)]})
    graph.add_edge(START, "answer")
    await lab.run(graph.compile(), how_direct, {"messages": [("user", "Hi")]})

    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "Hello"))
