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


@pytest.fixture(scope="module")
def pyright() -> Path:
    """The checker; it fetches itself when it is first used, which a machine without a network cannot."""
    found = Path(sys.executable).with_name("pyright")
    if not found.exists() or run(found, "--version").returncode:
        pytest.skip("pyright is not to be had here")
    return found


def marked() -> list[int]:
    return [number for number, line in enumerate(MISTAKES.read_text().splitlines(), 1) if line.endswith("# wrong")]


def test_mypy_infers_what_the_program_says_and_shows_every_mistake():
    checked = run(sys.executable, "-m", "mypy", "--strict", "--warn-unused-ignores", PROGRAM, MISTAKES)

    errors = {(name, int(line)) for name, line in re.findall(r"(\w+\.py):(\d+): error", checked.stdout)}
    assert sorted(errors) == [(MISTAKES.name, line) for line in marked()], checked.stdout


def test_pyright_infers_what_the_program_says_and_shows_every_mistake(pyright: Path):
    answer = run(pyright, "--outputjson", "--pythonpath", sys.executable, PROGRAM, MISTAKES)

    found = [item for item in json.loads(answer.stdout)["generalDiagnostics"] if item["severity"] == "error"]
    errors = {(Path(item["file"]).name, item["range"]["start"]["line"] + 1) for item in found}
    assert sorted(errors) == [(MISTAKES.name, line) for line in marked()], answer.stdout
