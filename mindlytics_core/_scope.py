"""Which ids apply right now: a context variable, with an explicit default beneath it."""

import contextlib
import contextvars
import functools
import inspect
from collections.abc import Callable, Collection
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

import msgspec

from mindlytics_core import _model
from mindlytics_core._clock import IDS
from mindlytics_core.exceptions import InvalidArgument

P = ParamSpec("P")
R = TypeVar("R")


class Ids(msgspec.Struct, frozen=True):
    """
    What may be known of whose and which conversation this is. Each id is looked up on its own.

    Attributes:
        user_id: The app's own id of a known user.

        device_id: The id of a device.

        session_id: The visit.

        conversation_id: The thread of turns.

    Raises:
        InvalidArgument: One of them is no text, or an empty one.
    """

    user_id: str | None = None
    device_id: str | None = None
    session_id: str | None = None
    conversation_id: str | None = None

    def __post_init__(self) -> None:
        for name in _ID_NAMES:
            value = getattr(self, name)
            if value is not None and not _model.check_text(name, value):
                raise InvalidArgument(f"{name} must not be empty; leave it out where it is not known")

    def or_else(self, other: "Ids") -> "Ids":
        """These ids, and the other's where one is not set here."""
        # Every exchange asks three times, and most of the time one of the two is empty.
        if other is NO_IDS or other == NO_IDS:
            return self
        if self is NO_IDS or self == NO_IDS:
            return other
        return Ids(*(getattr(self, name) or getattr(other, name) for name in _ID_NAMES))

    def identity(self) -> _model.Identity:
        """The user and the device."""
        return _model.Identity(self.user_id, self.device_id)

    def other_than(self, known: _model.Identity) -> _model.Identity | None:
        """Who these ids name, if that is somebody else than a session's own; what is not set here is the session's."""
        if self.user_id is None and self.device_id is None:
            return None
        named = _model.Identity(self.user_id or known.user_id, self.device_id or known.device_id)
        return None if named == known else named


_ID_NAMES = Ids.__struct_fields__
NO_IDS = Ids()


class Scope:
    """
    The ids that apply inside one block, or by default in the process.

    Args:
        ids: What the block sets, and what it inherits.

        properties: Sent with the start of the conversation.

        within: The block around it, whose conversation it shares; that one ends it then.
    """

    def __init__(self, ids: Ids, properties: _model.Properties, within: "Scope | None" = None) -> None:
        self._ids = ids
        self.properties = properties
        self._within = within
        self._context = contextvars.Context()
        self._on_leave: dict[object, Callable[[], None]] = {}

    @property
    def ids(self) -> Ids:
        """The ids that apply."""
        return self._ids

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """
        Call `function` inside this scope, from a thread that does not inherit it.

        The call sees the context variables as they were when the scope was entered, not the thread's own.

        Args:
            function: What to call.

            args: Handed to it.

            kwargs: Handed to it.
        """
        return self._context.copy().run(function, *args, **kwargs)

    def close(self) -> None:
        """End the scope's conversation; a default scope applies no longer."""
        if _default[0] is self:
            _default[0] = None
        self.leave()

    def on_leave(self, key: object, task: Callable[[], None]) -> None:
        """Have `task` called when the block ends that the conversation belongs to, once for each key."""
        if self._within is not None:
            self._within.on_leave(key, task)
        else:
            self._on_leave[key] = task

    def leave(self) -> None:
        """The block has ended."""
        while self._on_leave:
            self._on_leave.popitem()[1]()

    def enter(self) -> Token["Scope | None"]:
        """Make it the current one in this context."""
        token = _scope.set(self)
        self._context = contextvars.copy_context()
        return token


_scope: ContextVar[Scope | None] = ContextVar("mindlytics_scope", default=None)
#: What applies outside of every block.
_default: list[Scope | None] = [None]


def current_scope() -> Scope | None:
    """The innermost block that is open in this context, else the process's default scope."""
    return _scope.get() or _default[0]


class conversation:  # noqa: N801  # reads as a word: `with conversation(...)`
    """
    A block whose exchanges belong to one conversation; it ends with the block.

    Works as `with`, as `async with`, and as a decorator of functions and coroutine functions. A nested block
    inherits what it does not set, and leaves the conversation of the block around it open; ids given with a call
    win over it. The block reaches `asyncio` tasks and `asyncio.to_thread`, not bare threads:
    `Thread(target=scope.run, args=(work,))` takes it there.

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
        #: The blocks that are open; the same object may be entered again, and by several threads.
        self._entered: dict[Scope, Token[Scope | None]] = {}

    def as_default(self) -> Scope:
        """
        Apply outside of every block, in all of the process, until `close()` of the scope that this returns.

        For notebooks, whose cells have a context each. A default that was there before is closed.
        """
        scope = Scope(self._ids.or_else(Ids(conversation_id=IDS.new())), self._properties)
        contextvars.copy_context().run(scope.enter)
        before, _default[0] = _default[0], scope
        if before is not None:
            before.leave()
        return scope

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function or a coroutine function: each call is a block of its own."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise InvalidArgument(
                "conversation() cannot decorate a generator: its block would reach whoever consumes it. "
                "Use `with conversation(...)` around that loop instead."
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return awaited  # type: ignore[return-value]  # R is the coroutine, which is what this gives

        @functools.wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            with self:
                return function(*args, **kwargs)

        return called

    def __enter__(self) -> Scope:
        outer = current_scope()
        ids = self._ids.or_else(outer.ids if outer else NO_IDS)
        shares = outer is not None and ids.conversation_id in {outer.ids.conversation_id} - {None}
        scope = Scope(
            ids.or_else(Ids(conversation_id=IDS.new())),
            {**(outer.properties if outer else {}), **self._properties},
            within=outer if shares else None,
        )
        self._entered[scope] = scope.enter()
        return scope

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        scope = innermost(self._entered)
        leave(self._entered.pop(scope))
        scope.leave()

    async def __aenter__(self) -> Scope:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


class _Following(Scope):
    """A scope whose ids may change while it is open."""

    def __init__(self, read: Callable[[], Ids]) -> None:
        super().__init__(NO_IDS, {})
        self._read = read

    @property
    def ids(self) -> Ids:
        return self._read()


def following(read: Callable[[], Ids]) -> Scope:
    """A scope that ends nothing when it is left, and whose ids are asked for each time."""
    return _Following(read)


def innermost(entered: Collection[Scope]) -> Scope:
    """Of an object's open blocks the one that is left: this context's own, or the last one where it has none."""
    here = _scope.get()
    return here if here is not None and here in entered else list(entered)[-1]


def leave(token: Token[Scope | None]) -> None:
    """Close it again."""
    # An async generator may be closed in another context than the one it was entered in: nothing to undo there.
    with contextlib.suppress(ValueError):
        _scope.reset(token)
