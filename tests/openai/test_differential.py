"""Every case with and without `wrap`: the app and the provider see the same."""

import asyncio
from typing import Any

import openai
import pydantic
import pytest

from mindlytics_core import Client
from mindlytics_openai import wrap

QUESTION = {"model": "tiny", "messages": [{"role": "user", "content": "Hello?"}]}
STREAM = {**QUESTION, "stream": True}


class Place(pydantic.BaseModel):
    city: str


def shown(value: Any):
    """A value as the app could tell it from another, without its address."""
    if isinstance(value, pydantic.BaseModel):
        return type(value).__name__, value.to_json(warnings=False)
    return type(value).__name__


def read(stream: Any) -> Any:
    return [shown(part) for part in stream]


def left(stream: Any):
    with stream:
        return shown(next(stream))


def helped(manager: Any):
    with manager as stream:
        return [event.type for event in stream], shown(stream.get_final_completion())


def raw(response: Any):
    return shown(response), dict(response.headers), response.status_code, shown(response.parse())


def raw_stream(response: Any):
    return shown(response), read(response.parse())


def unread(manager: Any):
    with manager as response:
        return shown(response), response.read()


def lines(manager: Any):
    with manager as response:
        return list(response.iter_lines())


CASES = {
    "created": (lambda c: c.chat.completions.create(**QUESTION), shown),
    "with options": (lambda c: c.with_options(timeout=9, max_retries=1).chat.completions.create(**QUESTION), shown),
    "beta": (lambda c: c.beta.chat.completions.parse(**QUESTION), shown),
    "parsed": (lambda c: c.chat.completions.parse(**QUESTION, response_format=Place), shown),
    "read": (lambda c: c.chat.completions.create(**STREAM), read),
    "left": (lambda c: c.chat.completions.create(**STREAM), left),
    "helped": (lambda c: c.chat.completions.stream(**QUESTION), helped),
    "raw": (lambda c: c.chat.completions.with_raw_response.create(**QUESTION), raw),
    "raw stream": (lambda c: c.chat.completions.with_raw_response.create(**STREAM), raw_stream),
    "unread": (lambda c: c.chat.completions.with_streaming_response.create(**QUESTION), unread),
    "lines": (lambda c: c.chat.completions.with_streaming_response.create(**STREAM), lines),
    "legacy": (lambda c: c.completions.create(model="tiny", prompt="Hello?"), shown),
    "by hand": (lambda c: c.post("/chat/completions", body=QUESTION, cast_to=object), repr),
    "response": (lambda c: c.responses.create(model="tiny", input="Hello?"), shown),
    "list": (lambda c: c.models.list(), shown),
    "options of every kind": (
        lambda c: c.chat.completions.create(
            **QUESTION,
            n=2,
            user="ann",
            metadata={"a": "b"},
            extra_body={"x": 1},
            extra_query={"q": "1"},
            extra_headers={"X-Own": "1", "X-Omitted": openai.Omit()},
        ),
        shown,
    ),
    "unknown argument": (lambda c: c.chat.completions.create(**QUESTION, wrong=1), shown),
}
REPLIES = {
    "text": lambda say: say.completion('{"city": "Oslo"}'),
    "chunks": lambda say: say.spoken('{"city":', ' "Oslo"}'),
    "tools": lambda say: say.completion(None, tool_calls=[say.tool_call("c1", "clock", "{}")]),
    "refusal": lambda say: say.completion(None, refusal="No."),
    "nonsense": lambda _: {"a": "b"},
    "broken": lambda say: say.Parts(["data: {\n\n"], done=False),
    "400": lambda _: (400, {"error": {"message": "bad", "param": "model", "code": "c"}}),
    "401": lambda _: (401, {"error": {"message": "who"}}),
    "429": lambda _: (429, {"error": {"message": "slow"}}),
    "500": lambda _: (500, {"error": {"message": "sorry"}}),
    "no connection": lambda _: OSError("no"),
}


def outcome(use: Any):
    """What the app gets, or how it fails."""
    try:
        return use()
    except Exception as error:  # noqa: BLE001  # whatever it is, it is compared
        return type(error), str(error), getattr(error, "body", None), type(error.__cause__), type(error.__context__)


def sent(requests: Any):
    """What the provider gets."""
    return [(str(request.url), request.method, request.content, headers(request)) for request in requests]


def headers(request: Any):
    return {name: value for name, value in request.headers.items() if "idempotency" not in name}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch):
    """A client that records all and sends nothing: what is compared here is the app's side."""
    monkeypatch.setattr(openai._base_client.time, "sleep", lambda _: None)
    with Client("key", "project", "http://127.0.0.1:9", before_send=lambda _: None) as silent:
        yield silent


def compare(provider: Any, say: Any, reply: str, plain: Any, recording: Any, use: Any):  # noqa: PLR0917  # fixtures are given by name
    """Use both clients with the same reply, and compare what they show; give what was sent."""
    seen, requests = [], []
    for asked in (plain, recording):
        provider.answers(*[REPLIES[reply](say)] * 2)
        seen.append(outcome(lambda asked=asked: use(asked)))
        requests.append(sent(provider.requests))
        provider.requests.clear()
        provider.replies.clear()
    assert seen[0] == seen[1], reply
    return requests


@pytest.mark.parametrize("case", CASES)
def test_a_sync_client(provider: Any, client: Client, say: Any, case: str):
    ask, use = CASES[case]
    for reply in REPLIES:
        recording = wrap(provider.client(), client=client, stream_usage=False)
        requests = compare(provider, say, reply, provider.client(), recording, lambda asked: use(ask(asked)))
        assert requests[0] == requests[1]


@pytest.mark.parametrize("case", ["read", "left", "helped"])
def test_asking_for_usage_changes_nothing_for_the_app(provider: Any, client: Client, say: Any, case: str):
    ask, use = CASES[case]
    for reply in REPLIES:
        recording = wrap(provider.client(), client=client)
        compare(provider, say, reply, provider.client(), recording, lambda asked: use(ask(asked)))


ASYNC_CASES = {
    "created": lambda c: c.chat.completions.create(**QUESTION),
    "parsed": lambda c: c.chat.completions.parse(**QUESTION, response_format=Place),
    "read": lambda c: c.chat.completions.create(**STREAM),
    "response": lambda c: c.responses.create(model="tiny", input="Hello?"),
}


async def read_async(awaited: Any):
    answer = await awaited
    if isinstance(answer, openai.AsyncStream):
        return [shown(part) async for part in answer]
    return shown(answer)


@pytest.mark.parametrize("case", ASYNC_CASES)
def test_an_async_client(provider: Any, client: Client, say: Any, case: str):
    for reply in REPLIES:
        plain = provider.client(openai.AsyncOpenAI)
        recording = wrap(provider.client(openai.AsyncOpenAI), client=client, stream_usage=False)
        requests = compare(
            provider, say, reply, plain, recording, lambda asked: asyncio.run(read_async(ASYNC_CASES[case](asked)))
        )
        assert requests[0] == requests[1]
