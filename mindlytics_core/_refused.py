"""
The events that the service refused for good, kept for people beside the spool.

Lines of JSON and no table: they are appended by every process of a destination, never read back, and a person
looks at them with whatever is at hand. The older half is replaced when the newer one is full.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

_NAME = "refused.jsonl"
_OLDER_NAME = "refused.older.jsonl"
#: Largest size of each of the two files.
_MOST_BYTES = 8 * 1024 * 1024


def keep(directory: Path, prefix: str, *, at: str, status: int, message: str, body: bytes) -> None:
    """
    Write a refused event down.

    Args:
        directory: The spool's.

        prefix: The destination's files begin with it.

        at: When it was refused, ISO 8601.

        status: The answer's HTTP status.

        message: What the service said.

        body: The event's JSON.

    Raises:
        OSError: The disk did not take it.
    """
    path = directory / f"{prefix}{_NAME}"
    head = json.dumps({"refused_at": at, "status": status, "message": message})
    line = head[:-1].encode() + b', "event": ' + body + b"}\n"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Opened for appending, each write is one step for the system: processes need no lock.
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, line)
        is_full = os.fstat(file).st_size > _MOST_BYTES
    finally:
        os.close(file)
    if is_full:
        path.replace(directory / f"{prefix}{_OLDER_NAME}")


def refused_files(directory: Path) -> list[Path]:
    """The files with refused events of all destinations, a destination's older one first."""
    return sorted([*directory.glob(f"*-{_OLDER_NAME}"), *directory.glob(f"*-{_NAME}")], key=_destination_and_age)


def refused_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, whole ones only."""
    with path.open("rb") as file:
        yield from (line for line in file if line.endswith(b"}\n"))


def _destination_and_age(path: Path) -> tuple[str, bool]:
    return path.name.partition("-")[0], path.name.endswith(f"-{_NAME}")
