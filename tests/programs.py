"""Programs of their own: what a whole process does, from its start to its exit."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from chaos import Chaos

_GIVEN_UP_AFTER = 60.0


def leading_to(chaos: Chaos) -> dict[str, str]:
    """The variables of a program whose default client finds the scripted server."""
    return {"MLSDK_SERVER_BASE": chaos.url, "MLSDK_API_KEY": "key", "MLSDK_PROJECT_ID": "project"}


def start(
    code: str, variables: Mapping[str, str], *, file: Path | None = None, interpreter: Sequence[str] = ()
) -> "subprocess.Popen[str]":
    """
    Start a program.

    Args:
        code: Python, indented as one likes.

        variables: Lead its default client to the service; nothing else of ours is in its environment.

        file: Where to put the code, for what needs a file: `multiprocessing` imports its main module anew.

        interpreter: What runs it; without it this Python, with every warning an error.
    """
    code = textwrap.dedent(code)
    if file is not None:
        file.write_text(code)
    return subprocess.Popen(
        [*(interpreter or (sys.executable, "-W", "error")), *((str(file),) if file else ("-c", code))],
        env={**{name: value for name, value in os.environ.items() if not name.startswith("MLSDK_")}, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(
    program: "subprocess.Popen[str]", *, given_up_after: float = _GIVEN_UP_AFTER
) -> "subprocess.CompletedProcess[str]":
    """Wait for a program's end."""
    with program:
        try:
            out, err = program.communicate(timeout=given_up_after)
        finally:
            program.kill()
    return subprocess.CompletedProcess(program.args, program.returncode, out, err)


def run(code: str, variables: Mapping[str, str], *, file: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Start a program and wait for its end."""
    return end(start(code, variables, file=file))


def said(finished: "subprocess.CompletedProcess[str]") -> str:
    """What a program wrote to stderr; that its exit took a moment is a matter of how busy the machine is."""
    return finished.stderr.replace("mindlytics: delivering the last events; Ctrl-C ends it\n", "")
