"""Runs the command line as its users do: as a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

from helpers import Service

PROGRAM = (sys.executable, "-W", "error", "-m", "mindlytics_core")


def variables(service: Service | str, state: Path, **more: str) -> dict[str, str]:
    """The environment of a process that has its own state directory and speaks to a service, or to an address."""
    own = {"MLSDK_API_KEY": "test-key", "MLSDK_PROJECT_ID": "test-project"}
    own |= {"MLSDK_SERVER_BASE": service} if isinstance(service, str) else service.environment()
    return {**os.environ, "XDG_STATE_HOME": str(state), "NO_COLOR": "1", **own, **more}


def run(
    *arguments: str, environment: dict[str, str], stdin: bytes = b"", timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run `mindlytics` with these arguments to its end."""
    done = subprocess.run(
        [*PROGRAM, *arguments], env=environment, input=stdin, capture_output=True, timeout=timeout, check=False
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
