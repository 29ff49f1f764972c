"""Whether what is installed is as new as our own package metadata asks for."""

import importlib.metadata
import platform
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mindlytics_cli.doctor._findings import Finding

_DISTRIBUTION = "mindlytics"
#: What is worth a word; the rest follows from these.
_LOOKED_AT = ("httpx", "pydantic", "langchain-core", "openai")
#: Installed in the place of httpx, and then used.
_INSTEAD = {"httpx": "httpx2"}

Installed = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Requirement:
    """
    What the metadata ask for.

    Attributes:
        name: The distribution.

        floor: The least version.

        extra: The extra that needs it; empty for everybody.
    """

    name: str
    floor: str
    extra: str


def requirements(lines: Iterable[str]) -> list[Requirement]:
    """
    Read `Requires-Dist` lines, as far as they name a least version; each distribution once.

    Args:
        lines: Such as `openai>=2.0; extra == 'openai'`.
    """
    found: dict[str, Requirement] = {}
    for line in lines:
        read = re.match(r"([\w.-]+)(?:\[[^]]*\])?\s*>=\s*([\w.]+)[^;]*(?:;.*extra == ['\"]([\w-]+)['\"])?", line)
        if read is not None:
            found.setdefault(read[1].lower(), Requirement(read[1].lower(), read[2], read[3] or ""))
    return list(found.values())


def findings(python: str, python_floor: str, wanted: Iterable[Requirement], installed: Installed) -> Iterator[Finding]:
    """
    Judge the versions.

    Args:
        python: The interpreter's version.

        python_floor: The least that the metadata ask for.

        wanted: What the metadata ask for.

        installed: Gives the version of a distribution, or None.
    """
    yield _compared("python", python, python_floor, "install a newer Python")
    ours = installed(_DISTRIBUTION)
    yield (
        Finding("mindlytics", "ok", ours)
        if ours
        else Finding("mindlytics", "warning", "is not installed as a package", "pip install mindlytics")
    )
    for each in wanted:
        if each.name in _LOOKED_AT:
            yield from _of(each, installed)


def examine() -> list[Finding]:
    """The versions of this process."""
    try:
        lines = importlib.metadata.requires(_DISTRIBUTION) or []
        floor = importlib.metadata.metadata(_DISTRIBUTION)["Requires-Python"] or ""
    except importlib.metadata.PackageNotFoundError:
        lines, floor = [], ""
    return list(findings(platform.python_version(), floor.lstrip(">="), requirements(lines), installed_version))


def installed_version(name: str) -> str | None:
    """
    The version of an installed distribution; None if it is not installed.

    Args:
        name: The distribution.
    """
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _of(wanted: Requirement, installed: Installed) -> Iterator[Finding]:
    other = _INSTEAD.get(wanted.name)
    if other is not None and (version := installed(other)) is not None:
        yield Finding(other, "ok", f"{version}, in the place of {wanted.name}")
        return
    version = installed(wanted.name)
    update = f"pip install --upgrade '{wanted.name}>={wanted.floor}'"
    if version is not None:
        yield _compared(wanted.name, version, wanted.floor, update)
    elif not wanted.extra:
        yield Finding(wanted.name, "fault", "is not installed", update)


def _compared(name: str, version: str, floor: str, advice: str) -> Finding:
    if _numbers(version) < _numbers(floor):
        return Finding(name, "fault", f"{version} is older than {floor}, the least that works", advice)
    return Finding(name, "ok", version)


def _numbers(version: str) -> tuple[int, ...]:
    """The release part, as numbers; trailing zeros say nothing."""
    read = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in read[0].split(".")] if read else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
