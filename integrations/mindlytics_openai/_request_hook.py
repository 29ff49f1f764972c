"""The two drivers, sync and async, around a client's `request`; all that they do stands in `Call`."""

import functools
from collections.abc import Callable
from typing import Any

from mindlytics_core import guarded
from mindlytics_openai._call import Call
from mindlytics_openai._openai import openai
from mindlytics_openai._settings import Settings

SettingsOf = Callable[[Any], Settings | None]


def watched(kind: type, request_of: Callable[[], Callable[..., Any]], settings_of: SettingsOf) -> Callable[..., Any]:
    """
    A `request` that records what passes through it.

    Args:
        kind: The class of client that it is for.

        request_of: Gives the client's own, as it is when a call is made: others may have put theirs over it since.

        settings_of: Says how a client's calls are recorded, or None if they are not.
    """
    drive = _drive_async if issubclass(kind, openai.AsyncOpenAI) else _drive
    return functools.wraps(request_of())(drive(request_of, settings_of))


def _drive(request_of: Callable[[], Callable[..., Any]], settings_of: SettingsOf) -> Callable[..., Any]:
    def watched(self: Any, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None) -> Any:
        call = _begin(self, options, settings_of, stream=stream)
        while True:
            try:
                answer = request_of()(self, cast_to, call.options, stream=stream, stream_cls=stream_cls)
            except BaseException as error:  # whatever it is, it is the app's, and goes on as it is
                if call.failed(error):
                    raise
            else:
                return call.answered(answer)

    return watched


def _drive_async(request_of: Callable[[], Callable[..., Any]], settings_of: SettingsOf) -> Callable[..., Any]:
    async def watched(self: Any, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None) -> Any:
        call = _begin(self, options, settings_of, stream=stream)
        while True:
            try:
                answer = await request_of()(self, cast_to, call.options, stream=stream, stream_cls=stream_cls)
            except BaseException as error:  # also a cancellation; it goes on as it is
                if call.failed(error):
                    raise
            else:
                return call.answered(answer)

    return watched


def _begin(openai_client: Any, options: Any, settings_of: SettingsOf, *, stream: bool) -> Call:
    call = Call(options)
    with guarded("openai.request"):
        settings = settings_of(openai_client)
        if settings is not None:
            call.begin(settings, openai_client, stream=stream)
    return call
