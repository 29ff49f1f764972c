"""One handler for every run of the process, without any `callbacks=`."""

import threading
from contextvars import ContextVar
from typing import Any, cast

from mindlytics_langchain._handler import MindlyticsHandler
from mindlytics_langchain._langchain import register_configure_hook


class _Everywhere:
    """
    The installed handler, in the shape that LangChain asks a context variable in.

    A real one reaches neither new threads nor contexts that exist already.
    """

    def __init__(self) -> None:
        self.handler: MindlyticsHandler | None = None

    def get(self) -> MindlyticsHandler | None:
        return self.handler


_lock = threading.Lock()
_installed = _Everywhere()
_registered: list[bool] = []


def install(handler: MindlyticsHandler | None = None, /, **options: Any) -> MindlyticsHandler:
    """
    Record every run of the process; a run that has a handler of its own is recorded by that one.

    A second call replaces the handler of the first.

    Args:
        handler: The handler; without it one is made.

        options: What it is made with, as for `MindlyticsHandler`.

    Raises:
        ConfigurationError: No client was given and the environment holds no key or no project id.
    """
    handler = handler or MindlyticsHandler(**options)
    with _lock:
        if not _registered:
            # LangChain's list of hooks only grows: one entry, whoever is installed.
            register_configure_hook(
                cast("ContextVar[Any]", _installed), inheritable=True, handle_class=MindlyticsHandler
            )
            _registered.append(True)
        _installed.handler = handler
    return handler


def uninstall() -> None:
    """Record only runs that have a handler of their own again."""
    _installed.handler = None
