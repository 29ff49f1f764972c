"""A graph that is interrupted in one process and resumed in another, its checkpoints on disk."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from helpers import Service, events

PROGRAM = """
import pickle, pathlib, sys
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from mindlytics_langchain import MindlyticsHandler

disk = pathlib.Path(sys.argv[1])
saver = InMemorySaver()
if disk.exists():
    for name, held in pickle.loads(disk.read_bytes()).items():
        getattr(saver, name).update(held)

def ask(state):
    FakeListChatModel(responses=["Deleted."]).invoke(state["messages"])
    said = interrupt("Really?")
    return {"messages": [("ai", f"Deleted: {said}")]}

graph = StateGraph(MessagesState)
graph.add_node("ask", ask)
graph.add_edge(START, "ask")
given = Command(resume="yes") if disk.exists() else {"messages": [("user", "Delete it.")]}
config = {"configurable": {"thread_id": "t1"}, "callbacks": [MindlyticsHandler(user_id="u1")]}
graph.compile(checkpointer=saver).invoke(given, config)

def plain(held):
    return {key: plain(item) for key, item in held.items()} if isinstance(held, dict) else held

kept = {"storage": {}, "writes": plain(saver.writes), "blobs": plain(saver.blobs)}
kept["storage"] = plain(saver.storage)
disk.write_bytes(pickle.dumps(kept))
"""


def run(service: Service, disk: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(disk)],
        env={**os.environ, **service.environment()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


def test_a_run_that_another_process_resumes_lands_in_the_same_conversation(service: Service, tmp_path: Path):
    run(service, tmp_path / "checkpoints")
    run(service, tmp_path / "checkpoints")

    found: list[dict[str, Any]] = events(service)
    assert {event["conversation_id"] for event in found if "conversation_id" in event} == {"t1"}
    assert {event["user_id"] for event in found} == {"u1"}
    told = [event["properties"] for event in found if event.get("event") in ("Turn Failed", "Conversation Turn")]
    # A process that ends cannot know whether another will go on.
    assert [(one["user"], one.get("error"), one.get("assistant")) for one in told] == [
        ("Delete it.", "NoAnswer", None),
        ("Delete it.", None, "Deleted: yes"),
    ]
