"""Runs the command line: in this process where nothing of it shows, as its users do in one of its own where it does."""

import contextlib
import io
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from helpers import Service

from mindlytics_core.cli import main

PROGRAM = (sys.executable, "-W", "error", "-m", "mindlytics_core")


def variables(service: Service | str, state: Path, **more: str) -> dict[str, str]:
    """The environment of a process that has its own state directory and speaks to a service, or to an address."""
    own = {"MLSDK_API_KEY": "test-key", "MLSDK_PROJECT_ID": "test-project"}
    own |= {"MLSDK_SERVER_BASE": service} if isinstance(service, str) else service.environment()
    return {**os.environ, "XDG_STATE_HOME": str(state), "NO_COLOR": "1", **own, **more}


def run(*arguments: str, environment: dict[str, str], stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Run `mindlytics` with these arguments to its end, in this process: starting one takes longer than most tests."""
    given = io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin)))  # type: ignore[type-var]
    out, err = io.BytesIO(), io.BytesIO()
    streams = given, io.TextIOWrapper(out, encoding="utf-8"), io.TextIOWrapper(err, encoding="utf-8")
    with _process(environment, *streams), warnings.catch_warnings(action="error"):
        try:
            code = main(arguments)
        except SystemExit as left:  # argparse ends a wrong command line by itself
            code = left.code if isinstance(left.code, int) else 1
    for stream in streams[1:]:
        stream.flush()
    return subprocess.CompletedProcess(arguments, code, out.getvalue().decode(), err.getvalue().decode())


def run_alone(*arguments: str, environment: dict[str, str], timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run `mindlytics` in a process of its own."""
    return subprocess.run(
        [*PROGRAM, *arguments], env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


@contextlib.contextmanager
def _process(environment: dict[str, str], *streams: io.TextIOWrapper) -> Iterator[None]:
    """What a process has of its own, in the place of this one's."""
    before, own = dict(os.environ), (sys.stdin, sys.stdout, sys.stderr)
    os.environ.clear()
    os.environ.update(environment)
    sys.stdin, sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = own
        os.environ.clear()
        os.environ.update(before)
