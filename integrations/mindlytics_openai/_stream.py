"""Watching a stream while the app reads it: the stream stays the SDK's own object, only its source is watched."""

import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from mindlytics_core import call_guarded, guarded
from mindlytics_openai._background_jobs import settle
from mindlytics_openai._recording import Recording
from mindlytics_openai._response_hooks import Hooks
from mindlytics_openai._surface import Collector


class Observer:
    """
    Sees what one stream delivers, and how it ends.

    Args:
        recording: The model call.

        collector: Puts the answer together from the stream's parts.

        hides_usage: Whether the usage chunk is ours, and not for the app.
    """

    def __init__(self, recording: Recording, collector: Collector, *, hides_usage: bool = False) -> None:
        #: Whether a read is under way; the SDK closes the response before the read's outcome is known.
        self.is_reading = False
        self._recording = recording
        self._collector = collector
        self._hides_usage = hides_usage
        self._hooks = Hooks()
        #: False when the stream is over, or could not be read.
        self._is_open = True
        #: Taken by the first who finds the end: a finaliser may come while a read does.
        self._end = threading.Lock()
        #: What a forked child lets go of is its parent's.
        self._process = os.getpid()
        self._has_begun = False
        #: Whether the app has begun to read an HTTP response.
        self._is_read = False

    def watch(self, stream: Any) -> None:
        """Be told of everything that happens to a stream of the SDK's."""
        stream._iterator = _watched(stream._iterator, self)  # noqa: SLF001  # what feeds `next`, `for` and every helper
        # The chat helper closes the response and never the stream.
        self._hooks.on_close(stream.response, self.closed)
        # A stream that is let go of unread or half read tells nobody.
        self._hooks.on_release(stream, self.released)
        self._recording.exchange.when_given_up(self.released)

    def watch_response(self, response: Any) -> None:
        """Be told of everything that the app reads of an HTTP response."""
        if response.is_closed:
            # A cache, or a transport made for tests, has it whole already.
            self.passes(response.content)
            self._conclude(None)
            return
        # All of its ways to read go through these.
        for name in ("iter_bytes", "aiter_bytes"):
            self._hooks.replace(response, name, self._parts_of(getattr(response, name)))
        # They read raw bytes themselves; an app that does so has them as they were sent, perhaps compressed.
        if "content-encoding" not in response.headers:
            for name in ("iter_raw", "aiter_raw"):
                self._hooks.replace(response, name, self._parts_of(getattr(response, name)))
        self._hooks.on_close(response, self.closed)
        self._hooks.on_release(response, self.released)
        self._recording.exchange.when_given_up(self.released)

    def passes(self, part: Any) -> bool:
        """Note one part; say whether the app gets it."""
        if self._is_open:
            shows = call_guarded("openai.stream", self._collector.add, part)
            if shows is None:
                # A fault of ours was swallowed: what was read is not what the user saw.
                if self._release():
                    self._recording.give_up()
            elif shows and not self._has_begun:
                self._has_begun = True
                call_guarded("openai.first_token", self._recording.exchange.first_token)
        return not (self._hides_usage and call_guarded("openai.usage", _is_usage, part))

    def over(self, error: BaseException) -> None:
        """A read found the end, or an error."""
        if _is_refused(error):
            return
        self.is_reading = False
        self._conclude(None if isinstance(error, StopIteration | StopAsyncIteration) else error)

    def closed(self) -> None:
        """The response was closed."""
        if not self.is_reading:
            self._conclude(None)

    def released(self) -> None:
        """The stream was let go of, or nobody records any more, perhaps while a thread waits for the next part."""
        self._conclude(None)

    def _parts_of(self, read: Callable[..., Any]) -> Callable[..., Any]:
        def parts(*args: Any, **kwargs: Any) -> Any:
            # The first that is called is the app's, and what that calls in turn has been seen.
            is_first, self._is_read = not self._is_read, True
            source = read(*args, **kwargs)
            return _watched(source, self) if is_first else source

        return parts

    def _conclude(self, error: BaseException | None) -> None:
        if self._release():
            with self._recording.closing("openai.stream_end"):
                settle(self._recording, self._collector.answer(), error)

    def _release(self) -> bool:
        """Watch no longer; whether what was seen is to be recorded, which is so once."""
        if not self._end.acquire(blocking=False):
            return False
        self._is_open = False
        with guarded("openai.unhook"):
            self._recording.exchange.when_given_up(None)
            self._hooks.undo()
        return self._process == os.getpid()


class _Unwatched:
    """Stands in for an observer that could not be made: only the usage chunk, which is ours, is taken out."""

    is_reading = False

    def passes(self, part: Any) -> bool:
        return not call_guarded("openai.usage", _is_usage, part)

    def over(self, error: BaseException) -> None:
        """Nobody is told."""


def hide_usage(stream: Any) -> None:
    """See to it that the app does not get a usage chunk that it did not ask for, also from a stream not watched."""
    source = stream._iterator  # noqa: SLF001  # what feeds `next`, `for` and every helper
    if not isinstance(source, Parts | AsyncParts):
        stream._iterator = _watched(source, _Unwatched())  # noqa: SLF001  # the same


def _watched(source: Any, observer: "Observer | _Unwatched") -> Any:
    return (AsyncParts if hasattr(source, "__anext__") else Parts)(source, observer)


def _is_usage(part: Any) -> bool:
    if getattr(part, "usage", None) is not None:
        return not part.choices
    # Because usage was asked for, every other chunk says that it has none; without us it would not.
    part.__pydantic_fields_set__.discard("usage")
    return False


def _is_refused(error: BaseException) -> bool:
    """Whether a read did not take place because another one is under way, which goes on: a generator says so itself."""
    # Of what is raised by its code the traceback has a frame behind ours.
    return isinstance(error, ValueError | RuntimeError) and getattr(error.__traceback__, "tb_next", None) is None


class _Source:
    """
    A stream's source, watched.

    Args:
        source: The SDK's own.

        observer: Is told.
    """

    def __init__(self, source: Any, observer: Observer | _Unwatched) -> None:
        self._source = source
        self._observer = observer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


class Parts(_Source):
    """The source of a sync stream."""

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        observer = self._observer
        while True:
            observer.is_reading = True
            try:
                part = next(self._source)
            except BaseException as error:  # also a Ctrl-C: recorded, and raised on as it is
                observer.over(error)
                raise
            observer.is_reading = False
            if observer.passes(part):
                return part


class AsyncParts(_Source):
    """The source of an async stream."""

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        observer = self._observer
        while True:
            observer.is_reading = True
            try:
                part = await anext(self._source)
            except BaseException as error:  # also a cancellation: recorded, and raised on as it is
                observer.over(error)
                raise
            observer.is_reading = False
            if observer.passes(part):
                return part
