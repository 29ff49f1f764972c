"""What a type checker knows of a wrapped client; checked by `test_typing.py`, never run."""

from typing import assert_type

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk

import mindlytics_openai
from mindlytics_openai import unwrap, wrap


class Own(openai.OpenAI):
    pass


def kinds(plain: openai.OpenAI, awaited: openai.AsyncOpenAI, azure: openai.AzureOpenAI, own: Own) -> None:
    assert_type(wrap(plain), openai.OpenAI)
    assert_type(wrap(awaited, user_id="ann"), openai.AsyncOpenAI)
    assert_type(wrap(azure), openai.AzureOpenAI)
    assert_type(wrap(own), Own)
    assert_type(unwrap(wrap(plain)), openai.OpenAI)
    assert_type(wrap(plain).with_options(timeout=3), openai.OpenAI)


def overloads(plain: openai.OpenAI) -> None:
    client = wrap(plain)
    assert_type(client.chat.completions.create(model="m", messages=[]), ChatCompletion)
    assert_type(client.chat.completions.create(model="m", messages=[], stream=True), openai.Stream[ChatCompletionChunk])


async def async_overloads(plain: openai.AsyncOpenAI) -> None:
    client = wrap(plain)
    assert_type(await client.chat.completions.create(model="m", messages=[]), ChatCompletion)
    stream = await client.chat.completions.create(model="m", messages=[], stream=True)
    assert_type(stream, openai.AsyncStream[ChatCompletionChunk])


def drop_ins() -> None:
    assert_type(mindlytics_openai.OpenAI(api_key="k"), openai.OpenAI)
    assert_type(mindlytics_openai.AsyncOpenAI(api_key="k"), openai.AsyncOpenAI)
    mindlytics_openai.OpenAI(api_kee="k")  # type: ignore[call-arg]
    wrap(7)  # type: ignore[type-var]
    wrap(mindlytics_openai.OpenAI(), user=7)  # type: ignore[call-arg]
