"""Whose and which conversation applies where."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import Any

import pytest
from desk import Desk
from helpers import suspended

from mindlytics_core import Ids, InvalidArgument, Scope, conversation, current_scope, current_session


@pytest.fixture
def desk() -> Iterator[Desk]:
    yield Desk()
    assert current_scope() is None


def here() -> tuple[str | None, str | None]:
    """The user and the conversation that apply here."""
    scope = current_scope()
    return (scope.ids.user_id, scope.ids.conversation_id) if scope else (None, None)


def shape_of(desk: Desk, user: str) -> list[str]:
    """What a user's sessions hold."""
    return [event.get("event") or event["type"] for event in desk.events if event.get("user_id") == user]


VISIT = ["start_session", "Conversation Started", "Conversation Turn", "Conversation Ended", "end_session"]


def test_a_block_applies_inside_and_not_outside(desk: Desk):
    with conversation(user_id="ann", conversation_id="talk"):
        assert here() == ("ann", "talk")
        desk.exchange().finish("Hello")
    assert here() == (None, None)

    assert shape_of(desk, "ann") == VISIT


async def test_an_async_block_does_the_same(desk: Desk):
    async with conversation(user_id="ann"):
        await suspended()
        desk.exchange().finish("Hello")

    assert shape_of(desk, "ann") == VISIT


def test_a_nested_block_inherits_what_it_does_not_set(desk: Desk):
    with (
        conversation(user_id="ann", properties={"a": 1, "b": 1}) as outer,
        conversation(device_id="phone", properties={"b": 2}) as inner,
    ):
        assert inner.ids == Ids("ann", "phone", None, outer.ids.conversation_id)
        assert inner.properties == {"a": 1, "b": 2}
        with conversation(conversation_id="aside"):
            assert here() == ("ann", "aside")
        assert desk.events == []


@pytest.mark.parametrize("inner", [{"user_id": "ann"}, {"conversation_id": "talk"}])
def test_a_nested_block_does_not_end_the_conversation_of_the_block_around_it(desk: Desk, inner: dict[str, str]):
    with conversation(user_id="ann", conversation_id="talk"):
        with conversation(**inner):
            desk.exchange().finish("one")
        desk.exchange().finish("two")

    assert shape_of(desk, "ann") == [*VISIT[:3], "Conversation Turn", *VISIT[3:]]


def test_ids_given_with_a_call_win(desk: Desk):
    with conversation(user_id="ann", conversation_id="talk"):
        desk.exchange(Ids(user_id="bob", conversation_id="other")).finish("Hello")

    assert shape_of(desk, "ann") == []
    assert shape_of(desk, "bob")[:3] == VISIT[:3]


def test_a_decorated_function_has_a_block_for_each_call(desk: Desk):
    @conversation(user_id="ann")
    def answer(text: str) -> str | None:
        desk.exchange().finish(text)
        return here()[1]

    assert answer("one") != answer("two")
    assert shape_of(desk, "ann") == 2 * VISIT
    assert answer.__name__ == "answer"


async def test_a_decorated_coroutine_function_has_its_block_until_it_returns(desk: Desk):
    @conversation(user_id="ann")
    async def answer() -> str | None:
        await suspended()
        desk.exchange().finish("Hello")
        await suspended()
        assert "Conversation Ended" not in shape_of(desk, "ann")
        return here()[1]

    assert asyncio.iscoroutinefunction(answer)
    assert await answer() is not None
    assert shape_of(desk, "ann") == VISIT


async def test_calls_at_once_of_one_decorated_function_do_not_meet(desk: Desk):
    both = asyncio.Barrier(2)

    @conversation(user_id="ann")
    async def answer() -> str | None:
        before = here()[1]
        await both.wait()
        assert here()[1] == before
        return before

    assert len(set(await asyncio.gather(answer(), answer()))) == 2
    del desk


def test_threads_of_one_decorated_function_do_not_meet(desk: Desk):
    together = threading.Barrier(8)

    @conversation(user_id="ann")
    def answer() -> str | None:
        before = here()[1]
        together.wait(10)
        assert here()[1] == before
        together.wait(10)
        return before

    with ThreadPoolExecutor(8) as pool:
        found = [future.result() for future in [pool.submit(answer) for _ in range(8)]]
    assert len(set(found)) == 8
    del desk


def test_generators_are_refused_with_what_to_do_instead():
    def stream() -> Iterator[str]:
        yield "x"

    with pytest.raises(InvalidArgument, match="generator"):
        conversation(user_id="ann")(stream)


async def test_a_block_reaches_tasks_and_to_thread():
    with conversation(user_id="ann", conversation_id="talk"):
        task = asyncio.create_task(asyncio.to_thread(here))
        assert await asyncio.to_thread(here) == ("ann", "talk")
    assert await task == ("ann", "talk")


def in_a_bare_thread(function: Callable[..., Any], *args: Any) -> Any:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(function, *args).result()


