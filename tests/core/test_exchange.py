"""One turn in the making: what an author of an integration calls, and what is recorded of it."""

import asyncio
import gc
import threading
from typing import Any, cast

import pytest
from desk import Desk
from helpers import shape

from mindlytics_core import Ids, Message

TURN = ["start_session", "Conversation Started", "Conversation Turn", "Conversation Ended", "end_session"]


def one(desk: Desk, name: str) -> dict:
    (event,) = [event for event in desk.events if event.get("event") == name]
    return event["properties"]


def test_a_whole_exchange_is_one_turn_with_its_calls_and_its_usage():
    desk = Desk()
    exchange = desk.exchange(Ids(user_id="ann"))
    exchange.model_call("router", prompt_tokens=5, completion_tokens=1)
    exchange.model_call("m", prompt_tokens=10, completion_tokens=2, cached_tokens=4)
    exchange.function_call("find", args='{"id": 7}', result="shipped", runtime=12.4)
    desk.pass_time(0.25)
    exchange.first_token()
    exchange.first_token()
    exchange.model_call("m", prompt_tokens=20, completion_tokens=3, reasoning_tokens=2)
    desk.pass_time(0.25)
    exchange.finish("On its way.", properties={"mood": "calm"})

    assert shape(desk.events) == [
        *TURN[:2],
        "Conversation Function",
        "Conversation Usage",
        *TURN[2:],
    ]
    assert one(desk, "Conversation Turn") == {
        "turn_id": exchange.turn_id,
        "user": "Hi",
        "assistant": "On its way.",
        "model": "m",
        "prompt_tokens": 30,
        "completion_tokens": 5,
        "cached_tokens": 4,
        "reasoning_tokens": 2,
        "latency_ms": 500,
        "time_to_first_token_ms": 250,
        "mood": "calm",
    }
    assert one(desk, "Conversation Function") == {
        "turn_id": exchange.turn_id,
        "name": "find",
        "args": '{"id": 7}',
        "result": "shipped",
        "runtime": 12,
    }
    assert one(desk, "Conversation Usage") == {
        "turn_id": exchange.turn_id,
        "model": "router",
        "prompt_tokens": 5,
        "completion_tokens": 1,
    }


def test_what_failed_is_no_turn_and_its_text_is_not_recorded():
    desk = Desk()
    exchange = desk.exchange()
    exchange.model_call("m", prompt_tokens=1)
    exchange.function_call("find", error=KeyError("secret"))
    exchange.fail(ValueError("secret"))

    assert "Conversation Turn" not in shape(desk.events)
    failed = one(desk, "Turn Failed")
    assert (failed["error"], failed["user"], failed["model"], failed["prompt_tokens"]) == ("ValueError", "Hi", "m", 1)
    assert one(desk, "Conversation Function")["error"] == "KeyError"
    assert "secret" not in str(desk.events)


@pytest.mark.parametrize(("seen", "recorded"), [("Hel", "Conversation Turn"), ("", "Turn Failed")])
def test_an_interruption_is_a_turn_only_if_the_user_saw_something(seen: str, recorded: str):
    desk = Desk()
    desk.exchange().interrupt(seen, error=asyncio.CancelledError())

    found = one(desk, recorded)
    assert found.get("interrupted") is (True if seen else None)
    assert found.get("error") == (None if seen else "CancelledError")


def test_the_first_end_counts_and_nothing_after_it():
    desk = Desk()
    exchange = desk.exchange()
    exchange.finish("Hello")
    exchange.finish("again")
    exchange.fail("late")
    exchange.interrupt("late")
    exchange.model_call("m", prompt_tokens=1)
    exchange.function_call("late")

    assert shape(desk.events) == TURN
    assert not exchange.is_open


