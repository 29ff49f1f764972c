"""A tool loop is one turn: its function calls, its final answer, its usage summed."""

import json
from typing import Any

import openai
import openai_chat
import pytest
from openai_chat import ENDED, INSIDE, OPENED, USED, chats

from mindlytics_core import Client
from mindlytics_openai import wrap

USER = {"role": "user", "content": "Weather in Oslo and Bergen?"}
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("weather", "clock")]
CALLS = [
    {
        **INSIDE,
        "event": "Conversation Function",
        "name": "weather",
        "args": json.dumps({"city": city}),
        "result": result,
        "runtime": "ms",
    }
    for city, result in (("Oslo", "rain"), ("Bergen", "more rain"))
]
TURN = {
    **openai_chat.TURN,
    "user": USER["content"],
    "assistant": "It rains.",
    "prompt_tokens": 14,
    "completion_tokens": 6,
}
FAILED = {**openai_chat.FAILED, "user": USER["content"], "model": "tiny-1", **USED}


@pytest.fixture
def asking(say: Any):
    """The model's request for two tools."""
    calls = [
        say.tool_call("call_1", "weather", '{"city": "Oslo"}'),
        say.tool_call("call_2", "weather", '{"city": "Bergen"}'),
    ]
    return say.completion(None, tool_calls=calls)


@pytest.fixture
def asking_in_parts(say: Any):
    """The same, streamed."""

    def part(index: Any, **call: Any) -> Any:
        return say.chunk(tool_calls=[{"index": index, **call}])

    return [
        part(0, id="call_1", type="function", function={"name": "weather", "arguments": ""}),
        part(0, function={"arguments": '{"city": '}),
        part(0, function={"arguments": '"Oslo"}'}),
        part(1, id="call_2", type="function", function={"name": "weather", "arguments": '{"city": "Bergen"}'}),
        say.chunk(finish="tool_calls"),
    ]


def with_results(message: Any):
    """What the app sends next."""
    return [
        USER,
        message,
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        {"role": "tool", "tool_call_id": "call_2", "content": "more rain"},
    ]


def test_a_tool_loop_is_one_turn(provider: Any, client: Client, arrived: Any, say: Any, asking: Any):
    provider.answers(asking, say.completion("It rains."))
    recording = wrap(provider.client(), client=client)

    first = recording.chat.completions.create(model="tiny", messages=[USER], tools=TOOLS)
    messages = with_results(first.choices[0].message)
    recording.chat.completions.create(model="tiny", messages=messages, tools=TOOLS)

    assert arrived() == [*OPENED, *CALLS, TURN]


def test_a_tool_loop_with_messages_written_anew_is_one_turn(
    provider: Any, client: Client, arrived: Any, say: Any, asking: Any
):
    provider.answers(asking, say.completion("It rains."))
    recording = wrap(provider.client(), client=client)

    recording.chat.completions.create(model="tiny", messages=[USER], tools=TOOLS)
    calls = [
        {"id": call["id"], "type": "function", "function": {**call["function"], "arguments": call_args}}
        for call, call_args in zip(
            asking["choices"][0]["message"]["tool_calls"], ('{"city":"Oslo"}', '{"city":"Bergen"}'), strict=True
        )
    ]
    messages = with_results({"role": "assistant", "content": "", "tool_calls": calls})
    recording.chat.completions.create(model="tiny", messages=messages, tools=TOOLS)

    assert arrived() == [*OPENED, *CALLS, TURN]


async def test_a_streamed_tool_loop_is_one_turn(  # noqa: PLR0917  # fixtures are given by name
    provider: Any, client: Client, arrived: Any, say: Any, asking: Any, asking_in_parts: Any
):
    provider.answers(asking_in_parts, say.spoken("It ", "rains."))
    recording = wrap(provider.client(openai.AsyncOpenAI), client=client)

    for messages in ([USER], with_results(asking["choices"][0]["message"])):
        stream = await recording.chat.completions.create(model="tiny", messages=messages, tools=TOOLS, stream=True)
        assert [chunk async for chunk in stream]

    assert arrived() == [*OPENED, *CALLS, {**TURN, "time_to_first_token_ms": "ms"}]


