"""One run that is seen in several ways is recorded once; a handler can be copied, pickled and installed."""

import copy
import json
import pickle
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableBranch, RunnableLambda, RunnableParallel, RunnablePassthrough
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from mindlytics_core import (
    Client,
    ConfigurationError,
    InvalidArgument,
    default_client,
    flush_sync,
    model_call_is_claimed,
)
from mindlytics_langchain import MindlyticsHandler, install, uninstall

QUESTION = {"question": "Hi"}


def asking(question: str) -> dict[str, Any]:
    return {"messages": [("user", question)]}


@pytest.fixture
def _uninstalled() -> Iterator[None]:
    yield
    uninstall()


async def test_a_handler_that_is_given_twice_records_once(how: str, lab: Any):
    bound = lab.chain("Hello").with_config(lab.config)

    await lab.run(bound, how, QUESTION, {"callbacks": [lab.handler, lab.handler]})

    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "Hello", **lab.streamed(how)))


def test_a_stream_of_a_handler_that_is_given_twice_is_seen_once(lab: Any):
    stream = lab.model("one two three").stream("Hi", {"callbacks": [lab.handler, lab.handler]})
    next(stream)
    stream.close()

    left = {"interrupted": True, "time_to_first_token_ms": "ms", "prompt_tokens": None, "completion_tokens": None}
    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "one", **{**left, "model": "unknown"}))


async def test_a_handler_of_the_model_and_of_the_call_records_once(how: str, lab: Any):
    model = lab.model("Hello")
    model.callbacks = [MindlyticsHandler(client=lab.client)]

    await lab.run(lab.chain("unused").first | model, how, QUESTION)

    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "Hello", **lab.streamed(how)))


@pytest.mark.parametrize("kind", ["chain", "agent"])
async def test_a_handler_of_the_model_alone_records_each_call(how: str, kind: str, lab: Any):
    model = lab.model("Hello")
    model.callbacks = [lab.handler]
    runnable = lab.chain("unused").first | model if kind == "chain" else create_agent(model, [])

    await lab.run(runnable, how, QUESTION if kind == "chain" else asking("Hi"), {})

    first = lab.streamed(how) if kind == "chain" else lab.streamed_inside(how)
    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "Hello", **first))


async def test_a_handler_of_an_agent_and_of_the_call_records_once(how_direct: str, lab: Any):
    agent = create_agent(lab.model("Hello"), []).with_config(callbacks=[MindlyticsHandler(client=lab.client)])

    await lab.run(agent, how_direct, asking("Hi"))

    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "Hello", **lab.streamed_inside(how_direct)))


def test_a_parent_that_nobody_knows_makes_a_root(lab: Any):
    # As within LangSmith's `traceable`.
    run_id = uuid.uuid4()
    lab.handler.on_chain_start(None, "Hi", run_id=run_id, parent_run_id=uuid.uuid4())
    lab.handler.on_chain_end("Hello", run_id=run_id)

    nothing = {"prompt_tokens": None, "completion_tokens": None, "model": None}
    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "Hello", **nothing))


def test_what_comes_late_is_ignored(lab: Any):
    root, child = uuid.uuid4(), uuid.uuid4()
    lab.handler.on_chain_start(None, "Hi", run_id=root)
    lab.handler.on_chain_end("Hello", run_id=root)
    nothing = {"prompt_tokens": None, "completion_tokens": None, "model": None}
    before = lab.arrived()
    assert before == lab.whole(1, lab.turn(1, "Hi", "Hello", **nothing))

    lab.handler.on_chain_start(None, "late", run_id=child, parent_run_id=root)
    lab.handler.on_chain_end("late", run_id=child)
    lab.handler.on_chain_start(None, "again", run_id=root)
    lab.handler.on_chain_end("again", run_id=root)

    assert lab.arrived() == before


def test_the_run_table_is_empty_when_nothing_runs(lab: Any):
    for _ in range(20):
        lab.chain("Hello").invoke(QUESTION, lab.config)
    lab.add.invoke({"a": 1, "b": 2}, lab.config)
    stream = lab.chain("one two three").stream(QUESTION, lab.config)
    next(stream)
    stream.close()

    assert len(lab.handler._recorder.tables.runs) == 0


