"""The web page: its parts, put together into one document that needs nothing from anywhere else."""

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files

_STYLES = ("base.css", "list.css", "transcript.css", "overview.css")
_SCRIPTS = (
    "dom.js",
    "format.js",
    "service.js",
    "search.js",
    "list.js",
    "turns.js",
    "charts.js",
    "transcript.js",
    "user.js",
    "session.js",
    "export.js",
    "main.js",
)


@dataclass(frozen=True, slots=True)
class Page:
    """
    The page as it is served.

    Attributes:
        html: The document.

        policy: Its Content-Security-Policy: only its own style and script, and only its own service.
    """

    html: str
    policy: str


def page() -> Page:
    """Put the page together from its parts."""
    style, script = _joined(_STYLES), _joined(_SCRIPTS)
    html = _part("page.html").replace("/* style */", style).replace("/* script */", script)
    policy = {
        "default-src": "'none'",
        "script-src": _digest(script),
        "style-src": _digest(style),
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return Page(html, "; ".join(f"{name} {value}" for name, value in policy.items()))


def _joined(names: tuple[str, ...]) -> str:
    return "\n" + "\n".join(_part(name) for name in names)


def _part(name: str) -> str:
    return files("mindlytics_local").joinpath("page", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
