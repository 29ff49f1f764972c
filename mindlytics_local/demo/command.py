"""The command `mindlytics demo`: real conversations through a real model, and what arrived of them."""

import argparse
import asyncio
import importlib
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from rich.console import Console

from mindlytics_local import LocalService, start
from mindlytics_local.demo._steps import step

HELP = "hold conversations with a small real model and show what arrives; no account needed"

_USUAL_PORT = 3000
_KEY = _PROJECT = "demo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--keep", action="store_true", help="keep the service and its page open until Ctrl-C")
    parser.add_argument("--port", type=int, help=f"the service's port (default: {_USUAL_PORT}, else any free one)")


def run(args: argparse.Namespace) -> int:
    """Play the scenes, and give 0 when everything that they did has arrived."""
    console = Console(highlight=False)
    console.print("[bold]Mindlytics demo[/bold]: conversations of an LLM app, and what the service gets of them")
    try:
        with step(console, "loading the frameworks"):
            # Takes seconds, and may miss a package: both are worth saying first.
            play = importlib.import_module("mindlytics_local.demo._play").play
        service = _start(args.port)
    except (ImportError, OSError) as error:
        sys.stderr.write(f"mindlytics demo: {error}\n")
        return 1
    with service, _environment(_variables(service.url)):
        console.print(f"[green]•[/green] local service at {service.url}")
        code: int = asyncio.run(play(console, service.url, _KEY, _PROJECT))
        _close_or_keep(console, service, keep=args.keep)
    return code


def _variables(url: str) -> dict[str, str]:
    # Also what a user may have switched off or kept on disk for other purposes must not stop a demo.
    mine = {"MLSDK_DISABLED": "", "MLSDK_SPOOL_DIR": ""}
    return {"MLSDK_SERVER_BASE": url, "MLSDK_API_KEY": _KEY, "MLSDK_PROJECT_ID": _PROJECT, **mine}


def _start(port: int | None) -> LocalService:
    if port is not None:
        return start(port=port)
    with suppress(OSError):
        return start(port=_USUAL_PORT)
    return start()


def _close_or_keep(console: Console, service: LocalService, *, keep: bool) -> None:
    console.print(f"\nThe conversations on a page: [bold]{service.url}[/bold]")
    if not keep:
        console.print("It closes now. To look at it: [bold]mindlytics demo --keep[/bold] (make demo KEEP=1)")
        return
    console.print("It stays open until Ctrl-C.")
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables as a user's shell would, and put back what was there."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