def test_copies_of_a_handler_are_the_handler(lab: Any):
    assert copy.copy(lab.handler) is lab.handler
    assert copy.deepcopy(lab.handler) is lab.handler
    assert pickle.loads(pickle.dumps(lab.handler)) is lab.handler  # noqa: S301
    assert lab.handler != MindlyticsHandler(client=lab.client)
    assert len({lab.handler, lab.handler}) == 1


@pytest.mark.usefixtures("service_environment")
def test_a_handler_that_is_unpickled_elsewhere_takes_the_default_client(lab: Any):
    pickled = pickle.dumps(MindlyticsHandler(client=lab.client, user_id="u1"))

    revived = pickle.loads(pickled)  # noqa: S301
    assert revived._recorder.settings.ids.user_id == "u1"
    assert revived._recorder.client is default_client()


def test_a_handler_can_be_unpickled_where_there_is_no_key():
    with Client("key", "project", "http://127.0.0.1:9") as client:
        pickled = pickle.dumps(MindlyticsHandler(client=client))
    script = f"import pickle; pickle.loads({pickled!r}).on_chain_start(None, 'Hi', run_id=1)"

    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (finished.returncode, finished.stdout) == (0, "")


def test_without_a_key_a_handler_says_so():
    with pytest.raises(ConfigurationError, match="MLSDK_API_KEY"):
        MindlyticsHandler()


def test_a_wrong_id_is_refused(lab: Any):
    with pytest.raises(InvalidArgument):
        MindlyticsHandler(client=lab.client, user_id="")


@pytest.mark.usefixtures("_uninstalled", "service_environment")
def test_an_installed_handler_records_every_run(lab: Any):
    install()
    lab.chain("Hello").invoke(QUESTION)
    lab.chain("Hello").invoke(QUESTION, {"callbacks": [MindlyticsHandler()]})
    uninstall()
    lab.chain("Hello").invoke(QUESTION)

    assert flush_sync()
    assert lab.arrived() == [*lab.whole(1, lab.turn(1, "Hi", "Hello")), *lab.whole(2, lab.turn(2, "Hi", "Hello"))]


@pytest.mark.usefixtures("_uninstalled")
async def test_an_installed_handler_records_in_every_way(how: str, lab: Any):
    install(lab.handler)
    agent = create_agent(lab.model(lab.say.call("add", a=1, b=2), lab.say.text("It is 3.")), [lab.add])

    await lab.run(lab.chain("Hello"), how, QUESTION, {})
    await lab.run(agent, how, {"messages": [("user", "1+2?")]}, {})

    call, used = lab.function(2, "add", '{"a": 1, "b": 2}', "3"), {"prompt_tokens": 12, "completion_tokens": 5}
    first = lab.streamed_inside(how)
    assert lab.arrived() == [
        *lab.whole(1, lab.turn(1, "Hi", "Hello", **lab.streamed(how))),
        *lab.whole(2, call, lab.turn(2, "1+2?", "It is 3.", **used, **first)),
    ]


