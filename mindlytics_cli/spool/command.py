"""The command `mindlytics spool`: what processes have left on disk."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from mindlytics_cli import _connection
from mindlytics_core import ConfigurationError
from mindlytics_core._chunks import Chunk, Damaged
from mindlytics_core._refused import refused_files, refused_lines
from mindlytics_core._spool import CORRUPT_SUFFIX, ERRORS, SpoolFile, files

HELP = "show, deliver or export the events that processes have left in a spool"

_TIMEOUT = 60.0
_KIB = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add(actions, "status", _status, "show the files, and what is in them")
    export = _add(actions, "export", _export, "write the events as lines of JSON; nothing is deleted")
    export.add_argument(
        "--refused", action="store_true", help="those that the service refused, each with its answer, instead"
    )
    replay = _add(actions, "replay", _replay, "deliver the events that were left for the project")
    replay.add_argument(
        "--timeout", type=_connection.seconds, default=_TIMEOUT, metavar="SECONDS", help="how long to wait"
    )
    _connection.add_arguments(replay)


def run(args: argparse.Namespace) -> int:
    """Do what was asked for; give 1 if something is damaged, or left over."""
    if not args.directory.is_dir():
        return _failed(f"{args.directory} is no directory")
    code: int = args.action(args)
    return code


def _add(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, action: object, text: str
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=text, description=text)
    parser.add_argument("directory", type=Path, metavar="DIR", help="the spool's directory")
    parser.set_defaults(action=action)
    return parser


def _status(args: argparse.Namespace) -> int:
    code = 0
    for path in files(args.directory):
        try:
            sys.stdout.write(f"{_line(path)}\n")
        except ERRORS as error:
            sys.stdout.write(f"{path.stem}  not readable: {error}\n")
            code = 1
    for path in refused_files(args.directory):
        count = sum(1 for _ in refused_lines(path))
        sys.stdout.write(f"{path.stem}  refused      {count:>6} events  {_size(path)}\n")
    for path in sorted(args.directory.glob(f"*{CORRUPT_SUFFIX}")):
        sys.stdout.write(f"{path.name}  set aside as corrupt  {_size(path)}\n")
        code = 1
    return code


def _line(path: Path) -> str:
    file = SpoolFile.adopt(path)
    if file is None:
        return f"{path.stem}  in use       {'':>13}  {_size(path)}" if path.exists() else f"{path.stem}  empty"
    try:
        file.absorb_logs()
        holding = file.holding()
    finally:
        file.close()
    where = f"{holding.project_id} at {holding.endpoint}"
    return f"{path.stem}  left behind  {holding.events:>6} events  {_size(path)}  {where}"


def _export(args: argparse.Namespace) -> int:
    if args.refused:
        for path in refused_files(args.directory):
            sys.stdout.writelines(line.decode() for line in refused_lines(path))
        return 0
    damaged = 0
    for chunk in _left_behind(args.directory):
        if isinstance(chunk, Damaged):
            damaged += chunk.claimed
        else:
            sys.stdout.write(b"".join(body + b"\n" for body in chunk.bodies).decode())
    return _failed(f"{damaged} events are damaged") if damaged else 0


def _left_behind(directory: Path) -> Iterator[Chunk | Damaged]:
    for path in files(directory):
        try:
            file = SpoolFile.adopt(path)
        except ERRORS as error:
            _failed(f"{path.name} is not readable: {error}")
            continue
        if file is None:
            continue
        try:
            file.absorb_logs()
            yield from file.chunks()
        finally:
            file.close()


def _replay(args: argparse.Namespace) -> int:
    try:
        with _connection.client(args, spool_dir=args.directory) as client:
            is_done = client.replay_spool(args.timeout)
            stats = client.stats()
    except ConfigurationError as error:
        return _failed(str(error))
    dropped = "".join(f", {count} {reason}" for reason, count in stats.dropped.items())
    sys.stdout.write(f"{stats.delivered} events delivered{dropped}\n")
    return 0 if is_done else _failed("some are left; `mindlytics doctor` says why")


def _size(path: Path) -> str:
    size = path.stat().st_size if path.exists() else 0
    return f"{-(-size // _KIB):>5} KiB"


def _failed(text: str) -> int:
    sys.stderr.write(f"mindlytics spool: {text}\n")
    return 1