@pytest.mark.parametrize("index", [0, None])
def test_calls_that_a_server_tells_under_one_index_are_told_apart(  # noqa: PLR0917  # fixtures are given by name
    provider: Any, client: Client, arrived: Any, say: Any, asking: Any, index: Any
):
    calls = asking["choices"][0]["message"]["tool_calls"]
    chunks = [say.chunk(tool_calls=[{"index": index, **call}]) for call in calls]
    provider.answers([*chunks, say.chunk(finish="tool_calls")], say.completion("It rains."))
    recording = wrap(provider.client(), client=client)

    list(recording.chat.completions.create(model="tiny", messages=[USER], tools=TOOLS, stream=True))
    messages = with_results(asking["choices"][0]["message"])
    recording.chat.completions.create(model="tiny", messages=messages, tools=TOOLS)

    assert arrived() == [*OPENED, *CALLS, TURN]


#: What an app may make of the messages before the calls, while the tools run.
FRONTS = {
    "instructions written anew": (
        [{"role": "system", "content": "It is ten."}],
        [{"role": "system", "content": "Now."}],
    ),
    "first messages cut off": ([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}], []),
}


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("chats_at_once", [1, 2])
def test_a_loop_whose_first_messages_change_is_one_turn_unless_another_chat_has_the_same_calls(  # noqa: PLR0917  # fixtures are given by name
    provider: Any, client: Client, arrived: Any, say: Any, front: str, chats_at_once: int
):
    asking = say.completion(None, tool_calls=[say.tool_call("call_a1b2c3d4", "clock", "{}")])
    provider.answers(*[asking] * chats_at_once, say.completion("It rains."))
    recording = wrap(provider.client(), client=client)

    before, after = FRONTS[front]
    for _ in range(chats_at_once):
        recording.chat.completions.create(model="tiny", messages=[*before, USER], tools=TOOLS)
    result = {"role": "tool", "tool_call_id": "call_a1b2c3d4", "content": "ten"}
    messages = [*after, USER, asking["choices"][0]["message"], result]
    recording.chat.completions.create(model="tiny", messages=messages, tools=TOOLS)

    called = {**INSIDE, "event": "Conversation Function", "name": "clock", "args": "{}", "result": "ten"}
    if chats_at_once == 1:
        assert arrived() == [*OPENED, {**called, "runtime": "ms"}, TURN]
    else:
        third = {"session": "S3", "conversation": "C3"}
        assert arrived() == [*chats([], [], []), {**called, **third}, {**TURN, **third, **USED}]


def test_a_loop_over_several_rounds_is_one_turn(provider: Any, client: Client, arrived: Any, say: Any):
    rounds = [say.completion(None, tool_calls=[say.tool_call(f"call_{n}", "clock", "{}")]) for n in (1, 2)]
    provider.answers(*rounds, say.completion("It is late."))
    recording = wrap(provider.client(), client=client)

    messages = [USER]
    for number in (1, 2, 3):
        answer = recording.chat.completions.create(model="tiny", messages=messages, tools=TOOLS)
        messages.append(answer.choices[0].message)
        messages.append({"role": "tool", "tool_call_id": f"call_{number}", "content": f"{number} o'clock"})

    call = {**INSIDE, "event": "Conversation Function", "name": "clock", "args": "{}", "runtime": "ms"}
    assert arrived() == [
        *OPENED,
        {**call, "result": "1 o'clock"},
        {**call, "result": "2 o'clock"},
        {**TURN, "assistant": "It is late.", "prompt_tokens": 21, "completion_tokens": 9},
    ]


