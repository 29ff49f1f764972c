"""
The command `mindlytics`.

It knows no command by itself: each is a module named under the entry point group `mindlytics.commands`, so
that a package on top of the core can bring one without the core importing it.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

from mindlytics_core._version import __version__

GROUP = "mindlytics.commands"

#: What a shell calls the end by SIGINT and by SIGPIPE.
_WRONG, _INTERRUPTED, _NO_READER = 2, 130, 141


class Command(Protocol):
    """A module that is one command."""

    #: One line for `mindlytics --help`.
    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""
        ...

    def run(self, args: argparse.Namespace) -> int:
        """Do it, and give the exit code."""
        ...


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    Args:
        argv: The arguments after the program's name; without it the process's own.

    Returns:
        The exit code: 0 for success, 1 for a failure, 2 for a wrong command line.
    """
    parser = argparse.ArgumentParser(prog="mindlytics", description="Conversation analytics for LLM apps.")
    parser.add_argument("--version", action="version", version=f"mindlytics {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        _add(commands, entry)
    args = parser.parse_args(argv)
    if args.command is None:
        # Whoever names no command wants to know which there are.
        parser.print_help(sys.stderr)
        return _WRONG
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has gone, as `| head` does. Nothing is left to say, also not at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _NO_READER
    return code


def _add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", entry: EntryPoint) -> None:
    try:
        command: Command = entry.load()
    except ImportError as error:
        # What it needs is not installed; the others must still work, and this one must say why it does not.
        _add_unavailable(commands, entry.name, str(error))
        return
    parser = commands.add_parser(entry.name, help=command.HELP, description=command.HELP)
    command.add_arguments(parser)
    parser.set_defaults(run=command.run)


def _add_unavailable(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, reason: str) -> None:
    def explain(_: argparse.Namespace) -> int:
        sys.stderr.write(f"mindlytics {name}: {reason}\n")
        return 1

    parser = commands.add_parser(name, help=f"not available: {reason}", add_help=False)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.set_defaults(run=explain)
