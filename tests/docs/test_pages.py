"""Every Python block of README and docs runs, the way a reader would run it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import Service
from provider import Provider

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("page.py")
PAGES = [
    str(page.relative_to(ROOT))
    for page in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
    if "```python\n" in page.read_text()
]
MOST_SKIPPED = 3
#: The app and the worker of a reader, by the names that pages give them.
READER = str(Path(__file__).with_name("reader"))


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_a_page_runs(page: str, service: Service, provider: Provider):
    blocks = (ROOT / page).read_text().count("```python\n")

    finished = subprocess.run(
        # An example's `openai` client lives as long as its program; nobody closes it.
        [sys.executable, "-W", "error", "-W", "ignore::ResourceWarning", PROGRAM, page],
        env={**os.environ, **service.environment(), **provider.environment(), "PYTHONPATH": READER},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (finished.returncode, finished.stderr) == (0, "")
    skipped = finished.stdout.count("\nskipped: ")
    assert finished.stdout.endswith(f"\n{blocks - skipped} blocks ran\n")


def test_few_blocks_do_not_run_and_each_says_why():
    marks = [mark for page in PAGES for mark in re.findall(r"<!--+ skip: (.*?) --+>", (ROOT / page).read_text())]

    assert len(marks) <= MOST_SKIPPED
    assert all(re.fullmatch(r'next "[^"]{10,}"', mark) for mark in marks)
