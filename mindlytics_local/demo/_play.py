"""The demo's course: a model, the scenes, then what arrived."""

import functools

from rich.console import Console

import mindlytics_core
from mindlytics_local.demo import _report
from mindlytics_local.demo._model import the_model
from mindlytics_local.demo._scenes import SCENES, Seen
from mindlytics_local.demo._steps import step


async def play(console: Console, url: str, api_key: str, project_id: str) -> int:
    """
    Hold the conversations, and give 0 when the service has all of them, else 1.

    Args:
        console: Where progress and the table go.

        url: The service's address.

        api_key: The key that the environment holds too.

        project_id: The project, likewise.
    """
    seen = await _hold_conversations(console)
    with step(console, "delivering the last events"):
        # An app does nothing here: its exit ends and delivers everything. The demo goes on to look at it.
        delivered = mindlytics_core.default_client().close()
    arrived = _report.read_back(url, api_key, project_id)
    _report.show(console, arrived)
    faults = _report.missing(seen, arrived)
    if not delivered:
        faults.append(f"not delivered: {delivered}")
    for fault in faults:
        console.print(f"[red]missing:[/red] {fault}", markup=True)
    if not faults:
        console.print("[green]Everything that was said has arrived.[/green]")
    return 1 if faults else 0


async def _hold_conversations(console: Console) -> list[Seen]:
    seen = []
    with the_model(functools.partial(console.print, highlight=False)) as model:
        for scene in SCENES:
            with step(console, (scene.__doc__ or "").split(":")[0].rstrip(".")):
                seen.append(await scene(model))
    return seen