def test_of_ends_from_many_threads_one_counts():
    desk = Desk()
    exchange = desk.exchange()
    together = threading.Barrier(8)

    def finish() -> None:
        together.wait(10)
        exchange.finish("Hello")

    threads = [threading.Thread(target=finish) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert shape(desk.events) == TURN


def test_as_a_block_it_fails_with_what_is_raised_inside():
    desk = Desk()
    with pytest.raises(ZeroDivisionError), desk.exchange():
        raise ZeroDivisionError

    assert one(desk, "Turn Failed")["error"] == "ZeroDivisionError"


async def test_as_an_async_block_it_fails_with_a_cancellation_too():
    desk = Desk()

    entered = asyncio.Event()

    async def work() -> None:
        async with desk.exchange():
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert one(desk, "Turn Failed")["error"] == "CancelledError"


def test_a_block_that_ends_without_an_answer_is_a_failed_turn_and_one_with_an_answer_is_not():
    desk = Desk()
    with desk.exchange():
        pass
    with desk.exchange() as exchange:
        exchange.finish("Hello")

    assert one(desk, "Turn Failed")["error"] == "NoAnswer"
    assert shape(desk.events).count("Conversation Turn") == 1
    assert shape(desk.events).count("Conversation Ended") == 2


def test_an_exchange_that_waits_for_its_tools_is_completed_by_the_call_that_brings_their_results():
    desk = Desk()
    asked = [Message("user", "Hi"), Message("assistant", "find()")]
    with desk.exchange(messages=asked[:1]) as exchange:
        exchange.await_tools(asked)
    again = desk.exchange(messages=[*asked, Message("tool", "shipped")])
    assert again is exchange
    again.finish("On its way.")

    assert shape(desk.events) == TURN


def test_an_exchange_whose_tools_never_answer_is_given_up_when_its_conversation_ends():
    desk = Desk(idle_timeout=100)
    asked = [Message("user", "Hi"), Message("assistant", "find()")]
    desk.exchange(messages=asked[:1]).await_tools(asked)
    desk.pass_time(101)

    assert one(desk, "Turn Failed")["error"] == "NoAnswer"
    assert shape(desk.events)[-2:] == ["Conversation Ended", "end_session"]


def test_an_exchange_that_waits_may_wait_again_and_be_finished_by_itself():
    desk = Desk(idle_timeout=100)
    asked = [Message("user", "Hi"), Message("assistant", "find()")]
    exchange = desk.exchange(messages=asked[:1], continue_within=50)
    exchange.await_tools(asked)
    desk.pass_time(40)
    exchange.await_tools(asked)
    desk.pass_time(40)
    exchange.finish("Hello")
    desk.pass_time(40)
    desk.exchange(messages=[asked[0], Message("assistant", "Hello"), asked[0]]).finish("Hello")
    desk.pass_time(51)

    begun, ended = TURN[:-2], TURN[-2:]
    assert shape(desk.events) == [*begun, begun[-1], *ended]


def test_what_was_shown_of_an_answer_that_never_came_is_an_interrupted_turn():
    desk = Desk(idle_timeout=100)
    asked = [Message("user", "Hi"), Message("assistant", "job")]
    desk.exchange(messages=asked[:1]).await_tools(asked, shown="Hel")
    desk.pass_time(101)

    turn = one(desk, "Conversation Turn")
    assert (turn["assistant"], turn["interrupted"]) == ("Hel", True)


def test_odd_values_are_recorded_as_far_as_they_say_something():
    odd: Any = 5
    desk = Desk()
    exchange = desk.exchange()
    exchange.user = odd
    exchange.model_call(odd, prompt_tokens=1)
    for runtime in (float("nan"), float("-inf"), 1e300, "soon", True, -1.0, 2.6):
        exchange.function_call(odd, args=odd, result=odd, runtime=cast(Any, runtime), error=ValueError)
    nothing: Any = None
    exchange.finish(nothing, model=odd)

    calls = [event["properties"] for event in desk.events if event.get("event") == "Conversation Function"]
    assert [call.get("runtime") for call in calls] == [None] * 5 + [0, 3]
    assert {(call["name"], call["args"], call["error"]) for call in calls} == {("5", "5", "ValueError")}
    turn = one(desk, "Conversation Turn")
    assert (turn["user"], turn["assistant"], turn["model"], turn["prompt_tokens"]) == ("5", "", "5", 1)


def test_tokens_as_frameworks_hand_them_over_are_read_with_care():
    desk = Desk()
    exchange = desk.exchange()
    exchange.model_call("m", prompt_tokens=3.0, completion_tokens=None)
    exchange.model_call(None, prompt_tokens=True, completion_tokens=float("nan"))
    exchange.model_call("x" * 500, prompt_tokens=-1)
    exchange.finish("Hello", model="m")

    turn = one(desk, "Conversation Turn")
    assert (turn["model"], turn["prompt_tokens"], turn["completion_tokens"]) == ("m", 3, 0)


def test_an_exchange_that_nobody_ends_does_not_end_its_conversation_before_the_process_does():
    desk = Desk()
    desk.exchange(Ids(conversation_id="thread"))
    gc.collect()
    desk.pass_time(10_000)
    assert "Conversation Ended" not in shape(desk.events)
    desk.book.end_at_exit()

    assert shape(desk.events)[-2:] == ["Conversation Ended", "end_session"]
