"""Which ids apply right now: a context variable, with an explicit default beneath it."""

import contextlib
from collections.abc import Callable
from contextvars import ContextVar, Token
from dataclasses import dataclass, fields
from types import TracebackType

from mindlytics_core import _model
from mindlytics_core._clock import IDS


@dataclass(frozen=True, slots=True)
class Ids:
    """
    What may be known of whose and which conversation this is. Each id is looked up on its own.

    Attributes:
        user_id: The app's own id of a known user.

        device_id: The id of a device.

        session_id: The visit.

        conversation_id: The thread of turns.
    """

    user_id: str | None = None
    device_id: str | None = None
    session_id: str | None = None
    conversation_id: str | None = None

    def or_else(self, other: "Ids") -> "Ids":
        """These ids, and the other's where one is not set here."""
        return Ids(*(getattr(self, name) or getattr(other, name) for name in _ID_NAMES))

    def identity(self) -> _model.Identity:
        """The user and the device."""
        return _model.Identity(self.user_id, self.device_id)


_ID_NAMES = tuple(field.name for field in fields(Ids))
NO_IDS = Ids()


class Scope:
    """
    The ids that apply inside one `with` block.

    Args:
        ids: What the block sets, and what it inherits.

        properties: Sent with the start of the conversation.
    """

    def __init__(self, ids: Ids, properties: _model.Properties) -> None:
        self.ids = ids
        self.properties = properties
        self._on_leave: dict[object, Callable[[], None]] = {}

    def on_leave(self, key: object, task: Callable[[], None]) -> None:
        """Have `task` called when the block ends, once for each key."""
        self._on_leave[key] = task

    def leave(self) -> None:
        """The block has ended."""
        while self._on_leave:
            self._on_leave.popitem()[1]()


_scope: ContextVar[Scope | None] = ContextVar("mindlytics_scope", default=None)


def current_scope() -> Scope | None:
    """The innermost block that is open in this context."""
    return _scope.get()


class conversation(contextlib.ContextDecorator):  # noqa: N801  # reads as a word: `with conversation(...)`
    """
    A block whose exchanges belong to one conversation; it ends with the block.

    Works as `with`, as `async with` and as a decorator. A nested block inherits what it does not set; ids
    given with a call win over it. The block reaches `asyncio` tasks and `asyncio.to_thread`, not bare threads.

    Args:
        user_id: The app's own id of a known user.

        device_id: The id of a device, for users who are not known.

        session_id: The visit; without it the conversation gets a session of its own.

        conversation_id: The conversation; without it the outermost block makes one.

        properties: Sent with the start of the conversation.

    Raises:
        InvalidArgument: An id is no text of 1 to 100 characters, or a property is no scalar.
    """

    def __init__(
        self,
        *,
        user_id: str | None = None,
        device_id: str | None = None,
        session_id: str | None = None,
        conversation_id: str | None = None,
        properties: _model.Properties | None = None,
    ) -> None:
        given = {"user_id": user_id, "device_id": device_id}
        given |= {"session_id": session_id, "conversation_id": conversation_id}
        for name, value in given.items():
            if value is not None:
                _model.check_name(name, value)
        self._ids = Ids(**given)
        self._properties = _model.check_properties("properties", properties)
        self._entered: list[tuple[Token[Scope | None], Scope]] = []

    def __enter__(self) -> Scope:
        outer = _scope.get()
        ids = self._ids.or_else(outer.ids if outer else NO_IDS)
        scope = Scope(
            ids.or_else(Ids(conversation_id=IDS.new())),
            {**(outer.properties if outer else {}), **self._properties},
        )
        self._entered.append((_scope.set(scope), scope))
        return scope

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        token, scope = self._entered.pop()
        _scope.reset(token)
        scope.leave()

    async def __aenter__(self) -> Scope:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def enter(ids: Ids) -> Token[Scope | None]:
    """Open a scope that ends nothing when it is left."""
    return _scope.set(Scope(ids, {}))


def leave(token: Token[Scope | None]) -> None:
    """Close it again."""
    _scope.reset(token)
