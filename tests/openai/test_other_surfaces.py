"""Legacy completions, responses that the app reads itself, and every client of the process at once."""

import contextlib
import gc
import json
from typing import Any

import openai
import pytest
from openai_chat import FAILED, OPENED, QUESTION, STREAMED, TURN, chats, http, without_usage

from mindlytics_core import Client
from mindlytics_openai import install, uninstall, wrap


def legacy(text: str, finish: Any = None):
    choice = {"index": 0, "text": text, "finish_reason": finish, "logprobs": None}
    return {"id": "c1", "object": "text_completion", "created": 1, "model": "tiny-1", "choices": [choice]}


@pytest.mark.parametrize("prompt", ["Hello?", ["Hello?"]])
def test_a_legacy_completion_is_one_turn(provider: Any, client: Client, arrived: Any, say: Any, prompt: Any):
    provider.answers({**legacy("Hi there", "stop"), "usage": say.usage_chunk()["usage"]})
    wrap(provider.client(), client=client).completions.create(model="tiny", prompt=prompt)
    assert arrived() == [*OPENED, TURN]


def test_a_prompt_of_tokens_is_nobody_s_words(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers({**legacy("Hi there", "stop"), "usage": say.usage_chunk()["usage"]})
    wrap(provider.client(), client=client).completions.create(model="tiny", prompt=[[1, 2, 3]])
    assert arrived() == [*OPENED, {**TURN, "user": "[tokens]"}]


@pytest.mark.parametrize("way", ["read", "parse", "json", "text"])
def test_a_response_that_the_app_reads_itself_is_one_turn(
    provider: Any, client: Client, arrived: Any, say: Any, way: str
):
    provider.answers(say.completion())
    unread = wrap(provider.client(), client=client).chat.completions.with_streaming_response

    with unread.create(model="tiny", messages=QUESTION) as response:
        assert getattr(response, way)()

    assert arrived() == [*OPENED, TURN]


@pytest.mark.parametrize("way", ["read", "parse", "json", "text"])
async def test_an_async_response_that_the_app_reads_itself_is_one_turn(
    provider: Any, client: Client, arrived: Any, say: Any, way: str
):
    provider.answers(say.completion())
    unread = wrap(provider.client(openai.AsyncOpenAI), client=client).chat.completions.with_streaming_response

    async with unread.create(model="tiny", messages=QUESTION) as response:
        assert await getattr(response, way)()

    assert arrived() == [*OPENED, TURN]


READ_BY_HAND = {
    "bytes": lambda response: b"".join(response.iter_bytes()),
    "text": lambda response: "".join(response.iter_text()),
    "lines": lambda response: list(response.iter_lines()),
    "pieces": lambda response: list(response.iter_bytes(3)),
    "raw": lambda response: list(getattr(response, "http_response", response).iter_raw()),
}


@pytest.mark.parametrize("way", READ_BY_HAND)
def test_an_answer_that_the_app_reads_piece_by_piece_is_one_turn(
    provider: Any, client: Client, arrived: Any, say: Any, way: str
):
    provider.answers(say.Parts([json.dumps(say.completion())], done=False))
    unread = wrap(provider.client(), client=client).chat.completions.with_streaming_response

    with unread.create(model="tiny", messages=QUESTION) as response:
        assert READ_BY_HAND[way](response)

    assert arrived() == [*OPENED, TURN]


#: Of a stream that the app reads itself we do not ask for usage.
UNASKED = without_usage(STREAMED)


@pytest.mark.parametrize("way", [*READ_BY_HAND, "parsed"])
@pytest.mark.parametrize("raw", ["with_raw_response", "with_streaming_response"])
def test_a_stream_that_the_app_reads_itself_is_one_turn(  # noqa: PLR0917  # fixtures are given by name
    provider: Any, client: Client, arrived: Any, say: Any, way: str, raw: str
):
    provider.answers(say.spoken("Hi ", "there"))
    create = getattr(wrap(provider.client(), client=client).chat.completions, raw).create
    read = {**READ_BY_HAND, "parsed": lambda response: list(response.parse())}[way]

    asked = create(model="tiny", messages=QUESTION, stream=True)
    with asked if raw == "with_streaming_response" else contextlib.nullcontext(asked) as response:
        assert read(response.http_response if raw == "with_raw_response" and way != "parsed" else response)

    assert arrived() == [*OPENED, UNASKED]


@pytest.mark.parametrize("way", ["aiter_bytes", "aiter_lines", "aiter_raw", "parsed"])
async def test_an_async_stream_that_the_app_reads_itself_is_one_turn(
    provider: Any, client: Client, arrived: Any, say: Any, way: str
):
    provider.answers(say.spoken("Hi ", "there"))
    unread = wrap(provider.client(openai.AsyncOpenAI), client=client).chat.completions.with_streaming_response

    async with unread.create(model="tiny", messages=QUESTION, stream=True) as response:
        parts = await response.parse() if way == "parsed" else getattr(response.http_response, way)()
        assert [part async for part in parts]

    assert arrived() == [*OPENED, UNASKED]


def test_a_stream_whose_lines_the_app_leaves_half_way_keeps_what_was_seen(
    provider: Any, client: Client, arrived: Any, say: Any
):
    provider.answers(say.spoken("Hi ", "there"))
    unread = wrap(provider.client(), client=client).chat.completions.with_streaming_response

    with unread.create(model="tiny", messages=QUESTION, stream=True) as response:
        for line in response.iter_lines():
            if "Hi" in line:
                break
        http_response = response.http_response

    assert not {"close", "aclose", "iter_bytes", "aiter_bytes"} & set(vars(http_response))
    assert arrived() == [*OPENED, {**UNASKED, "assistant": "Hi ", "interrupted": True}]


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_response_that_the_app_lets_go_of_is_let_go_of(
    provider: Any, client: Client, arrived: Any, say: Any, is_stream: bool
):
    provider.answers(say.spoken("Hi ") if is_stream else say.Parts([json.dumps(say.completion())], done=False))
    unread = wrap(provider.client(), client=client).chat.completions.with_streaming_response

    unread.create(model="tiny", messages=QUESTION, stream=is_stream).__enter__()
    gc.collect()

    assert arrived() == [*OPENED, {**FAILED, "error": "Interrupted"}]


@pytest.mark.parametrize("cast_to", [dict[str, object], str, http.Response])
def test_an_answer_in_a_form_of_the_app_s_choice_is_one_turn(
    provider: Any, client: Client, arrived: Any, say: Any, cast_to: Any
):
    provider.answers(say.completion())
    body = {"model": "tiny", "messages": QUESTION}
    wrap(provider.client(), client=client).post("/chat/completions", body=body, cast_to=cast_to)
    assert arrived() == [*OPENED, TURN]


EVENTS_AS_WRITTEN_BY = {
    "most": lambda part: f"data: {part}\n\n",
    "some, with other line ends": lambda part: f"event: x\r\ndata: {part}\r\n\r\n",
    "some, with old line ends": lambda part: f"data:{part}\r\r",
    "some, with comments": lambda part: f": keep-alive\n\ndata: {part}\nid: 3\n\n",
    "some, over several lines": lambda part: f"data: {part[:7]}\ndata: {part[7:]}\n\n",
    "some, with a mark before": lambda part: f"\ufeffdata: {part}\n\n",
}


@pytest.mark.parametrize("writer", EVENTS_AS_WRITTEN_BY)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_events_are_understood_however_they_are_written_and_cut(  # noqa: PLR0917  # fixtures are given by name
    provider: Any, client: Client, arrived: Any, say: Any, writer: str, size: int
):
    text = "".join(EVENTS_AS_WRITTEN_BY[writer](json.dumps(part)) for part in say.spoken("Hi ", "there"))
    provider.answers(say.Parts([text[at : at + size] for at in range(0, len(text), size)], done=False))
    asked = wrap(provider.client(), client=client).chat.completions.with_streaming_response
    with asked.create(model="tiny", messages=QUESTION, stream=True) as response:
        list(response.iter_bytes())
    assert arrived() == [*OPENED, UNASKED]


def test_an_answer_that_the_app_does_not_read_is_none(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.Parts([json.dumps(say.completion())], done=False))
    unread = wrap(provider.client(), client=client).chat.completions.with_streaming_response

    with unread.create(model="tiny", messages=QUESTION) as response:
        assert response.status_code == 200

    assert arrived() == [*OPENED, {**FAILED, "error": "Interrupted"}]


@pytest.fixture
def installed(client: Client):
    install(client=client)
    yield
    uninstall()


def ask(asked: Any) -> Any:
    return asked.chat.completions.create(model="tiny", messages=QUESTION)


@pytest.mark.usefixtures("installed")
def test_installed_it_records_every_client(provider: Any, arrived: Any, say: Any):
    provider.answers(*[say.completion()] * 2)
    ask(provider.client())
    azure = {"azure_endpoint": "http://azure.test", "api_version": "1", "base_url": None}
    ask(provider.client(openai.AzureOpenAI, **azure))
    assert arrived() == chats([TURN], [TURN])


@pytest.mark.usefixtures("installed")
async def test_installed_it_records_async_clients(provider: Any, arrived: Any, say: Any):
    provider.answers(say.completion())
    await ask(provider.client(openai.AsyncOpenAI))
    assert arrived() == [*OPENED, TURN]


def test_installed_it_records_clients_that_were_there_before(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(*[say.completion()] * 3)
    before = provider.client()
    ask(before)
    install(client=client)
    install(client=client)
    ask(before)
    uninstall()
    ask(before)
    assert "request" not in vars(openai.OpenAI)
    assert "request" not in vars(openai.AsyncOpenAI)
    assert arrived() == [*OPENED, TURN]


@pytest.mark.usefixtures("installed")
def test_a_wrapped_client_is_recorded_once_all_the_same(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.completion())
    ask(wrap(provider.client(), client=client))
    assert arrived() == [*OPENED, TURN]


def test_what_somebody_else_put_over_ours_stays(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(*[say.completion()] * 2)
    install(client=client)
    ours = openai.OpenAI.request

    def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
        return ours(self, *args, **kwargs)

    openai.OpenAI.request = theirs
    try:
        ask(provider.client())
        uninstall()
        ask(provider.client())
    finally:
        del openai.OpenAI.request
    assert arrived() == [*OPENED, TURN]
