"""What the reference pages list is what the code has."""

import inspect
import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from mindlytics_core import Client, Delivery, MindlyticsError, _stats, exceptions

ROOT = Path(__file__).parents[2]
DELIVERY_PAGE = (ROOT / "docs/delivery.md").read_text()
UNITS = {"KiB": 1024, "MiB": 1024**2, "Delivery": Delivery}


def rows(page: str, section: str) -> dict[str, str]:
    """The first two columns of the table in a section of a page."""
    text = (ROOT / "docs" / page).read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `([^`]+)` \| ([^|]+?) \|", text, re.MULTILINE))


def value(cell: str) -> Any:
    """A default as a page writes it, such as `32 * MiB`."""
    return eval(cell.strip("`"), dict(UNITS))  # noqa: S307  # the project's own page


def test_every_argument_of_the_client_is_listed_with_its_default():
    parameters = list(inspect.signature(Client).parameters.values())

    listed = {name: value(cell) for name, cell in rows("configuration.md", "Client").items()}

    assert listed == {parameter.name: parameter.default for parameter in parameters}
    assert list(listed) == [parameter.name for parameter in parameters]


def test_every_field_of_delivery_is_listed_with_its_default():
    listed = {name: value(cell) for name, cell in rows("configuration.md", "Delivery").items()}

    assert listed == {name: parameter.default for name, parameter in inspect.signature(Delivery).parameters.items()}


def test_every_variable_that_the_code_reads_is_listed():
    sources = (path.read_text() for path in (ROOT / "mindlytics_core").glob("*.py"))

    read = {name for source in sources for name in re.findall(r"\"(MLSDK_[A-Z_]+)\"", source)}

    assert set(rows("configuration.md", "Environment")) == read


def test_the_tree_of_errors_is_the_code_s():
    drawn = re.findall(r"([A-Z]\w+)(?: \((\w+)\))?$", _tree(), re.MULTILINE)
    named = {name: getattr(exceptions, name) for name in exceptions.__all__}

    assert [name for name, _ in drawn] == list(_depth_first(MindlyticsError))
    assert {name for name, _ in drawn} == set(named)
    for name, second_base in drawn:
        assert [base.__name__ for base in named[name].__bases__][1:] == ([second_base] if second_base else []), name


@pytest.mark.parametrize("error", [name for name in exceptions.__all__ if name != "MindlyticsError"])
def test_every_error_has_a_row_that_says_when(error: str):
    assert f"\n| `{error}` | " in (ROOT / "docs/errors.md").read_text()


@pytest.mark.parametrize("field", list(inspect.signature(Delivery).parameters))
def test_every_setting_of_delivery_is_explained(field: str):
    assert f"`{field}`" in DELIVERY_PAGE


@pytest.mark.parametrize(
    "reason", [value for name, value in vars(_stats).items() if name.isupper() and isinstance(value, str)]
)
def test_every_reason_for_a_drop_is_explained(reason: str):
    assert f"`{reason}`" in DELIVERY_PAGE


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_link_to_a_file_leads_somewhere(page: str):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text()):
        assert (ROOT / target).exists(), target


def test_every_promise_names_tests_that_exist():
    promises = (ROOT / "README.md").read_text().split("## What it promises")[1].split("\n## ")[0]
    named = re.findall(r"`(tests/[^`]+)`", promises)

    assert len(named) >= promises.count("\n| ") - 2
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", ["delivery.md", "faults.md"])
def test_every_promise_and_every_fault_is_linked_to_a_test_that_exists(page: str):
    tables = (ROOT / "docs" / page).read_text().split("\n| ")
    linked = [row for row in tables if "`tests/" in row]
    heads = [place for place, row in enumerate(tables) if row.rstrip().endswith("| test |")]
    for head in heads:
        for row in itertools.takewhile(lambda row: "\n\n" not in row, tables[head + 2 :]):
            assert row in linked, row
    for path, name in re.findall(r"`(tests/[^`:]+)::(\w+)`", "".join(linked)):
        assert re.search(rf"^(?:async )?(?:def )?{name}\b", (ROOT / path).read_text(), re.MULTILINE), f"{path}::{name}"
    assert len(linked) >= 10


def _tree() -> str:
    return (ROOT / "docs/errors.md").read_text().split("```")[1]


def _depth_first(kind: type) -> list[str]:
    return [kind.__name__, *(name for below in kind.__subclasses__() for name in _depth_first(below))]
