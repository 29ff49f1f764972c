"""The documentation as a site."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]


def test_every_page_has_its_place_in_the_navigation():
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]

    assert sorted(_pages(navigation)) == sorted(page.name for page in ROOT.glob("docs/*.md"))


def _pages(entries: Any) -> list[str]:
    if isinstance(entries, str):
        return [entries]
    below = entries.values() if isinstance(entries, dict) else entries
    return [page for entry in below for page in _pages(entry)]
