"""What a person sees of an import: a bar on a terminal, a line for each fault, and a summary."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from mindlytics_cli._plain import plain
from mindlytics_cli.importing._importer import Counts, Fault
from mindlytics_cli.importing._source import Mark, Source

#: So many faults are shown; a file of another kind altogether must not fill the terminal.
_MOST_FAULTS = 100
#: Records between two moves of the bar.
_EVERY = 50


class Shown:
    """
    The faces of one import. Faults and the bar go to stderr, the summary to stdout.

    Args:
        file: The file, as it was named.

        size: Its bytes; None if nobody knows.
    """

    def __init__(self, file: str, size: int | None) -> None:
        self._file = "standard input" if file == "-" else file
        self._console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
        self._bar = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        self._task = self._bar.add_task("", total=size)
        self._faults = 0
        self._before: Mark | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def fault(self, fault: Fault) -> None:
        """A record was not imported, or not whole."""
        self._faults += 1
        if self._faults <= _MOST_FAULTS:
            self._bar.console.print(plain(f"{self._file}:{fault.line}: {fault.what}"))

    def reached(self, source: Source, counts: Counts) -> None:
        """Another record is done."""
        if counts.records % _EVERY == 0:
            shown = f"{counts.records:,} records, {counts.events:,} events"
            self._bar.update(self._task, completed=source.offset, description=shown)

    def resumed(self, mark: Mark) -> None:
        """The import goes on where an earlier one ended."""
        self._before = mark

    def summary(self, counts: Counts, stopped: str, *, dry_run: bool) -> None:
        """
        Say what became of the file.

        Args:
            counts: The records.

            stopped: What kept the import from its end; empty if nothing did.

            dry_run: Whether nothing was to be sent.
        """
        if self._faults > _MOST_FAULTS:
            sys.stderr.write(f"… and {self._faults - _MOST_FAULTS:,} more\n")
        if self._before is not None:
            sys.stdout.write(f"{self._before.number:,} records were imported before; --restart imports them again\n")
        good = counts.records - counts.faulty
        done = "can be imported" if dry_run else "read and sent" if not stopped else "read"
        sys.stdout.write(f"{good:,} of {counts.records:,} records {done}, {counts.events:,} events")
        sys.stdout.write(f"; {counts.faulty:,} faulty\n" if counts.faulty else "\n")
        if stopped:
            sys.stdout.flush()
            sys.stderr.write(f"mindlytics import: {self._file}: {plain(stopped)}\n")
            if not dry_run:
                sys.stderr.write("The same command goes on where this one was sure of the service.\n")
