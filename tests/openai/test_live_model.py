"""The small real model while it speaks: a recording plays all at once, and cannot be left half way."""

from typing import Any

import openai
import pytest
from openai_chat import ENDED, OPENED, STREAMED, without_usage

from mindlytics_core import Client
from mindlytics_langchain import MindlyticsHandler
from mindlytics_openai import wrap

SETTINGS = {"temperature": 0, "max_tokens": 48}
STORY = [{"role": "user", "content": "Tell me a story about a dragon."}]


def left(told: str, live_model: Any):
    """The turn of which so much was told."""
    seen = {"user": STORY[0]["content"], "assistant": told, "model": live_model.name, "interrupted": True}
    return {**without_usage(STREAMED), **seen}


@pytest.fixture
async def recording(live_model: Any, client: Client):
    """A wrapped client of the running model."""
    async with openai.AsyncOpenAI(base_url=live_model.base_url, api_key=live_model.api_key) as asked:
        yield wrap(asked, client=client)


async def test_a_stream_is_left_half_way(recording: Any, arrived: Any, live_model: Any):
    stream = await recording.chat.completions.create(model=live_model.name, messages=STORY, stream=True, **SETTINGS)
    told = ""
    async with stream:
        async for chunk in stream:
            told += chunk.choices[0].delta.content or ""
            if len(told) > 20:
                break

    assert arrived() == [*OPENED, left(told, live_model)]


async def test_a_chat_model_of_langchain_s_over_a_wrapped_client_with_a_handler_on_top_is_left_half_way(
    recording: Any, client: Client, arrived: Any, live_model: Any
):
    langchain_openai = pytest.importorskip("langchain_openai")
    address = {"base_url": live_model.base_url, "api_key": live_model.api_key}
    model = langchain_openai.ChatOpenAI(model=live_model.name, temperature=0, max_completion_tokens=24, **address)
    model.async_client, model.root_async_client = recording.chat.completions, recording
    told = ""
    stream = model.astream("Tell me a story about a dragon.", {"callbacks": [MindlyticsHandler(client=client)]})
    async for part in stream:
        told += part.content
        if len(told) > 20:
            break
    await stream.aclose()

    assert arrived() == [*OPENED, left(told, live_model), *ENDED]
