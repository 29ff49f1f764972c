"""A client becomes a recording one by a change of its class: all its resources and helpers go through `request`."""

import functools
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from typing_extensions import Unpack

from mindlytics_core import FORKS, InvalidArgument
from mindlytics_openai._openai import openai

if TYPE_CHECKING:
    from mindlytics_openai._settings import Options, Settings

C = TypeVar("C", bound=openai.OpenAI | openai.AsyncOpenAI)

#: Where a client keeps its settings.
_SETTINGS = "_mindlytics_settings"
#: Where a class of ours keeps the class that it stands for, and a request of ours the one that it is put over.
PLAIN = "_mindlytics_plain"
#: What a class has whose instances record as soon as they have settings.
_RECORDS = "_mindlytics_records"


def wrap(openai_client: C, /, **options: "Unpack[Options]") -> C:
    """
    Record the conversations that are held through a client; the client itself is changed and given back.

    A client that is wrapped already stays as it is. Copies made by `with_options` and `copy` record too.

    Args:
        openai_client: Any `openai` client, sync or async, or a subclass of one.

        options: `client`, which records; `user_id`, `device_id`, `session_id`, `conversation_id`, `assistant_id`,
            `continue_within`, `stream_usage`.

    Raises:
        ConfigurationError: No client was given and the environment holds no key or no project id.

        InvalidArgument: An argument is of the wrong kind.
    """
    if not isinstance(openai_client, openai.OpenAI | openai.AsyncOpenAI):
        raise InvalidArgument(f"wrap takes an openai client, not a {type(openai_client).__name__}")
    if own_settings(openai_client) is None:
        # All that records is loaded with the first client that does: an import alone costs little.
        with FORKS.no_fork():
            from mindlytics_openai._request_hook import watched  # noqa: PLC0415
            from mindlytics_openai._settings import settings  # noqa: PLC0415

        _become_recording(openai_client, settings(options), watched)
    return openai_client


def unwrap(openai_client: C) -> C:
    """
    Undo `wrap`: the client is again what it was. Copies that were made of it go on recording.

    Args:
        openai_client: The client; one that is not wrapped stays as it is.
    """
    vars(openai_client).pop(_SETTINGS, None)
    own_request = getattr(vars(openai_client).get("request"), PLAIN, None)
    if own_request is not None:
        vars(openai_client)["request"] = own_request
    openai_client.__class__ = vars(type(openai_client)).get(PLAIN, type(openai_client))
    return openai_client


def own_settings(openai_client: Any) -> "Settings | None":
    """How a wrapped client's calls are recorded."""
    given: Settings | None = vars(openai_client).get(_SETTINGS)
    return given


def records(kind: type) -> bool:
    """Whether instances of a class record as soon as they have settings."""
    return _RECORDS in vars(kind)


def _become_recording(openai_client: Any, given: "Settings", watched: Callable[..., Any]) -> None:
    kind = type(openai_client)
    if not records(kind):
        # Kept by the class that it stands for, so that it lives as long as that one.
        known = (other for other in kind.__subclasses__() if records(other))
        openai_client.__class__ = next(known, None) or _recording_class(kind, watched)
    own_request = vars(openai_client).get("request")
    if own_request is not None:
        # Tools that look at one client put theirs over the class's.
        over = watched(kind, functools.partial(_without_self, own_request), own_settings)
        setattr(over, PLAIN, own_request)
        vars(openai_client)["request"] = types.MethodType(over, openai_client)
    setattr(openai_client, _SETTINGS, given)


def _recording_class(base: type, watched: Callable[..., Any]) -> type:
    """A class that is `base` in all but its requests; with one base only, so that instances can change into it."""
    plain: Any = base
    members = {
        "__module__": base.__module__,
        "__qualname__": base.__qualname__,
        "__doc__": base.__doc__,
        "request": watched(base, lambda: plain.request, own_settings),
        "copy": _keeping_settings(plain.copy),
        "with_options": _keeping_settings(plain.with_options),
        PLAIN: vars(base).get(PLAIN, base),
        _RECORDS: True,
    }
    return type(base.__name__, (base,), members)


def _keeping_settings(copy: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(copy)
    def kept(self: Any, *args: Any, **kwargs: Any) -> Any:
        copied = copy(self, *args, **kwargs)
        given = own_settings(self)
        if given is not None:
            setattr(copied, _SETTINGS, given)
        return copied

    return kept


def _without_self(request: Callable[..., Any]) -> Callable[..., Any]:
    """A client's own request, called as its class's is."""
    return lambda _self, *args, **kwargs: request(*args, **kwargs)
