"""Graphs that are interrupted in one process and resumed in another, their checkpoints on disk."""

from pathlib import Path
from typing import Any

from helpers import Service
from programs import run, said

#: Runs five graphs up to their interrupts, or to their ends when they were interrupted before.
PROGRAM = """
import asyncio, pickle, pathlib
from typing import TypedDict
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

# The interrupt comes from a tool, after another one has run.
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
agent = create_agent(model, [find, confirm], checkpointer=saver)

# The interrupt comes from a node, after its model, which is called again by the resumed run.
def ask(state):
    Model(messages=iter([said("Deleted.")])).invoke(state["messages"])
    return {"messages": [("ai", "Deleted: " + interrupt("Really?"))]}

building = StateGraph(MessagesState)
building.add_node("ask", ask)
building.add_edge(START, "ask")
graph = building.compile(checkpointer=saver)

# Neither has messages; a workflow is given its own input again, and a part that stopped is known by its id.
@entrypoint(checkpointer=saver)
def workflow(question):
    return "Deleted: " + interrupt(question + " Really?")

class Asked(TypedDict, total=False):
    question: str
    answer: str

def stops(state):
    return {"answer": "Deleted: " + interrupt(state["question"])}

bare = StateGraph(Asked)
bare.add_node("stops", stops)
bare.add_edge(START, "stops")
late = StateGraph(Asked)
late.add_node("first", lambda state: {"question": state["question"] + "!"})
late.add_node("stops", stops)
late.add_edge(START, "first")
late.add_edge("first", "stops")

def config(thread_id):
    return {"configurable": {"thread_id": thread_id}, "callbacks": [MindlyticsHandler(user_id="u1")]}

def given(asked):
    return Command(resume="yes") if is_resumed else asked

messages = {"messages": [("user", "Delete it.")]}
asyncio.run(agent.ainvoke(given(messages), config("agent")))
list(graph.stream(given(messages), config("graph")))
workflow.invoke(given("Delete it."), config("workflow"))
for name, building in (("bare", bare), ("late", late)):
    building.compile(checkpointer=saver).invoke(given({"question": "Delete it."}), config(name))
disk.write_bytes(pickle.dumps({name: plain(getattr(saver, name)) for name in ("storage", "writes", "blobs")}))
"""

USAGE = {"model": "tiny-1", "prompt_tokens": 5, "completion_tokens": 2}


def whole(number: int, thread_id: str, *inside: dict[str, Any]) -> list[dict[str, Any]]:
    """All that one process records of one thread."""
    session = {"session": f"S{number}", "user_id": "u1"}
    mine = {**session, "conversation": thread_id}
    return [
        {"event": "start_session", **session},
        {"event": "Conversation Started", **mine},
        *({**event, **mine} for event in inside),
        {"event": "Conversation Ended", **mine},
        {"event": "end_session", **session},
    ]


def suspended(number: int) -> dict[str, Any]:
    return {"event": "Turn Suspended", "turn": f"T{number}", "user": "Delete it."}


def spent(number: int, calls: int) -> dict[str, Any]:
    tokens = {"prompt_tokens": 5 * calls, "completion_tokens": 2 * calls}
    return {"event": "Conversation Usage", "turn": f"T{number}", **USAGE, **tokens}


def test_what_another_process_resumes_is_one_turn(service: Service, tmp_path: Path, lab: Any):
    program = PROGRAM.replace("DISK", repr(str(tmp_path / "checkpoints")))
    for _ in range(2):
        finished = run(program, service.environment())
        assert (finished.returncode, finished.stdout, said(finished)) == (0, "", "")

    nothing = dict.fromkeys(USAGE)
    assert lab.arrived() == [
        *whole(1, "agent", lab.function(1, "find", '{"what": "it"}', "found it"), spent(1, 2), suspended(1)),
        *whole(2, "graph", spent(2, 1), suspended(2)),
        *whole(3, "workflow", suspended(3)),
        *whole(4, "bare", suspended(4)),
        *whole(5, "late", suspended(5)),
        # Both processes know a turn by the message that it began with, or by the part that it stopped in.
        *whole(
            6,
            "agent",
            lab.function(1, "confirm", '{"what": "it"}', "it: yes"),
            lab.turn(1, "Delete it.", "Deleted.", **USAGE),
        ),
        *whole(7, "graph", lab.turn(2, "Delete it.", "Deleted: yes", **USAGE)),
        *whole(8, "workflow", lab.turn(3, "Delete it.", "Deleted: yes", **nothing)),
        *whole(9, "bare", lab.turn(4, "Delete it.", "Deleted: yes", **nothing)),
        # Without messages, and stopped in a later part, the two share only the conversation.
        *whole(10, "late", lab.turn(6, "Delete it.!", "Deleted: yes", **nothing)),
    ]
