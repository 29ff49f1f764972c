"""Static types go through `wrap` unharmed."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def test_a_strict_type_checker_agrees_with_the_program():
    pytest.importorskip("mypy")
    checked = subprocess.run(  # mypy, on a file of ours
        [sys.executable, "-m", "mypy", "--strict", "--warn-unused-ignores", HERE / "typing_program.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
