"""Examples run as their users run them: as programs of their own, from their folder."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import Service
from provider import Provider

#: Nothing here takes so long, in seconds; what does is ended, and so is the test that reads its output.
LIMIT = 60.0
EXAMPLES = Path(__file__).parents[2] / "examples"

Program = subprocess.Popen[str]
Run = Callable[..., Program]


@pytest.fixture
def run(service: Service, provider: Provider) -> Iterator[Run]:
    """Starts a Python program beside the examples, led to the local service; what still runs is ended."""
    running: list[tuple[Program, threading.Timer]] = []

    def start(*args: str, **environment: str) -> Program:
        program = subprocess.Popen(
            [sys.executable, "-u", *args],
            cwd=EXAMPLES,
            env={**os.environ, **service.environment(), **provider.environment(), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        limit = threading.Timer(LIMIT, program.kill)
        limit.start()
        running.append((program, limit))
        return program

    yield start
    for program, limit in running:
        with program:
            program.kill()
        limit.cancel()
