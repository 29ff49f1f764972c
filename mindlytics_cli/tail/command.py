"""The command `mindlytics tail`: live events, one a line, until Ctrl-C."""

import argparse
import asyncio
import queue
import shutil
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from mindlytics_cli import _connection
from mindlytics_cli._plain import plain
from mindlytics_cli.tail._lines import line
from mindlytics_core import Client, ConfigurationError, DeliveryError, MLEvent, RequestFailed

HELP = "show the project's live events as they come, until Ctrl-C"

#: Events that wait for the terminal; beyond it the connection waits.
_MOST_WAITING = 1_000
#: More seconds than the first attempt can take; it ends by itself.
_FIRST_TIMEOUT = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--session", metavar="ID", help="only events of this session")
    parser.add_argument("--user", metavar="ID", help="only events of this user")
    parser.add_argument("--json", action="store_true", help="write each event as a line of JSON")
    _connection.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Listen until Ctrl-C, which is 130 as with every program that it ends; give 1 if there is nothing to hear."""
    try:
        with _connection.client(args) as client:
            _follow(client, _wanted(args.session, args.user), _as_json if args.json else _as_line)
    except RequestFailed as error:
        _say(f"{error}; `mindlytics doctor` says what to do")
    except ConfigurationError as error:
        _say(str(error))
    return 1


def _follow(client: Client, wanted: Callable[[MLEvent], bool], written: Callable[[MLEvent], str]) -> None:
    """Write what comes, for ever; the callbacks' thread only hands over, so that a slow terminal slows the rest."""
    if client.config.disabled:
        raise ConfigurationError("MLSDK_DISABLED is set, so that nothing would be heard.")
    heard: queue.Queue[MLEvent] = queue.Queue(_MOST_WAITING)
    listening = threading.Event()

    def report(error: DeliveryError) -> None:
        # The failure of the first attempt is raised below.
        if listening.is_set():
            _say(f"{error}; connecting again" if isinstance(error, RequestFailed) else str(error))

    asyncio.run(client.start_listening(on_event=heard.put, on_error=report, timeout=_FIRST_TIMEOUT))
    listening.set()
    _say(f"listening to project {client.project_id} at {client.server_endpoint}")
    while True:
        event = heard.get()
        if wanted(event):
            sys.stdout.write(f"{written(event)}\n")
            sys.stdout.flush()


def _wanted(session: str | None, user: str | None) -> Callable[[MLEvent], bool]:
    def wanted(event: MLEvent) -> bool:
        return session in {None, event.session_id} and user in {None, event.user_id}

    return wanted


def _as_json(event: MLEvent) -> str:
    return event.model_dump_json(exclude_none=True)


def _as_line(event: MLEvent) -> str:
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    return line(event, zone=None, now=datetime.now(UTC), columns=columns)


def _say(text: str) -> None:
    sys.stderr.write(f"mindlytics tail: {plain(text)}\n")
