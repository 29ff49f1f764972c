"""The command `mindlytics import`: past conversations from a file, with their times."""

import argparse
import contextlib
import functools
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from mindlytics_cli import _connection
from mindlytics_cli.importing._framing import sniffed
from mindlytics_cli.importing._importer import Importer
from mindlytics_cli.importing._progress import InUse, Progress, state_directory
from mindlytics_cli.importing._records import AUTO, FORMATS, Reading
from mindlytics_cli.importing._sending import Sender, Stopped
from mindlytics_cli.importing._shown import Shown
from mindlytics_cli.importing._source import Source
from mindlytics_core import ConfigurationError

HELP = "import past conversations from a file: JSON Lines, OpenAI chats, or a ChatGPT data export"

_PATIENCE = 60.0
_HEAD_BYTES = 64 * 1024
_INTERRUPTED = 130
_CHANGED = "it has changed since the last run, and nobody can tell what of it was imported; see --restart"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", metavar="FILE", help="the file; - reads the standard input")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default=AUTO,
        help="what a record is: conversations (turns), chatgpt (the data export's conversations.json), openai "
        "(messages), events (as the local service exports them); auto looks at each record (default: %(default)s)",
    )
    parser.add_argument("--user-id", metavar="ID", help="the user of conversations that name none")
    parser.add_argument("--dry-run", action="store_true", help="read and check everything, send nothing")
    parser.add_argument("--restart", action="store_true", help="begin anew, also with what was imported before")
    _connection.add_arguments(parser)
    parser.add_argument(
        "--timeout",
        type=_connection.seconds,
        default=_PATIENCE,
        metavar="SECONDS",
        help="give up when the service takes nothing for so long (default: %(default)g)",
    )


def run(args: argparse.Namespace) -> int:
    """Import; give 0 when everything was, 1 when something was not, 130 after Ctrl-C."""
    try:
        with _opened(args.file) as stream, _interruptions() as interrupted:
            shown = Shown(args.file, _size(args.file))
            with shown:
                importer = Importer(_reading(args), shown, interrupted)
                stopped = _go(args, stream, importer, shown)
            shown.summary(importer.counts, stopped, dry_run=args.dry_run)
            if interrupted():
                return _INTERRUPTED
            return 1 if stopped or importer.counts.faulty else 0
    except BrokenPipeError:
        raise
    except (OSError, ConfigurationError) as error:
        return _failed(error)


def _failed(error: OSError | ConfigurationError) -> int:
    text = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
    sys.stderr.write(f"mindlytics import: {text}\n")
    return 1


def _go(args: argparse.Namespace, stream: BinaryIO, importer: Importer, shown: Shown) -> str:
    """Read the file to its end, or to where something stopped it; that is what comes back."""
    framing = sniffed(stream.peek(_HEAD_BYTES) if hasattr(stream, "peek") else b"")
    source = Source(stream)
    if args.dry_run:
        importer.check(source, framing)
        return ""
    sender = Sender(
        functools.partial(_connection.client, args), patience=args.timeout, interrupted=importer.interrupted
    )
    try:
        progress = _progress(args.file, sender)
        if progress is None:
            importer.send(source, framing, sender, lambda _: None)
        else:
            with progress.held():
                if not _resumed(source, progress, shown, restart=args.restart):
                    return _CHANGED
                importer.send(source, framing, sender, progress.save)
    except Stopped as stopped:
        return str(stopped)
    except InUse:
        return "another import of it into this project is running"
    finally:
        sender.close()
    return "interrupted" if importer.interrupted() else ""


def _progress(file: str, sender: Sender) -> Progress | None:
    """Where to keep how far it came; what comes through a pipe cannot be gone on with."""
    if sender.is_disabled:
        raise ConfigurationError("MLSDK_DISABLED is set, so that nothing would be sent.")
    return None if file == "-" else Progress(state_directory(), Path(file), sender.destination)


def _resumed(source: Source, progress: Progress, shown: Shown, *, restart: bool) -> bool:
    if restart:
        progress.forget()
    mark = progress.load()
    if mark is None:
        return True
    shown.resumed(mark)
    return source.skip_to(mark)


def _reading(args: argparse.Namespace) -> Reading:
    # The file's own time is the best guess for what has none, and the same at every run.
    now = datetime.now(UTC)
    undated = now if args.file == "-" else datetime.fromtimestamp(Path(args.file).stat().st_mtime, UTC)
    return Reading(args.format, args.user_id, undated)


@contextlib.contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
    else:
        with Path(file).open("rb") as stream:
            yield stream


def _size(file: str) -> int | None:
    return None if file == "-" else Path(file).stat().st_size


@contextlib.contextmanager
def _interruptions() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a wish; the second Ctrl-C ends at once, as it always does."""
    wished: list[int] = []

    def wish(number: int, _: FrameType | None) -> None:
        wished.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, wish) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(wished)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
