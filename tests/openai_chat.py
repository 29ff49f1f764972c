"""The chat that the tests of the OpenAI integration hold, and the events that it makes, as `readable` shows them."""

import importlib
import itertools
from typing import Any

import openai

#: The HTTP library that the installed openai is made with.
http = importlib.import_module(openai._base_client.URL.__module__.partition(".")[0])

QUESTION = [{"role": "user", "content": "Hello?"}]

INSIDE = {"session": "S1", "conversation": "C1", "turn": "T1"}
BASE = {**INSIDE, "latency_ms": "ms", "user": "Hello?"}
USED = {"prompt_tokens": 7, "completion_tokens": 3}
OPENED = [
    {"event": "start_session", "session": "S1"},
    {"event": "Conversation Started", "session": "S1", "conversation": "C1"},
]
TURN = {**BASE, "event": "Conversation Turn", "assistant": "Hi there", "model": "tiny-1", **USED}
STREAMED = {**TURN, "time_to_first_token_ms": "ms"}
FAILED = {**BASE, "event": "Turn Failed"}
ENDED = [
    {"event": "Conversation Ended", "session": "S1", "conversation": "C1"},
    {"event": "end_session", "session": "S1"},
]


def without_usage(turn: dict[str, Any]) -> dict[str, Any]:
    """A turn of which nobody was told what it used."""
    return {name: value for name, value in turn.items() if not name.endswith("_tokens")}


def chats(*spoken: list[Any], are_ended: bool = False, **more: Any) -> list[dict[str, Any]]:
    """
    The events of several conversations.

    Args:
        spoken: Of each conversation its turns: what the user said and what was answered, or the whole turn.

        are_ended: Whether they are over.

        more: What every event has besides.
    """
    numbers = itertools.count(1)
    found = []
    for number, turns in enumerate(spoken, start=1):
        place = {"session": f"S{number}", "conversation": f"C{number}"}
        told = (turn if isinstance(turn, dict) else {**TURN, "user": turn[0], "assistant": turn[1]} for turn in turns)
        events = [*OPENED, *({**turn, "turn": f"T{next(numbers)}"} for turn in told), *(ENDED if are_ended else ())]
        found += [{**event, **{name: place[name] for name in place if name in event}, **more} for event in events]
    return found
