"""What arrived, read back from the service over HTTP, shown and held against what was done."""

import json
from dataclasses import dataclass
from typing import Any

import httpx
from rich.console import Console
from rich.text import Text

from mindlytics_local.demo._scenes import Said, Seen

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Arrived:
    """
    One conversation as the service has it.

    Attributes:
        conversation: The service's record of it.

        session: The service's record of its session.

        events: Its events, oldest first.
    """

    conversation: Record
    session: Record
    events: list[Record]

    def turns(self) -> list[Said]:
        """Its turns, each with the function calls before it."""
        turns, functions = [], []
        for event in self.events:
            properties = event.get("properties", {})
            if event.get("event") == "Conversation Function":
                functions.append(properties["name"])
            elif event.get("event") == "Conversation Turn":
                turns.append(Said(properties["user"], properties["assistant"], tuple(functions)))
                functions = []
        return turns


def read_back(url: str, api_key: str, project_id: str) -> list[Arrived]:
    """
    Everything that the service has of a project, oldest conversation first.

    Args:
        url: The service's address.

        api_key: The key to ask with.

        project_id: The project.
    """
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {api_key}", "X-App-ID": project_id}) as http:
        sessions = {record["session_id"]: record for record in _find(http, "sessions")}
        events = _find(http, "events")
        return [
            Arrived(
                conversation,
                sessions[conversation["session_id"]],
                [event for event in events if event.get("conversation_id") == conversation["conversation_id"]],
            )
            for conversation in _find(http, "conversations")
        ]


def missing(seen: list[Seen], arrived: list[Arrived]) -> list[str]:
    """
    What was done and cannot be found, one line each; nothing when all is there.

    Args:
        seen: What the scenes did.

        arrived: What the service has.
    """
    lines = []
    left = list(arrived)
    for scene in seen:
        for turns in scene.conversations:
            found = next((candidate for candidate in left if candidate.turns() == turns), None)
            if found is None:
                lines.append(
                    f"{scene.title}: the conversation that begins {turns[0].user!r} is not there as it was held"
                )
                continue
            left.remove(found)
            lines.extend(f"{scene.title}: {fault}" for fault in _incomplete(found))
    lines.extend(f"nobody held the conversation {extra.conversation['conversation_id']}" for extra in left)
    return lines


def show(console: Console, arrived: list[Arrived]) -> None:
    """
    Print what arrived, conversation by conversation, so that it fits a terminal of any width.

    Args:
        console: Where to.

        arrived: What the service has.
    """
    console.print("What arrived, read back from the service", style="bold")
    for one in arrived:
        tokens = one.conversation["prompt_tokens"] + one.conversation["completion_tokens"]
        console.print()
        _line(console, Text(f"{_owner(one.session)}, {tokens} tokens, {_how_ended(one)}", style="cyan"))
        for turn in one.turns():
            _line(console, _said("user", turn.user))
            for function in turn.functions:
                _line(console, _said("called", function))
            _line(console, _said("assistant", turn.assistant))
    console.print()


def _find(http: httpx.Client, collection: str) -> list[Record]:
    answer = http.get(f"/bc/v1/db/{collection}/find", params={"filter": json.dumps({})})
    answer.raise_for_status()
    records: list[Record] = answer.json()
    return records


def _incomplete(one: Arrived) -> list[str]:
    conversation, session = one.conversation, one.session
    checks = {
        "its tokens are not there": conversation["prompt_tokens"] and conversation["completion_tokens"],
        "it never ended": conversation["ended_at"],
        "its session never ended": session["ended_at"],
        "its session never started": session["started_by"] == "event",
    }
    return [fault for fault, holds in checks.items() if not holds]


def _owner(session: Record) -> str:
    return str(session.get("user_id") or "anonymous")


def _how_ended(one: Arrived) -> str:
    if not one.conversation["ended_at"]:
        return "still open"
    return "ended with its session" if one.session["ended_at"] else "ended"


def _said(who: str, text: str) -> Text:
    return Text.assemble((f"  {who:11}", "dim"), " ".join(text.split()))


def _line(console: Console, text: Text) -> None:
    console.print(text, no_wrap=True, overflow="ellipsis")
