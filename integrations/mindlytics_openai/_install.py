"""Recording for every client of the process, for apps that cannot reach the place where theirs are made."""

from typing import Any

from mindlytics_core import Client, Ids
from mindlytics_openai._openai import openai
from mindlytics_openai._request_hook import watched
from mindlytics_openai._settings import Settings, settings
from mindlytics_openai._wrap import own_settings

_KINDS: tuple[Any, ...] = (openai.OpenAI, openai.AsyncOpenAI)
#: The settings in force, at most one.
_installed: list[Settings] = []


def install(
    *,
    client: Client | None = None,
    user_id: str | None = None,
    device_id: str | None = None,
    session_id: str | None = None,
    conversation_id: str | None = None,
    continue_within: float | None = None,
    assistant_id: str | None = None,
    stream_usage: bool = True,
) -> None:
    """
    Record the conversations of every `openai` client of the process, made before or after; the last call counts.

    A client that is wrapped by itself keeps its own settings, and is recorded once.

    Args:
        client: Records; without it the process's default client, made from the environment.

        user_id: The app's own id of the user.

        device_id: The id of a device, for users who are not known.

        session_id: The visit.

        conversation_id: The conversation; without it one is recognised by its messages.

        continue_within: Seconds that an unnamed conversation waits for its next message, 1,800 by default.

        assistant_id: Which assistant answers.

        stream_usage: Whether streams are asked for their usage where the app did not ask; the app does not see it.

    Raises:
        ConfigurationError: No client was given and the environment holds no key or no project id.

        InvalidArgument: An argument is of the wrong kind.
    """
    _installed[:] = [
        settings(
            client,
            Ids(user_id, device_id, session_id, conversation_id),
            continue_within=continue_within,
            assistant_id=assistant_id,
            stream_usage=stream_usage,
        )
    ]
    for kind in _KINDS:
        if not _is_ours(kind):
            kind.request = watched(kind, kind.request, _settings_of)
            kind.request.is_of_mindlytics = True


def uninstall() -> None:
    """Undo `install`; clients that are wrapped by themselves go on recording."""
    _installed.clear()
    for kind in _KINDS:
        # What somebody else has put over ours stays; ours then only passes on.
        if _is_ours(kind):
            del kind.request


def _settings_of(openai_client: Any) -> Settings | None:
    if own_settings(openai_client) is not None:
        return None
    return _installed[0] if _installed else None


def _is_ours(kind: Any) -> bool:
    return hasattr(vars(kind).get("request"), "is_of_mindlytics")
