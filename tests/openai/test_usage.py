"""Usage of streams: asked for where the app did not ask, and taken out again."""

from typing import Any

import openai
import pytest
from openai_chat import FAILED, OPENED, QUESTION, STREAMED, chats, without_usage

from mindlytics_core import Client
from mindlytics_openai import wrap


def test_usage_that_the_app_asked_for_reaches_it(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.spoken("Hi ", "there"))
    recording = wrap(provider.client(), client=client)

    asked = {"include_usage": True}
    chunks = list(recording.chat.completions.create(model="tiny", messages=QUESTION, stream=True, stream_options=asked))

    assert chunks[-1].usage.total_tokens == 10
    assert asked == {"include_usage": True}
    assert arrived() == [*OPENED, STREAMED]


def test_an_app_that_wants_no_usage_is_not_overruled(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.spoken("Hi ", "there"))
    recording = wrap(provider.client(), client=client)

    options = {"include_usage": False}
    list(recording.chat.completions.create(model="tiny", messages=QUESTION, stream=True, stream_options=options))

    assert provider.bodies[0]["stream_options"] == options
    assert arrived() == [*OPENED, without_usage(STREAMED)]


def test_usage_is_not_asked_for_when_that_is_switched_off(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.spoken("Hi ", "there"))
    recording = wrap(provider.client(), client=client, stream_usage=False)

    list(recording.chat.completions.create(model="tiny", messages=QUESTION, stream=True))

    assert "stream_options" not in provider.bodies[0]
    assert arrived() == [*OPENED, without_usage(STREAMED)]


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_that_refuses_the_question_for_usage_is_asked_once(
    provider: Any, client: Client, arrived: Any, say: Any, status: int
):
    refusal = (status, {"error": {"message": "unknown field: stream_options"}})
    provider.answers(refusal, say.spoken("Hi ", "there"), say.spoken("Hi ", "there"))
    recording = wrap(provider.client(base_url=f"http://old-{status}.test/v1"), client=client)

    for _ in range(2):
        chunks = list(recording.chat.completions.create(model="tiny", messages=QUESTION, stream=True))
        assert len(chunks) == 4

    assert ["stream_options" in body for body in provider.bodies] == [True, False, False]
    assert arrived() == chats(*[[without_usage(STREAMED)]] * 2)


async def test_the_same_goes_for_an_async_client(provider: Any, client: Client, arrived: Any, say: Any):
    refusal = (400, {"error": {"message": "unknown field: stream_options"}})
    provider.answers(refusal, say.spoken("Hi ", "there"))
    recording = wrap(provider.client(openai.AsyncOpenAI, base_url="http://old.test/v1"), client=client)

    stream = await recording.chat.completions.create(model="tiny", messages=QUESTION, stream=True)

    assert len([chunk async for chunk in stream]) == 4
    assert arrived() == [*OPENED, without_usage(STREAMED)]


def test_a_bad_request_of_the_app_is_not_sent_twice(provider: Any, client: Client, arrived: Any):
    provider.answers((400, {"error": {"message": "too long", "param": "messages"}}))
    recording = wrap(provider.client(base_url="http://strict.test/v1"), client=client)

    with pytest.raises(openai.BadRequestError):
        recording.chat.completions.create(model="tiny", messages=QUESTION, stream=True)

    assert len(provider.requests) == 1
    assert arrived() == [*OPENED, {**FAILED, "error": "BadRequestError"}]