def test_the_chat_goes_on_after_a_tool_loop(provider: Any, client: Client, arrived: Any, say: Any, asking: Any):
    provider.answers(asking, say.completion("It rains."), say.completion("You are welcome."))
    recording = wrap(provider.client(), client=client)

    recording.chat.completions.create(model="tiny", messages=[USER], tools=TOOLS)
    messages = with_results(asking["choices"][0]["message"])
    recording.chat.completions.create(model="tiny", messages=messages, tools=TOOLS)
    messages += [{"role": "assistant", "content": "It rains."}, {"role": "user", "content": "Thanks"}]
    recording.chat.completions.create(model="tiny", messages=messages, tools=TOOLS)

    second = {**TURN, "turn": "T2", "user": "Thanks", "assistant": "You are welcome.", **USED}
    assert arrived() == [*OPENED, *CALLS, TURN, second]


def test_a_loop_that_fails_is_a_failed_turn_with_its_function_calls(
    provider: Any, client: Client, arrived: Any, asking: Any
):
    provider.answers(asking, (500, {"error": {"message": "sorry"}}))
    recording = wrap(provider.client(), client=client)

    recording.chat.completions.create(model="tiny", messages=[USER], tools=TOOLS)
    with pytest.raises(openai.InternalServerError):
        recording.chat.completions.create(
            model="tiny", messages=with_results(asking["choices"][0]["message"]), tools=TOOLS
        )

    assert arrived() == [*OPENED, *CALLS, {**FAILED, "error": "InternalServerError"}]


def test_a_loop_without_an_end_fails_when_the_client_closes(provider: Any, client: Client, arrived: Any, asking: Any):
    provider.answers(asking)
    recording = wrap(provider.client(), client=client)

    recording.chat.completions.create(model="tiny", messages=[USER], tools=TOOLS)
    client.close()

    assert arrived() == [*OPENED, {**FAILED, "error": "NoAnswer"}, *ENDED]


def test_the_only_tool_forced_is_structured_output(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.completion(None, tool_calls=[say.tool_call("call_1", "weather", '{"city": "Oslo"}')]))
    recording = wrap(provider.client(), client=client)

    forced = {"type": "function", "function": {"name": "weather"}}
    recording.chat.completions.create(model="tiny", messages=[USER], tools=TOOLS[:1], tool_choice=forced)

    assert arrived() == [*OPENED, {**TURN, "assistant": '{"city": "Oslo"}', **USED}]


def test_the_old_form_of_tools_is_understood(provider: Any, client: Client, arrived: Any, say: Any):
    call = {"name": "clock", "arguments": "{}"}
    provider.answers(say.completion(None, function_call=call), say.completion("It is late."))
    recording = wrap(provider.client(), client=client)

    recording.chat.completions.create(model="tiny", messages=[USER], functions=[{"name": "clock"}])
    messages = [
        USER,
        {"role": "assistant", "content": None, "function_call": call},
        {"role": "function", "name": "clock", "content": "ten"},
    ]
    recording.chat.completions.create(model="tiny", messages=messages, functions=[{"name": "clock"}])

    assert arrived() == [
        *OPENED,
        {**INSIDE, "event": "Conversation Function", "name": "clock", "args": "{}", "result": "ten", "runtime": "ms"},
        {**TURN, "assistant": "It is late."},
    ]


def test_two_users_in_the_middle_of_the_same_loop_are_not_mixed(
    provider: Any, client: Client, arrived: Any, say: Any, asking: Any
):
    provider.answers(asking, asking, say.completion("It rains."), say.completion("It rains."))
    recording = wrap(provider.client(), client=client)

    for messages in ([USER], with_results(asking["choices"][0]["message"])):
        for name in ("ann", "bob"):
            recording.chat.completions.create(model="tiny", messages=messages, tools=TOOLS, user=name)

    theirs = [{**event, "user_id": "ann"} for event in (*OPENED, *CALLS, TURN)]
    other = {"session": "S2", "conversation": "C2", "turn": "T2"}
    others = [{**event, **{name: other[name] for name in other if name in event}, "user_id": "bob"} for event in theirs]
    assert arrived() == [*theirs, *others]
