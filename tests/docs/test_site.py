"""The documentation as a site."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SKELETON = [
    "Install",
    "Three lines",
    "What is recorded",
    "What is not",
    "Ids",
    "Privacy",
    "Testing",
    "Troubleshooting",
]


def test_every_page_has_its_place_in_the_navigation():
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]

    assert sorted(_pages(navigation)) == sorted(page.name for page in ROOT.glob("docs/*.md"))


@pytest.mark.parametrize("page", ["langchain.md", "openai.md", "integration.md"])
def test_a_page_of_an_integration_has_the_sections_of_all_of_them_in_their_order(page: str):
    lines = (ROOT / "docs" / page).read_text().splitlines()
    sections = [line.removeprefix("## ") for line in lines if line.startswith("## ")]

    assert [section for section in sections if section in SKELETON] == SKELETON


def test_the_site_is_built_without_a_broken_link_and_asks_nobody_else_for_anything():
    pytest.importorskip("zensical", reason="the site's builder is not installed; `make docs` does it")

    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--clean", "--strict"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert built.returncode == 0, built.stdout + built.stderr
    pages = list((ROOT / "site").glob("*.html"))
    assert len(pages) > len(SKELETON)
    fetched = (
        r"<(?:script|img|iframe)[^>]*\ssrc=\"([^\"]+)"
        r"|<link[^>]*rel=\"(?:stylesheet|icon|preconnect)\"[^>]*href=\"([^\"]+)"
    )
    asked = [address for page in pages for pair in re.findall(fetched, page.read_text()) for address in pair]
    assert [address for address in asked if re.match(r"(https?:)?//", address)] == []


def _pages(entries: Any) -> list[str]:
    if isinstance(entries, str):
        return [entries]
    below = entries.values() if isinstance(entries, dict) else entries
    return [page for entry in below for page in _pages(entry)]