def test_a_bare_thread_begins_outside_and_run_takes_the_block_there(desk: Desk):
    with conversation(user_id="ann", conversation_id="talk") as scope:
        assert in_a_bare_thread(here) == (None, None)
        assert in_a_bare_thread(scope.run, here) == ("ann", "talk")
        assert in_a_bare_thread(lambda: scope.run(sorted, [2, 1], reverse=True)) == [2, 1]
        in_a_bare_thread(scope.run, lambda: desk.exchange().finish("Hello"))
    with desk.session(session_id="visit") as session:
        scope = current_scope()
        assert scope is not None
        assert in_a_bare_thread(current_session) is None
        assert in_a_bare_thread(scope.run, current_session) is session

    assert shape_of(desk, "ann") == VISIT


def test_run_can_be_used_by_many_threads_at_once():
    together = threading.Barrier(4)

    def work() -> tuple[str | None, str | None]:
        together.wait(10)
        return here()

    with conversation(user_id="ann", conversation_id="talk") as scope, ThreadPoolExecutor(4) as pool:
        assert {future.result() for future in [pool.submit(scope.run, work) for _ in range(4)]} == {("ann", "talk")}


def test_a_default_applies_everywhere_until_it_is_closed(desk: Desk):
    scope = conversation(user_id="ann", conversation_id="notebook").as_default()
    try:
        assert here() == ("ann", "notebook")
        assert in_a_bare_thread(here) == ("ann", "notebook")
        assert asyncio.run(asyncio.to_thread(here)) == ("ann", "notebook")
        assert in_a_bare_thread(scope.run, here) == ("ann", "notebook")
        for _ in range(2):  # two cells
            desk.exchange().finish("Hello")
        with conversation(conversation_id="aside"):
            assert here() == ("ann", "aside")
        assert "Conversation Ended" not in shape_of(desk, "ann")
    finally:
        scope.close()

    assert shape_of(desk, "ann") == [*VISIT[:3], "Conversation Turn", *VISIT[3:]]


def test_a_default_survives_from_one_cell_of_a_notebook_to_the_next(desk: Desk):
    cells: list[Scope] = []
    # A kernel runs each cell in a context of its own, or what a cell sets is gone in the next.
    Context().run(lambda: cells.append(conversation(user_id="ann").as_default()))
    Context().run(lambda: desk.exchange().finish("one"))
    Context().run(asyncio.run, asyncio.to_thread(lambda: desk.exchange().finish("two")))
    Context().run(cells[0].close)

    assert shape_of(desk, "ann") == [*VISIT[:3], "Conversation Turn", *VISIT[3:]]


def test_another_default_closes_the_one_before(desk: Desk):
    first = conversation(user_id="ann").as_default()
    desk.exchange().finish("Hello")
    second = conversation(user_id="bob").as_default()

    assert shape_of(desk, "ann") == VISIT
    assert here()[0] == "bob"
    first.close()
    assert here()[0] == "bob"
    second.close()


def test_a_block_that_is_left_in_another_context_leaves_quietly():
    async def stream():
        with conversation(user_id="ann"):
            yield 1
            yield 2

    async def first_of() -> None:
        left = stream()
        assert await anext(left) == 1
        await asyncio.create_task(left.aclose())

    asyncio.run(first_of())
    assert here() == (None, None)


@pytest.mark.parametrize("wrong", [{"user_id": ""}, {"conversation_id": 7}, {"properties": {"a": []}}])
def test_wrong_ids_raise_at_once(wrong):
    with pytest.raises(InvalidArgument):
        conversation(**wrong)


@pytest.mark.parametrize("name", ["user_id", "device_id", "session_id", "conversation_id"])
@pytest.mark.parametrize("wrong", [7, ""])
def test_ids_are_texts_that_say_something(name: str, wrong: Any):
    with pytest.raises(InvalidArgument, match=name):
        Ids(**{name: wrong})


def test_the_session_of_the_block_or_of_the_exchange_in_progress_is_current(desk: Desk):
    assert current_session() is None
    with desk.session(id="ann") as session:
        assert current_session() is session
        exchange = desk.exchange(Ids(session_id="other", conversation_id="talk"))
        inside = current_session()
        assert inside is not None
        assert inside.session_id == "other"
        inside.track_event(event="Noted")
        inner = desk.exchange(Ids(session_id="inner"))
        assert current_session().session_id == "inner"
        inner.finish("Hello")
        assert current_session().session_id == "other"
        exchange.finish("Hello")
        assert current_session() is session
    assert current_session() is None

    (noted,) = [event for event in desk.events if event.get("event") == "Noted"]
    assert (noted["session_id"], noted["conversation_id"]) == ("other", "talk")


def test_an_exchange_that_is_let_go_of_is_not_kept_by_the_context(desk: Desk):
    desk.exchange(Ids(session_id="other"))
    assert current_session() is None


def test_a_scope_has_a_name_in_the_doorway():
    with conversation() as scope:
        assert isinstance(scope, Scope)