@pytest.mark.usefixtures("_uninstalled")
@pytest.mark.parametrize("stop", ["interrupt_before", "interrupt_after"])
async def test_an_installed_handler_records_a_breakpoint_and_its_continuation_once(how: str, stop: str, lab: Any):
    # LangGraph tells only a handler of the call of its breakpoints.
    install(lab.handler)
    model = lab.model("one", "two")
    graph = StateGraph(MessagesState)
    graph.add_node("answer", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_edge(START, "answer")
    compiled = graph.compile(checkpointer=InMemorySaver(), **{stop: ["answer"]})
    config = {"configurable": {"thread_id": "t1"}}

    for given in (asking("first"), None, asking("second"), None):
        await lab.run(compiled, how, given, config)

    mine = {"session": "S1", "conversation": "t1"}
    assert lab.arrived() == [
        {"event": "start_session", "session": "S1"},
        {"event": "Conversation Started", **mine},
        {**lab.turn(1, "first", "one", **lab.streamed_inside(how)), **mine},
        {**lab.turn(2, "second", "two", **lab.streamed_inside(how)), **mine},
    ]


def test_an_installed_handler_records_a_run_with_a_handler_inside_once(_uninstalled: None, lab: Any):  # noqa: PT019
    install(client=lab.client)
    model = lab.model("Hello")
    model.callbacks = [MindlyticsHandler(client=lab.client)]
    (lab.chain("unused").first | model).invoke(QUESTION)

    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "Hello"))


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "astream"])
async def test_a_model_call_is_claimed_while_it_runs(how: str, lab: Any):
    claims: list[bool] = []
    kind = type(lab.model("x"))

    class Asking(kind):  # type: ignore[misc, valid-type]
        def _next(self) -> AIMessage:
            claims.append(model_call_is_claimed())
            return super()._next()

    asking = lab.chain("unused").first | Asking(messages=iter([AIMessage("Hello")]))
    called = getattr(asking, how)(QUESTION, lab.config)
    if how == "ainvoke":
        await called
    elif how == "astream":
        async for _ in called:
            pass
    else:
        list(called)

    assert claims == [True]
    assert not model_call_is_claimed()


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "batch", "abatch"])
async def test_a_cached_answer_is_a_turn_with_zero_tokens(how: str, lab: Any):
    model = lab.model("Hello")
    model.cache = InMemoryCache()

    for _ in range(2):
        await lab.run(model, how, "Hi")

    nothing = {"prompt_tokens": 0, "completion_tokens": 0}
    assert lab.arrived() == [
        *lab.whole(1, lab.turn(1, "Hi", "Hello")),
        *lab.whole(2, lab.turn(2, "Hi", "Hello", **nothing)),
    ]


async def test_parallel_branches_are_one_turn(how: str, lab: Any):
    both = RunnableParallel(joke=lab.chain("A joke."), poem=lab.chain("A poem."))

    await lab.run(both, how, QUESTION)

    used = {"prompt_tokens": 14, "completion_tokens": 6, **lab.streamed(how)}
    found = lab.arrived()
    # Which branch is the first to stream is a matter of chance.
    found[2]["assistant"] = json.loads(found[2]["assistant"])
    assert found == lab.whole(1, lab.turn(1, "Hi", {"joke": "A joke.", "poem": "A poem."}, **used))


async def test_a_branch_is_one_turn(how: str, lab: Any):
    greets = RunnableBranch((lambda given: given["question"] == "Hi", lab.chain("Hello")), lab.chain("unused"))

    await lab.run(greets, how, QUESTION)

    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "Hello", **lab.streamed(how)))


async def test_the_question_of_a_chain_with_documents_is_not_its_prompt(how: str, lab: Any):
    class Library(BaseRetriever):
        def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
            return [Document(f"All about {query}")]

    prompt = ChatPromptTemplate.from_template("Context: {context}\nQuestion: {question}")
    chain = {"context": Library(), "question": RunnablePassthrough()} | prompt | lab.model("Hello")

    await lab.run(chain, how, "Why?")

    assert lab.arrived() == lab.whole(1, lab.turn(1, "Why?", "Hello", **lab.streamed(how)))


async def test_the_answer_s_model_is_the_one_whose_text_it_is(how: str, lab: Any):
    answers, grades = lab.model(lab.say.text("The answer.")), lab.model(lab.say.text("good", (1, 1), model="grader-1"))

    def checked(question: str) -> str:
        answer = answers.invoke(question).text
        grades.invoke(f"Is it good? {answer}")
        return str(answer)

    await lab.run(RunnableLambda(checked), how, "Hi")

    usage = {"event": "Conversation Usage", "turn": "T1", "model": "grader-1"}
    assert lab.arrived() == lab.whole(
        1,
        {**usage, "prompt_tokens": 1, "completion_tokens": 1},
        lab.turn(1, "Hi", "The answer.", **lab.streamed_inside(how)),
    )
