"""What the tests of every package share; importable as `helpers`, see `pythonpath` in pyproject.toml."""

import asyncio
import json
import urllib.parse
import urllib.request
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
