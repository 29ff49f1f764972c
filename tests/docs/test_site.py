"""The documentation as a site."""

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


def _pages(entries: Any) -> list[str]:
    if isinstance(entries, str):
        return [entries]
    below = entries.values() if isinstance(entries, dict) else entries
    return [page for entry in below for page in _pages(entry)]
