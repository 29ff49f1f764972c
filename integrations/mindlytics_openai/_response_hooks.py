"""Being told when a response is closed or let go of, without a trace afterwards."""

import functools
import weakref
from collections.abc import Callable
from typing import Any

Told = Callable[[], None]


class Hooks:
    """What is attached to the SDK's objects while they are watched."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []

    def replace(self, response: Any, name: str, method: Any) -> None:
        """Have a method of a response be another."""
        setattr(response, name, method)
        # Who is told holds these hooks; held by them, the response could not be let go of.
        self._undo.append(functools.partial(_remove, weakref.ref(response), name, weakref.ref(method)))

    def on_close(self, response: Any, told: Told) -> None:
        """Have `told` called after each close of a response."""
        self.replace(response, "close", _then(response.close, told))
        self.replace(response, "aclose", _then_async(response.aclose, told))

    def on_release(self, thing: Any, told: Told) -> None:
        """Have `told` called when nobody holds `thing` any more, or the process ends."""
        self._undo.append(weakref.finalize(thing, told).detach)

    def undo(self) -> None:
        """Leave no trace."""
        while self._undo:
            self._undo.pop()()


def _remove(reference: "weakref.ref[Any]", name: str, method: "weakref.ref[Any]") -> None:
    response = reference()
    # What somebody else has put over ours since is theirs.
    if response is not None and vars(response).get(name) is method():
        delattr(response, name)


def _then(close: Any, told: Told) -> Any:
    def closing() -> None:
        try:
            close()
        finally:
            told()

    return closing


def _then_async(aclose: Any, told: Told) -> Any:
    async def closing() -> None:
        try:
            await aclose()
        finally:
            told()

    return closing
