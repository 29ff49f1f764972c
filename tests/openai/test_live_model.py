"""Scenes with the small real model while it speaks: a recording plays all at once, and cannot be left half way."""

from typing import Any

import openai
import pytest

from mindlytics_core import Client
from mindlytics_openai import wrap

SETTINGS = {"temperature": 0, "max_tokens": 48}
STORY = [{"role": "user", "content": "Tell me a story about a dragon."}]
IN_PARIS = [{"role": "user", "content": "What is the weather in Paris?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "strict": True,
        "description": "Tell the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
async def recording(live_model: Any, client: Client):
    """A wrapped client of the running model."""
    async with openai.AsyncOpenAI(base_url=live_model.base_url, api_key=live_model.api_key) as asked:
        yield wrap(asked, client=client)


async def test_a_stream_is_read_to_its_end(recording: Any, arrived: Any, live_model: Any):
    stream = await recording.chat.completions.create(model=live_model.name, messages=STORY, stream=True, **SETTINGS)
    told = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    turn = arrived()[-1]
    assert (turn["event"], turn["assistant"], turn["completion_tokens"]) == ("Conversation Turn", told, 48)
    assert turn["time_to_first_token_ms"] == "ms"


async def test_a_stream_is_left_half_way(recording: Any, arrived: Any, live_model: Any):
    stream = await recording.chat.completions.create(model=live_model.name, messages=STORY, stream=True, **SETTINGS)
    told = ""
    async with stream:
        async for chunk in stream:
            told += chunk.choices[0].delta.content or ""
            if len(told) > 20:
                break

    turn = arrived()[-1]
    assert (turn["event"], turn["assistant"], turn["interrupted"]) == ("Conversation Turn", told, True)


async def test_a_tool_loop(recording: Any, arrived: Any, live_model: Any):
    messages: list[Any] = list(IN_PARIS)
    given = {"model": live_model.name, "tools": [WEATHER], **SETTINGS}
    asking = (await recording.chat.completions.create(messages=messages, **given)).choices[0].message
    result = {"role": "tool", "tool_call_id": asking.tool_calls[0].id, "content": "sunny, 24 degrees"}
    messages += [asking, result]
    async with recording.chat.completions.stream(messages=messages, **given) as stream:
        answer = (await stream.get_final_completion()).choices[0].message.content

    called, turn = arrived()[-2:]
    assert (called["name"], called["args"], called["result"]) == (
        "get_weather",
        asking.tool_calls[0].function.arguments,
        "sunny, 24 degrees",
    )
    assert (turn["event"], turn["user"], turn["assistant"]) == ("Conversation Turn", IN_PARIS[0]["content"], answer)
    assert turn["turn"] == called["turn"]
