"""Imports go down only: who may import whom, held against every module of every package."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "mindlytics_core"
#: The core's modules, lowest level first; each imports from lower levels, and from its own only what stands before it.
LEVELS: list[list[str]] = [
    ["_version", "exceptions", "_model"],
    [
        "_stats",
        "_clock",
        "_config",
        "_receipt",
        "_answers",
        "_retry",
        "_wire",
        "_shapes",
        "_history",
        "_live_event",
        "_listener",
        "_claims",
        "_lenient",
        "_usage",
        "redactors",
    ],
    ["_last_lock"],
    ["_fork", "_line", "_threads", "_log", "_chunks", "_spool", "_refused", "_options"],
    [
        "_decode",
        "_guard",
        "_callbacks",
        "_editing",
        "_queue",
        "_transport",
        "_requests",
        "_reports",
        "_scope",
        "_outbox",
        "live",
    ],
    [
        "_batch",
        "_flush",
        "_gate",
        "_limits",
        "_lanes",
        "_disk",
        "_rows",
        "_adopted",
        "_own_file",
        "_store",
        "_no_spool",
        "_pending",
        "_runner",
        "_timers",
        "_worker",
        "_process",
    ],
    [
        "_lifecycle",
        "_open_sessions",
        "_conversations",
        "_identified",
        "_tracking",
        "_hearing",
        "session",
        "_in_progress",
        "exchange",
        "_book",
        "_direct",
    ],
    ["client", "_all_clients", "_serverless", "_signals", "testing", "cli", "__main__", "__init__"],
]
PLACE = {name: (level, at) for level, names in enumerate(LEVELS) for at, name in enumerate(names)}
#: The local service's folders, lowest first; each imports from those before it, as do the modules beside them.
LOCAL_LEVELS = ["model", "storage", "queries", "live", "page", "endpoints"]
#: Its modules that every folder may use.
LOCAL_SHARED = {"_errors", "_json", "_prices", "_settings", "_timestamps"}
#: What each package above the core may import of ours; of the core, its doorway or the named modules.
ALLOWED = {
    "integrations/mindlytics_langchain": {"mindlytics_core"},
    "integrations/mindlytics_openai": {"mindlytics_core"},
    "integrations/mindlytics_pytest": {"mindlytics_core", "mindlytics_core.testing", "mindlytics_local"},
    # The doctor looks at the service through the very library that delivers.
    "mindlytics_cli": {
        "mindlytics_core",
        "mindlytics_core._chunks",
        "mindlytics_core._refused",
        "mindlytics_core._spool",
        "mindlytics_core._transport",
    },
    "mindlytics_local": {
        "mindlytics_core",
        "mindlytics_core._shapes",
        "mindlytics_core._version",
        "mindlytics_core._wire",
        "mindlytics_core.exceptions",
    },
}
#: What only one place may name: frameworks in their integrations, the HTTP library in the transport.
HOMES = {
    "langchain_core": ("integrations/mindlytics_langchain", "mindlytics_local/demo"),
    "langgraph": ("integrations/mindlytics_langchain",),
    "openai": ("integrations/mindlytics_openai", "mindlytics_local/demo"),
    "httpx": ("mindlytics_core/_transport.py", "mindlytics_local/demo", "integrations/mindlytics_pytest"),
    "httpx2": ("mindlytics_core/_transport.py",),
    "sqlite3": (
        "mindlytics_core/_spool.py",
        "mindlytics_cli/importing/_progress.py",
        "mindlytics_local",
    ),
    "starlette": ("mindlytics_local",),
}


def modules(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


EVERY_MODULE = [
    path
    for package in (CORE, ROOT / "mindlytics_cli", ROOT / "mindlytics_local", ROOT / "integrations")
    for path in modules(package)
]


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports, wherever in it, with `from package import module` as `package.module` too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import hides where it leads"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_module(name: str) -> bool:
    folder = (
        ROOT / "integrations" if name.startswith(("mindlytics_langchain", "mindlytics_o", "mindlytics_p")) else ROOT
    )
    path = folder.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_every_module_of_the_core_has_its_level():
    assert {path.stem for path in modules(CORE)} == PLACE.keys()


@pytest.mark.parametrize("path", modules(CORE), ids=shown)
def test_the_core_imports_downwards_only(path: Path):
    names = {name.split(".")[1] for name in imported(path) if name.startswith("mindlytics_core.") and is_module(name)}
    assert [name for name in names if PLACE[name] >= PLACE[path.stem]] == []


@pytest.mark.parametrize("path", modules(CORE), ids=shown)
def test_the_core_knows_nobody_above_it(path: Path):
    ours = {name.partition(".")[0] for name in imported(path) if name.startswith("mindlytics_")}
    assert ours <= {"mindlytics_core"}


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_above_the_core_imports_what_it_may(package: str):
    own = Path(package).name
    for path in modules(ROOT / package):
        ours = {name for name in imported(path) if name.startswith("mindlytics_") and is_module(name)}
        foreign = {name for name in ours if name.partition(".")[0] != own}
        allowed = ALLOWED[package]
        if "demo" in path.parts:
            # The demo is an app: a user of everything.
            allowed = {"mindlytics_core", "mindlytics_langchain", "mindlytics_openai", "mindlytics_local"}
        assert foreign <= allowed, shown(path)


@pytest.mark.parametrize("folder", LOCAL_LEVELS)
def test_a_folder_of_the_local_service_imports_what_is_below_it(folder: str):
    below = {*LOCAL_LEVELS[: LOCAL_LEVELS.index(folder) + 1], *LOCAL_SHARED}
    for path in modules(ROOT / "mindlytics_local" / folder):
        names = {name for name in imported(path) if name.startswith("mindlytics_local.") and is_module(name)}
        assert {name.split(".")[1] for name in names} <= below, shown(path)


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_named_in_its_home_only(library: str):
    namers = {shown(path) for path in EVERY_MODULE if any(name.split(".")[0] == library for name in imported(path))}
    assert [name for name in namers if not name.startswith(HOMES[library])] == []


def test_the_environment_is_read_in_one_file():
    reading = {
        path.stem
        for path in modules(CORE)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    }

    assert reading == {"_config"}


def test_errors_are_swallowed_in_one_file():
    broad = {
        path.stem
        for path in modules(CORE)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
        and ast.unparse(node.body[-1]) != "raise"
    }

    assert broad == {"_guard"}
