"""Where key, project and address come from, and what is odd about them. Shows no key."""

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from mindlytics_cli.doctor._findings import Finding

KEY, PROJECT, SERVER, DISABLED = "MLSDK_API_KEY", "MLSDK_PROJECT_ID", "MLSDK_SERVER_BASE", "MLSDK_DISABLED"
SPOOL = "MLSDK_SPOOL_DIR"
_LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}


def findings(environment: Mapping[str, str], *, project: str | None, server: str | None) -> Iterator[Finding]:
    """
    Judge what a client would be made of.

    Args:
        environment: The process's own.

        project: `--project`.

        server: `--server`.
    """
    yield _key(environment.get(KEY, ""))
    name, value = ("--project", project) if project else (PROJECT, environment.get(PROJECT, ""))
    yield _value("project", name, value) if value.strip() else _missing("project", PROJECT)
    name, value = ("--server", server) if server else (SERVER, environment.get(SERVER, ""))
    yield (
        _value("address", name, value)
        if value.strip()
        else Finding("address", "ok", f"the public service, because {SERVER} is not set")
    )
    if environment.get(DISABLED, "").strip():
        text = f"{DISABLED} is set: apps with this environment record nothing"
        yield Finding("switch", "fault", text, f"unset {DISABLED}")


def spool(directory: str, problem: str) -> Finding:
    """
    Judge the directory where events wait on disk.

    Args:
        directory: It, as it is set.

        problem: What keeps events from waiting there; empty if nothing does.
    """
    if not problem:
        return Finding("spool", "ok", f"{directory}, from {SPOOL}; `mindlytics spool status` says what waits there")
    text = f"events cannot wait in {directory}: {problem}; they wait in memory alone"
    return Finding("spool", "fault", text, f"let {SPOOL} name a directory that the app may write to")


def address(endpoint: str) -> Iterator[Finding]:
    """
    Judge the address itself.

    Args:
        endpoint: The address, as the client uses it.
    """
    parts = urlsplit(endpoint)
    if parts.path not in {"", "/"}:
        text = f"{endpoint} holds a path; requests go to {endpoint}/bc/v1/…"
        yield Finding("address", "warning", text, "leave the path out, unless a proxy of yours needs it")
    if parts.scheme == "http" and parts.hostname not in _LOCAL_HOSTS:
        text = f"{endpoint} is not encrypted: everybody on the way can read the key and what users say"
        yield Finding("address", "warning", text, f"use https://{parts.netloc}")


def _key(value: str) -> Finding:
    if not value.strip():
        return _missing("key", KEY)
    bare = value.strip()
    if bare.lower().startswith("bearer "):
        return Finding("key", "fault", f"{KEY} begins with 'Bearer'", "set the key alone; the word is added by itself")
    if bare[0] in "'\"" or bare[-1] in "'\"":
        return Finding("key", "fault", f"{KEY} has quotation marks in it", "set it without them")
    return _value("key", KEY, f"{len(bare)} characters", shown=f"from {KEY}, {len(bare)} characters long")


def _value(check: str, name: str, value: str, shown: str = "") -> Finding:
    return Finding(check, "ok", shown or f"{value.strip()}, from {name}")


def _missing(check: str, variable: str) -> Finding:
    advice = (
        f"set {variable} to the one on your project's settings page; to try without an account, run `mindlytics local` "
        f"and set {SERVER}=http://127.0.0.1:3000 with any key and project"
    )
    return Finding(check, "fault", f"{variable} is not set", advice)
