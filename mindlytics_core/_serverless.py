"""For functions that are frozen or thrown away between calls: flush before the call ends."""

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast

from mindlytics_core._all_clients import flush, flush_sync

P = ParamSpec("P")
R = TypeVar("R")

_TIMEOUT = 3.0


class FlushAtEnd:
    """
    A context manager, also with `async with`, and a decorator for functions and coroutine functions.

    Args:
        timeout: Most seconds to wait.
    """

    def __init__(self, timeout: float = _TIMEOUT) -> None:
        self._timeout = timeout

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
                async with self:
                    return await function(*args, **kwargs)

            return cast(Callable[P, R], awaited)

        @functools.wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            with self:
                return function(*args, **kwargs)

        return called

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        flush_sync(self._timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await flush(self._timeout)


def flush_at_end(timeout: float = _TIMEOUT) -> FlushAtEnd:
    """
    Flush every client of the process when a block, or a function, ends: a context manager, sync or async, or
    a decorator of a function or a coroutine function.

    Between two calls of a serverless function nothing runs, and what is pending may be lost. Goes with
    `Delivery(mode="serverless")`. What the function gives or raises is left as it is.

    Args:
        timeout: Most seconds to wait.
    """
    return FlushAtEnd(timeout)
