"""LangGraph, as far as a handler must know it, without importing it: whoever runs a graph has done that."""

import sys
from collections.abc import Mapping
from typing import Any

#: What only the metadata of a graph's nodes, and of what runs in them, has.
NODE = "langgraph_node"
#: What LangGraph raises to steer a run; no failure.
_CONTROL_FLOW = "GraphBubbleUp"
_INTERRUPTS = ("GraphInterrupt", "NodeInterrupt")
_INTEGRATIONS = ("langgraph", "langchain_create_agent")
#: The name of a graph that was given none.
_NO_NAME = "LangGraph"
#: Where LangGraph gives a part of a graph the function that reads the graph's state; no public name, but an old one.
_READ = "__pregel_read"
#: The path to a part of a graph: names and ids, `node:id|node:id`.
_PATH = "langgraph_checkpoint_ns"
_TOOL_CALL = "tool_call_with_context"


def is_control_flow(error: BaseException) -> bool:
    """Whether an error only steers a graph: an interrupt, or a hand-off to its parent."""
    return any(kind.__name__ == _CONTROL_FLOW for kind in type(error).__mro__)


def is_interrupt(error: BaseException) -> bool:
    """Whether a graph stops to ask a person."""
    return any(kind.__name__ in _INTERRUPTS for kind in type(error).__mro__)


def graph_name(name: str | None, metadata: Mapping[str, Any] | None) -> str | None:
    """An agent's or a graph's own name; None for what is no graph, or has none."""
    metadata = metadata or {}
    agent = metadata.get("lc_agent_name")
    if isinstance(agent, str) and agent:
        return agent
    return name if metadata.get("ls_integration") in _INTEGRATIONS and name != _NO_NAME else None


def name_above_node(name: str | None, metadata: Mapping[str, Any] | None) -> str | None:
    """The same, told by the metadata of a part: an older LangGraph says nothing at the root."""
    return name if metadata and NODE in metadata and name != _NO_NAME else None


def task_id(metadata: Mapping[str, Any] | None) -> str | None:
    """The id of the graph's part that a run belongs to: the same when it is run again after an interrupt."""
    path = (metadata or {}).get(_PATH)
    return path.partition("|")[0].rpartition(":")[2] if isinstance(path, str) else None


def shown_state(given: Any) -> Any:
    """The state in a node's input: that is it itself, or, in an agent of an older LangChain, beside a tool call."""
    return given.get("state") if isinstance(given, dict) and given.get("__type") == _TOOL_CALL else given


def state_messages(configurable: Mapping[str, Any] | None) -> Any:
    """The messages in the state of the graph that a part runs in; None where it has none, or shows none."""
    read = (configurable or {}).get(_READ)
    try:
        return read("messages") if callable(read) else None
    except KeyError:
        return None


def receive_graph_events(handler: Any) -> None:
    """
    Let a handler hear of a graph's interrupts.

    Only instances of LangGraph's own class hear of them, and a static breakpoint is reported in no other way. To
    make that class a base from the start would mean to import LangGraph, which takes a second, for every chain.
    """
    module = sys.modules.get("langgraph.callbacks")
    base = getattr(module, "GraphCallbackHandler", None)
    if base is not None and not isinstance(handler, base):
        handler.__class__ = _graph_aware(type(handler), base)


_graph_classes: dict[tuple[type, type], type] = {}


def _graph_aware(kind: type, base: type) -> type:
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    if (kind, base) not in _graph_classes:
        _graph_classes[kind, base] = type(kind.__name__, (kind, base), names)
    return _graph_classes[kind, base]
