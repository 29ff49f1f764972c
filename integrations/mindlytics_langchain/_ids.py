"""Whose and which conversation a run belongs to, as far as LangChain's metadata and configuration say. No state."""

import uuid
from collections.abc import Mapping
from typing import Any

from mindlytics_core import Ids

_PREFIX = "mindlytics_"
_NAMES = ("user_id", "device_id", "session_id", "conversation_id")
_THREAD = "thread_id"
_OURS = frozenset(_PREFIX + name for name in _NAMES)
_FRAMEWORK_NAMES = frozenset((*_NAMES, _THREAD))
_KINDS = (str, int, uuid.UUID)
_NO_IDS = Ids()


def call_ids(metadata: Mapping[str, Any] | None) -> Ids:
    """The ids given with the call, as `metadata={"mindlytics_user_id": …}`."""
    if not metadata or _OURS.isdisjoint(metadata):
        return _NO_IDS
    return Ids(**{name: as_id(metadata.get(_PREFIX + name)) for name in _NAMES})


def framework_ids(thread_id: str | None, *sources: Mapping[str, Any] | None) -> Ids:
    """
    The ids that LangChain and LangGraph use themselves.

    A `session_id` is, to LangChain, the key of a message history: where nothing else names the conversation,
    it names that too.

    Args:
        thread_id: LangGraph's name of the thread, if it is known.

        sources: Metadata and `configurable`, the first to be believed first.
    """
    found: dict[str, Any] = {}
    for source in reversed(sources):
        if source and not _FRAMEWORK_NAMES.isdisjoint(source):
            found.update((name, known) for name in _FRAMEWORK_NAMES & source.keys() if (known := as_id(source[name])))
    if thread_id is not None:
        found[_THREAD] = thread_id
    if not found:
        return _NO_IDS
    conversation_id = found.get(_THREAD) or found.get("conversation_id") or found.get("session_id")
    return Ids(found.get("user_id"), found.get("device_id"), found.get("session_id"), conversation_id)


def thread_id(*sources: Mapping[str, Any] | None) -> str | None:
    """LangGraph's name of the thread that can be interrupted and resumed."""
    for source in sources:
        if source and _THREAD in source and (found := as_id(source[_THREAD])):
            return found
    return None


def as_id(value: Any) -> str | None:
    """An id as it was given, a number as its text; None for what is no id."""
    if isinstance(value, bool) or not isinstance(value, _KINDS):
        return None
    return str(value) or None
