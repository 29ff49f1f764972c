"""A provider that answers by a script through the SDK's own transport, and the events that reached the service."""

import functools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import openai
import pytest
from helpers import events, readable
from openai_chat import http

from mindlytics_core import Client
from mindlytics_openai import _call
from mindlytics_openai._usage_support import UsageSupport

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def completion(text: str | None = "Hi there", *, usage: Any = USAGE, **message: Any) -> dict[str, Any]:
    """A chat completion with one choice."""
    reason = "tool_calls" if message.get("tool_calls") else "stop"
    said = {"role": "assistant", "content": text, **message}
    choice = {"index": 0, "finish_reason": reason, "message": said}
    answer = {"id": "c1", "object": "chat.completion", "created": 1, "model": "tiny-1", "choices": [choice]}
    return answer | ({"usage": usage} if usage else {})


def tool_call(call_id: str, name: str, args: str) -> dict[str, Any]:
    """One tool that the model asks for."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": args}}


def chunk(text: str | None = None, *, index: int = 0, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """One chunk of one choice."""
    said = delta if text is None else {"content": text, **delta}
    choice = {"index": index, "delta": said, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "tiny-1", "choices": [choice]}


def usage_chunk(usage: Any = USAGE) -> dict[str, Any]:
    """The chunk that closes a stream whose usage was asked for."""
    return {**chunk(), "choices": [], "usage": usage}


def spoken(*texts: str) -> list[Any]:
    """The chunks of an answer that ends as it should."""
    return [chunk(role="assistant"), *map(chunk, texts), chunk(finish="stop")]


class Parts:
    """
    The body of a streamed answer, read part by part.

    Args:
        parts: Chunks as dicts, raw text as it is, an error to raise, or an awaitable factory to wait for.
    """

    def __init__(self, parts: list[Any], *, done: bool = True) -> None:
        self.parts = [*parts, "data: [DONE]\n\n"] if done else parts

    def each(self) -> Iterator[bytes]:
        for part in self.parts:
            yield self._bytes(part)

    async def aeach(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            if callable(part):
                await part()
            else:
                yield self._bytes(part)

    @staticmethod
    def _bytes(part: Any) -> bytes:
        if isinstance(part, BaseException):
            raise part
        return (part if isinstance(part, str) else f"data: {json.dumps(part)}\n\n").encode()


class Provider:
    """Answers each request with the next reply of its script, and keeps what it was asked."""

    def __init__(self) -> None:
        self.replies: list[Any] = []
        self.requests: list[Any] = []

    def answers(self, *replies: Any) -> None:
        """Go on with these: a dict, a list of chunks, `Parts`, a (status, body) pair, or an error."""
        self.replies += replies

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What it was asked."""
        return [json.loads(request.content) for request in self.requests]

    def client(self, kind: type = openai.OpenAI, **options: Any) -> Any:
        """A client that talks to it."""
        is_async = issubclass(kind, openai.AsyncOpenAI)
        transport = http.MockTransport(functools.partial(self._reply, is_async=is_async))
        holder = http.AsyncClient if is_async else http.Client
        options.setdefault("max_retries", 0)
        options.setdefault("base_url", "http://provider.test/v1")
        return kind(api_key="none", http_client=holder(transport=transport), **options)

    def _reply(self, request: Any, *, is_async: bool) -> Any:
        self.requests.append(request)
        reply = self.replies.pop(0)
        if isinstance(reply, BaseException):
            raise reply
        if isinstance(reply, tuple):
            return http.Response(reply[0], json=reply[1])
        if isinstance(reply, str):
            return http.Response(200, text=reply)
        if isinstance(reply, list):
            reply = Parts(self._with_usage(request, reply))
        if isinstance(reply, Parts):
            content = reply.aeach() if is_async else reply.each()
            return http.Response(200, content=content, headers={"content-type": "text/event-stream"})
        return http.Response(200, json=reply)

    @staticmethod
    def _with_usage(request: Any, parts: list[Any]) -> list[Any]:
        """As OpenAI does: `usage` is null on every chunk, and comes in one more, if it was asked for."""
        asked = (json.loads(request.content).get("stream_options") or {}).get("include_usage")
        return [*({**part, "usage": None} for part in parts), usage_chunk()] if asked else parts


@pytest.fixture(autouse=True)
def _nothing_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test has shown about a server is nothing to another."""
    monkeypatch.setattr(_call, "USAGE_SUPPORT", UsageSupport())


@pytest.fixture
def provider() -> Provider:
    """A provider that answers by a script."""
    return Provider()


@pytest.fixture
def arrived(service: Any, client: Client) -> Callable[[], list[dict[str, Any]]]:
    """Reads back what has reached the service, see `readable`."""

    def read() -> list[dict[str, Any]]:
        assert client.flush_sync(), client.stats()
        return readable(events(service))

    return read


@pytest.fixture
def say() -> Any:
    """The words of the provider's script."""

    class Words:
        pass

    for word in (completion, tool_call, chunk, usage_chunk, spoken, Parts):
        setattr(Words, word.__name__, staticmethod(word))
    return Words
