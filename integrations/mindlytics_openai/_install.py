"""Recording for every client of the process, for apps that cannot reach the place where theirs are made."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from typing_extensions import Unpack

from mindlytics_core import FORKS
from mindlytics_openai._openai import openai
from mindlytics_openai._wrap import own_settings

if TYPE_CHECKING:
    from mindlytics_openai._settings import Options, Settings

_KINDS: tuple[Any, ...] = (openai.OpenAI, openai.AsyncOpenAI)
#: The settings in force, at most one.
_installed: "list[Settings]" = []


def install(**options: "Unpack[Options]") -> None:
    """
    Record the conversations of every `openai` client of the process, made before or after; the last call counts.

    A client that is wrapped by itself keeps its own settings, and is recorded once.

    Args:
        options: The same as those of `wrap`.

    Raises:
        ConfigurationError: No client was given and the environment holds no key or no project id.

        InvalidArgument: An argument is of the wrong kind.
    """
    # Late, as in `_wrap`.
    with FORKS.no_fork():
        from mindlytics_openai._request_hook import watched  # noqa: PLC0415
        from mindlytics_openai._settings import settings  # noqa: PLC0415

    _installed[:] = [settings(options)]
    for kind in _KINDS:
        if not _is_ours(kind):
            kind.request = watched(kind, functools.partial(_itself, kind.request), _settings_of)
            kind.request.is_of_mindlytics = True


def uninstall() -> None:
    """Undo `install`; clients that are wrapped by themselves go on recording."""
    _installed.clear()
    for kind in _KINDS:
        # What somebody else has put over ours stays; ours then only passes on.
        if _is_ours(kind):
            del kind.request


def _settings_of(openai_client: Any) -> "Settings | None":
    if own_settings(openai_client) is not None:
        return None
    return _installed[0] if _installed else None


def _itself(request: Callable[..., Any]) -> Callable[..., Any]:
    return request


def _is_ours(kind: Any) -> bool:
    return hasattr(vars(kind).get("request"), "is_of_mindlytics")
