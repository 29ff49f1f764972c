"""What the tests of every package share; importable as `helpers`, see `pythonpath` in pyproject.toml."""

import asyncio
import itertools
import json
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

from mindlytics_pytest import MindlyticsService as Service


def get(service: Service, path: str, **query: str) -> Any:
    """Ask the service as its users would, over HTTP."""
    request = urllib.request.Request(  # noqa: S310  # the address is ours
        f"{service.url}{path}?{urllib.parse.urlencode(query)}",
        headers={"Authorization": f"Bearer {service.api_key}", "X-App-ID": service.project_id},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.loads(answer.read())


def events(service: Service) -> list[dict[str, Any]]:
    """Every event that the service has stored, as it was on the wire, in the order of arrival."""
    return get(service, "/bc/v1/db/events/find", filter="{}")


def shape(found: list[dict[str, Any]]) -> list[str]:
    """The events' names alone: a tracked event's own name, otherwise its type."""
    return [event.get("event") or event["type"] for event in found]


async def suspended() -> None:
    """Let everything else that is ready run before the caller goes on."""
    resumed = asyncio.Event()
    asyncio.get_running_loop().call_soon(resumed.set)
    await resumed.wait()


def of_session(found: list[dict[str, Any]], session_id: str) -> list[dict[str, Any]]:
    """The events of one session."""
    return [event for event in found if event["session_id"] == session_id]


def readable(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    Events as a test writes them down: complete, session by session in the order of their starts.

    Ids that we made are numbered in their order, times are `ms`, and sessions of nobody show no identity.
    """
    names: dict[str, str] = {}
    count = {kind: itertools.count(1) for kind in "SCT"}

    def named(kind: str, value: str) -> str:
        if len(value) > 20 and value not in names:  # no test gives an id that is as long
            names[value] = f"{kind}{next(count[kind])}"
        return names.get(value, value)

    # Several sessions may travel at once; within one the order is the order of arrival.
    begun = {event["session_id"]: event["timestamp"] for event in reversed(found)}
    found = sorted(found, key=lambda event: (begun[event["session_id"]], event["session_id"]))
    return [_readable(event, named) for event in found]


def _readable(event: dict[str, Any], named: Callable[[str, str], str]) -> dict[str, Any]:
    shown = {"event": event.get("event") or event["type"], "session": named("S", event["session_id"])}
    if "conversation_id" in event:
        shown["conversation"] = named("C", event["conversation_id"])
    own = {"device_id"} if event.get("device_id") == event["session_id"] else set()
    shown |= {name: event[name] for name in ("user_id", "device_id") if name in event and name not in own}
    shown |= {name: event[name] for name in ("id", "traits") if event["type"] == "identify" and name in event}
    for name, value in {**event.get("properties", {}), **event.get("attributes", {})}.items():
        if name == "turn_id":
            shown["turn"] = named("T", value)
        elif name.endswith("_ms") or name == "runtime":
            assert value >= 0
            shown[name] = "ms"
        else:
            shown[name] = value
    return shown
