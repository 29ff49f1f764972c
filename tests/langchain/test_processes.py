"""A graph that is interrupted in one process and resumed in another, its checkpoints on disk."""

from pathlib import Path
from typing import Any

import pytest
from helpers import Service
from programs import run

#: Runs the graph in `GRAPH` up to its interrupt, or to its end when it was interrupted before.
PROGRAM = """
import asyncio, pickle, pathlib
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from mindlytics_langchain import MindlyticsHandler

class Model(GenericFakeChatModel):
    def bind_tools(self, *_, **__):
        return self

def said(text, *calls):
    calls = [{"name": name, "args": args, "id": name} for name, args in calls]
    usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    return AIMessage(text, tool_calls=calls, usage_metadata=usage, response_metadata={"model_name": "tiny-1"})

def plain(held):
    return {key: plain(item) for key, item in held.items()} if isinstance(held, dict) else held

disk = pathlib.Path(DISK)
saver = InMemorySaver()
is_resumed = disk.exists()
if is_resumed:
    for name, held in pickle.loads(disk.read_bytes()).items():
        getattr(saver, name).update(held)

GRAPH

config = {"configurable": {"thread_id": "t1"}, "callbacks": [MindlyticsHandler(user_id="u1")]}
given = Command(resume="yes") if is_resumed else asked
if HOW == "ainvoke":
    asyncio.run(graph.ainvoke(given, config))
else:
    list(getattr(graph, HOW)(given, config))
disk.write_bytes(pickle.dumps({name: plain(getattr(saver, name)) for name in ("storage", "writes", "blobs")}))
"""

ASKED = 'asked = {"messages": [("user", "Delete it.")]}\n'
#: The interrupt comes from a tool, after another one has run.
AGENT = (
    ASKED
    + """
@tool
def find(what: str) -> str:
    'Find it.'
    return "found " + what

@tool
def confirm(what: str) -> str:
    'Ask a person.'
    return what + ": " + interrupt("Really?")

before = [said("", ("find", {"what": "it"})), said("", ("confirm", {"what": "it"}))]
model = Model(messages=iter([said("Deleted.")] if is_resumed else before))
graph = create_agent(model, [find, confirm], checkpointer=saver)
"""
)
#: The interrupt comes from a node after its model, which is called again by the resumed run.
NODE = (
    ASKED
    + """
def ask(state):
    Model(messages=iter([said("Deleted.")])).invoke(state["messages"])
    return {"messages": [("ai", "Deleted: " + interrupt("Really?"))]}

building = StateGraph(MessagesState)
building.add_node("ask", ask)
building.add_edge(START, "ask")
graph = building.compile(checkpointer=saver)
"""
)
#: A workflow has no messages, but its own input again.
WORKFLOW = """
asked = "Delete it."

@entrypoint(checkpointer=saver)
def graph(question):
    return "Deleted: " + interrupt(question + " Really?")
"""

MINE = {"conversation": "t1", "user_id": "u1"}
ANSWER = {"user": "Delete it.", "latency_ms": "ms"}
USAGE = {"model": "tiny-1", "prompt_tokens": 5, "completion_tokens": 2}


def whole(number: int, *inside: dict[str, Any]) -> list[dict[str, Any]]:
    """All that one process records."""
    mine = {"session": f"S{number}", **MINE}
    session = {"session": f"S{number}", "user_id": "u1"}
    return [
        {"event": "start_session", **session},
        {"event": "Conversation Started", **mine},
        *({**event, **mine} for event in inside),
        {"event": "Conversation Ended", **mine},
        {"event": "end_session", **session},
    ]


def play(service: Service, disk: Path, graph: str, how: str) -> None:
    program = PROGRAM.replace("GRAPH", graph).replace("DISK", repr(str(disk))).replace("HOW", repr(how))
    finished = run(program, service.environment())
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


@pytest.mark.parametrize("how", ["stream", "ainvoke"])
def test_an_agent_that_another_process_resumes_leaves_one_turn(how: str, service: Service, tmp_path: Path, lab: Any):
    for _ in range(2):
        play(service, tmp_path / "checkpoints", AGENT, how)

    suspended = {"event": "Turn Suspended", "turn": "T1", "user": "Delete it."}
    spent = {"event": "Conversation Usage", "turn": "T1", **USAGE, "prompt_tokens": 10, "completion_tokens": 4}
    # Both processes know the turn by the message that it began with.
    assert lab.arrived() == [
        *whole(1, lab.function(1, "find", '{"what": "it"}', "found it"), spent, suspended),
        *whole(
            2,
            lab.function(1, "confirm", '{"what": "it"}', "it: yes"),
            lab.turn(1, "Delete it.", "Deleted.", prompt_tokens=5, completion_tokens=2),
        ),
    ]


def test_a_node_that_another_process_resumes_leaves_one_turn(service: Service, tmp_path: Path, lab: Any):
    for _ in range(2):
        play(service, tmp_path / "checkpoints", NODE, "invoke")

    suspended = {"event": "Turn Suspended", "turn": "T1", "user": "Delete it."}
    assert lab.arrived() == [
        *whole(1, {"event": "Conversation Usage", "turn": "T1", **USAGE}, suspended),
        *whole(2, lab.turn(1, "Delete it.", "Deleted: yes", **USAGE)),
    ]


def test_a_workflow_that_another_process_resumes_has_its_question(service: Service, tmp_path: Path, lab: Any):
    for _ in range(2):
        play(service, tmp_path / "checkpoints", WORKFLOW, "invoke")

    nothing = dict.fromkeys(USAGE)
    # Without messages nothing tells the other process which turn it was.
    assert lab.arrived() == [
        *whole(1, {"event": "Turn Suspended", "turn": "T1", "user": "Delete it."}),
        *whole(2, lab.turn(2, "Delete it.", "Deleted: yes", **nothing)),
    ]
