"""What a small real model answers, as it was recorded: as a plain client gets it, and the events it makes."""

import json
from typing import Any

import openai
import pydantic
import pytest
from openai_chat import INSIDE, OPENED, STREAMED, without_usage

from mindlytics_core import Client
from mindlytics_openai import wrap

pytestmark = pytest.mark.recorded

HELLO = [{"role": "user", "content": "What is the capital of France?"}]
SETTINGS = {"model": "smollm2-135m", "temperature": 0, "max_tokens": 24}
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
#: The Responses surface's words for the same.
RESPONSE = {"model": "smollm2-135m", "temperature": 0, "max_output_tokens": 24, "input": HELLO[0]["content"]}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
IN_PARIS = [{"role": "user", "content": "What is the weather in Paris?"}]


class City(pydantic.BaseModel):
    name: str


@pytest.fixture
async def clients(model: Any, client: Client):
    """Makes a plain client of the model, and a recording one."""
    made = []

    def make(kind: type = openai.OpenAI) -> Any:
        given = {"base_url": model.base_url, "api_key": model.api_key, "max_retries": 0}
        made.extend([kind(**given), wrap(kind(**given), client=client)])
        return made

    yield make
    for openai_client in made:
        closing = openai_client.close()
        if closing is not None:
            await closing


def seen(answer: Any) -> Any:
    """An object of the SDK as the app could tell it from another."""
    return type(answer), answer.to_dict(warnings=False)


def turn(answer: str, usage: Any, **more: Any) -> dict[str, Any]:
    """The turn that should be recorded of an answer."""
    question = more.pop("user", HELLO[0]["content"])
    reported = usage.model_dump()
    prompt = reported.get("prompt_tokens", reported.get("input_tokens"))
    completion = reported.get("completion_tokens", reported.get("output_tokens"))
    details = reported.get("prompt_tokens_details") or reported.get("input_tokens_details")
    cached = {"cached_tokens": details["cached_tokens"]} if details["cached_tokens"] else {}
    said = {"user": question, "assistant": answer, "model": "smollm2-135m", "latency_ms": "ms"}
    counted = {"prompt_tokens": prompt, "completion_tokens": completion}
    return {**INSIDE, "event": "Conversation Turn", **said, **counted, **cached, **more}


def text_of(chunks: Any) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_an_answer(clients: Any, arrived: Any):
    answers = [asked.chat.completions.create(messages=HELLO, **SETTINGS) for asked in clients()]

    assert seen(answers[0]) == seen(answers[1])
    assert arrived() == [*OPENED, turn(answers[0].choices[0].message.content, answers[0].usage)]


async def test_an_answer_to_an_async_client(clients: Any, arrived: Any):
    answers = [await asked.chat.completions.create(messages=HELLO, **SETTINGS) for asked in clients(openai.AsyncOpenAI)]

    assert seen(answers[0]) == seen(answers[1])
    assert arrived() == [*OPENED, turn(answers[0].choices[0].message.content, answers[0].usage)]


def test_a_stream_with_its_usage(clients: Any, arrived: Any):
    plain, recording = (
        list(asked.chat.completions.create(messages=HELLO, **SETTINGS, **STREAM)) for asked in clients()
    )

    assert list(map(seen, plain)) == list(map(seen, recording))
    assert arrived() == [*OPENED, turn(text_of(plain), plain[-1].usage, time_to_first_token_ms="ms")]


async def test_a_stream_of_an_async_client(clients: Any, arrived: Any):
    plain, recording = [
        [chunk async for chunk in await asked.chat.completions.create(messages=HELLO, **SETTINGS, **STREAM)]
        for asked in clients(openai.AsyncOpenAI)
    ]

    assert list(map(seen, plain)) == list(map(seen, recording))
    assert arrived() == [*OPENED, turn(text_of(plain), plain[-1].usage, time_to_first_token_ms="ms")]


def test_a_stream_that_was_not_asked_for_its_usage_tells_it_to_us_alone(clients: Any, arrived: Any):
    plain, recording = (
        [as_any_other(chunk) for chunk in asked.chat.completions.create(messages=HELLO, stream=True, **SETTINGS)]
        for asked in clients()
    )

    assert plain == recording
    *begun, told = arrived()
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in plain)
    said = {"user": HELLO[0]["content"], "assistant": text, "model": SETTINGS["model"]}
    assert [*begun, without_usage(told)] == [*OPENED, {**without_usage(STREAMED), **said}]
    assert told["completion_tokens"] > 0


