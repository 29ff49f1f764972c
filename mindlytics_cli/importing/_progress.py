"""How far an import came, kept in the user's state directory, so that the next run goes on from there."""

import contextlib
import hashlib
import json
import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from mindlytics_cli.importing._source import Mark


def state_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """
    Where the user's applications keep what is neither settings nor data.

    Args:
        environment: The process's own.
    """
    if sys.platform == "win32":
        base = Path(environment.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return base / "mindlytics" / "imports"


class InUse(Exception):
    """Another process imports the same file into the same project."""


class Progress:
    """
    The progress of one file into one project.

    Args:
        directory: Where such files are.

        file: The file that is imported.

        destination: The service's address and the project; into another one, the import begins anew.
    """

    def __init__(self, directory: Path, file: Path, destination: tuple[str, str]) -> None:
        key = json.dumps([str(file.resolve()), *destination])
        self._file = file
        #: The file that holds it.
        self.path = directory / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """
        Keep other processes out, until this one is done or dies.

        Raises:
            InUse: Another one keeps this one out.

            OSError: The directory cannot be written to.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(
            # SQLite locks files alike on every system, and a dead process's lock is gone.
            sqlite3.connect(self.path.with_suffix(".lock"), timeout=0.0, isolation_level=None)
        ) as lock:
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                    raise InUse from None
                raise OSError(f"{self.path.parent} cannot be written to: {error}") from None
            yield

    def load(self) -> Mark | None:
        """Where the last run came to; None if there was none, or its file cannot be understood."""
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            mark = kept["mark"]
            return Mark(int(mark["offset"]), int(mark["line"]), int(mark["number"]), str(mark["digest"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def save(self, mark: Mark) -> None:
        """
        Keep where this run came to; all of it or nothing, also when the machine stops meanwhile.

        Args:
            mark: Everything before it was taken by the service.

        Raises:
            OSError: The directory cannot be written to.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(f".{os.getpid()}.new")
        new.write_text(json.dumps({"file": str(self._file.resolve()), "mark": asdict(mark)}), encoding="utf-8")
        new.replace(self.path)

    def forget(self) -> None:
        """Begin anew."""
        self.path.unlink(missing_ok=True)
