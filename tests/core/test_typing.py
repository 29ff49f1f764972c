"""What a user's editor infers: the same in mypy and in pyright."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROGRAM = HERE / "typing_program.py"
MISTAKES = HERE / "typing_mistakes.py"


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def mypy(path: Path) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "mypy", "--strict", "--warn-unused-ignores", path)


@pytest.fixture(scope="module")
def pyright() -> Path:
    """The checker; it fetches itself when it is first used, which a machine without a network cannot."""
    found = Path(sys.executable).with_name("pyright")
    if not found.exists() or run(found, "--version").returncode:
        pytest.skip("pyright is not to be had here")
    return found


def pyright_errors(pyright: Path, path: Path) -> list[int]:
    answer = run(pyright, "--outputjson", "--pythonpath", sys.executable, path)
    found = json.loads(answer.stdout)["generalDiagnostics"]
    return [item["range"]["start"]["line"] + 1 for item in found if item["severity"] == "error"]


def marked() -> list[int]:
    return [number for number, line in enumerate(MISTAKES.read_text().splitlines(), 1) if line.endswith("# wrong")]


def test_mypy_infers_what_the_program_says():
    checked = mypy(PROGRAM)

    assert checked.returncode == 0, checked.stdout


def test_mypy_shows_every_mistake():
    lines = {int(line) for line in re.findall(r"typing_mistakes\.py:(\d+): error", mypy(MISTAKES).stdout)}

    assert sorted(lines) == marked()


def test_pyright_infers_what_the_program_says(pyright: Path):
    assert pyright_errors(pyright, PROGRAM) == []


def test_pyright_shows_every_mistake(pyright: Path):
    assert sorted(set(pyright_errors(pyright, MISTAKES))) == marked()