def as_any_other(chunk: Any) -> Any:
    """A chunk without what differs from answer to answer; the recorded questions differ, so the answers are two."""
    return {name: value for name, value in seen(chunk)[1].items() if name not in {"id", "created", "timings"}}


def test_the_first_of_two_choices(clients: Any, arrived: Any):
    answers = [asked.chat.completions.create(messages=HELLO, n=2, **SETTINGS) for asked in clients()]

    assert seen(answers[0]) == seen(answers[1])
    assert arrived() == [*OPENED, turn(answers[0].choices[0].message.content, answers[0].usage, choices=2)]


def test_two_turns_are_one_conversation(clients: Any, arrived: Any):
    _, recording = clients()
    messages: list[Any] = []
    turns = []
    for number, question in enumerate((HELLO[0]["content"], "And of Italy?"), start=1):
        messages.append({"role": "user", "content": question})
        answer = recording.chat.completions.create(messages=messages, **SETTINGS)
        text = answer.choices[0].message.content
        messages.append({"role": "assistant", "content": text})
        turns.append(turn(text, answer.usage, user=question, turn=f"T{number}"))

    assert arrived() == [*OPENED, *turns]


def hold_tool_loop(asked: Any) -> Any:
    """Ask with a tool, run it, and ask with its result."""
    first = asked.chat.completions.create(messages=IN_PARIS, tools=[WEATHER], **SETTINGS)
    call = first.choices[0].message.tool_calls[0]
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny, 24 degrees"}
    second = asked.chat.completions.create(
        messages=[*IN_PARIS, first.choices[0].message, result], tools=[WEATHER], **SETTINGS
    )
    return first, second


def loop_events(first: Any, second: Any) -> Any:
    """What should be recorded of it."""
    call = first.choices[0].message.tool_calls[0].function
    used = [answer.usage for answer in (first, second)]
    cached = sum(usage.prompt_tokens_details.cached_tokens for usage in used)
    called = {"name": call.name, "args": call.arguments, "result": "sunny, 24 degrees", "runtime": "ms"}
    answered = {
        **INSIDE,
        "event": "Conversation Turn",
        "user": IN_PARIS[0]["content"],
        "assistant": second.choices[0].message.content,
        "model": "smollm2-135m",
        "latency_ms": "ms",
        "prompt_tokens": sum(usage.prompt_tokens for usage in used),
        "completion_tokens": sum(usage.completion_tokens for usage in used),
    }
    return [
        *OPENED,
        {**INSIDE, "event": "Conversation Function", **called},
        answered | ({"cached_tokens": cached} if cached else {}),
    ]


def test_a_tool_loop_is_one_turn(clients: Any, arrived: Any):
    plain, recording = map(hold_tool_loop, clients())

    assert list(map(seen, plain)) == list(map(seen, recording))
    assert json.loads(plain[0].choices[0].message.tool_calls[0].function.arguments)
    assert arrived() == loop_events(*plain)


def test_structured_output(clients: Any, arrived: Any):
    answers = [asked.chat.completions.parse(messages=HELLO, response_format=City, **SETTINGS) for asked in clients()]

    assert seen(answers[0]) == seen(answers[1])
    assert isinstance(answers[1].choices[0].message.parsed, City)
    assert arrived() == [*OPENED, turn(answers[0].choices[0].message.content, answers[0].usage)]


def test_a_response(clients: Any, arrived: Any):
    answers = [asked.responses.create(**RESPONSE) for asked in clients()]

    assert seen(answers[0]) == seen(answers[1])
    assert arrived() == [*OPENED, turn(answers[0].output_text, answers[0].usage)]


def test_a_streamed_response(clients: Any, arrived: Any):
    plain, recording = (list(asked.responses.create(stream=True, **RESPONSE)) for asked in clients())

    assert list(map(seen, plain)) == list(map(seen, recording))
    last = plain[-1].response
    assert arrived() == [*OPENED, turn(last.output_text, last.usage, time_to_first_token_ms="ms")]


def test_a_refused_request(clients: Any, arrived: Any):
    errors = []
    for asked in clients():
        with pytest.raises(openai.BadRequestError) as caught:
            asked.chat.completions.create(messages=[{"role": "user"}], **SETTINGS)
        errors.append((str(caught.value), caught.value.body, caught.value.status_code))

    assert errors[0] == errors[1]
    failed = {"event": "Turn Failed", "error": "BadRequestError", "user": "", "latency_ms": "ms"}
    assert arrived() == [*OPENED, {**INSIDE, **failed}]
