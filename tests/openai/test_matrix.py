"""Every surface with every ending, sync and async: the complete list of events."""

import asyncio
import contextlib
import gc
import inspect
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest
from openai_chat import FAILED, OPENED, QUESTION, TURN, USED, without_usage

from mindlytics_core import Client
from mindlytics_openai import wrap

CHAT = {"model": "tiny", "messages": QUESTION}
RESPONSE = {"model": "tiny", "input": "Hello?"}
LEGACY = {"model": "tiny", "prompt": "Hello?"}


@dataclass(frozen=True)
class Surface:
    """
    One way to ask.

    Attributes:
        api: `chat`, `responses` or `legacy`.

        ask: Asks.

        is_stream: Whether the answer comes in parts.

        is_parsed_strictly: Whether the SDK raises on an answer that was cut by a limit.

        tells_usage: Whether a stream's usage comes without the app asking for it.
    """

    api: str
    ask: Callable[[Any], Any]
    is_stream: bool = False
    is_parsed_strictly: bool = False
    tells_usage: bool = True


SURFACES = {
    "chat create": Surface("chat", lambda c: c.chat.completions.create(**CHAT)),
    "chat parse": Surface("chat", lambda c: c.chat.completions.parse(**CHAT), is_parsed_strictly=True),
    "chat create streamed": Surface("chat", lambda c: c.chat.completions.create(**CHAT, stream=True), is_stream=True),
    "chat stream": Surface("chat", lambda c: c.chat.completions.stream(**CHAT), is_stream=True),
    "beta chat create": Surface("chat", lambda c: c.beta.chat.completions.create(**CHAT)),
    "beta chat parse": Surface("chat", lambda c: c.beta.chat.completions.parse(**CHAT), is_parsed_strictly=True),
    "beta chat stream": Surface("chat", lambda c: c.beta.chat.completions.stream(**CHAT), is_stream=True),
    "chat raw": Surface("chat", lambda c: c.chat.completions.with_raw_response.create(**CHAT)),
    "chat raw streamed": Surface(
        "chat",
        lambda c: c.chat.completions.with_raw_response.create(**CHAT, stream=True),
        is_stream=True,
        tells_usage=False,
    ),
    "chat streaming response": Surface("chat", lambda c: c.chat.completions.with_streaming_response.create(**CHAT)),
    "chat streaming response streamed": Surface(
        "chat",
        lambda c: c.chat.completions.with_streaming_response.create(**CHAT, stream=True),
        is_stream=True,
        tells_usage=False,
    ),
    "responses create": Surface("responses", lambda c: c.responses.create(**RESPONSE)),
    "responses parse": Surface("responses", lambda c: c.responses.parse(**RESPONSE)),
    "responses create streamed": Surface(
        "responses", lambda c: c.responses.create(**RESPONSE, stream=True), is_stream=True
    ),
    "responses stream": Surface("responses", lambda c: c.responses.stream(**RESPONSE), is_stream=True),
    "responses raw": Surface("responses", lambda c: c.responses.with_raw_response.create(**RESPONSE)),
    "responses streaming response streamed": Surface(
        "responses", lambda c: c.responses.with_streaming_response.create(**RESPONSE, stream=True), is_stream=True
    ),
    "legacy create": Surface("legacy", lambda c: c.completions.create(**LEGACY)),
    "legacy create streamed": Surface("legacy", lambda c: c.completions.create(**LEGACY, stream=True), is_stream=True),
}
ANSWERED = ("completed", "tool call", "refusal", "length")
LEFT = ("closed", "abandoned")


def cases(*, is_async: bool) -> list[Any]:
    """Every surface with the endings that it can have."""
    found = []
    for name, surface in SURFACES.items():
        endings = [*ANSWERED, "error", *(LEFT if surface.is_stream else ()), *(("cancelled",) if is_async else ())]
        if surface.api == "legacy":
            endings = [ending for ending in endings if ending not in {"tool call", "refusal"}]
        found += [pytest.param(surface, ending, id=f"{name}, {ending}") for ending in endings]
    return found


# What the provider says.


def reply(say: Any, surface: Surface, ending: str) -> Any:
    if ending == "error":
        return (500, {"error": {"message": "sorry"}})
    shown = "completed" if ending not in ANSWERED else ending
    if surface.is_stream:
        return PARTS[surface.api](say, shown)
    return WHOLE[surface.api](say, shown)


def chat_whole(say: Any, ending: str) -> Any:
    if ending == "tool call":
        return say.completion(None, tool_calls=[say.tool_call("c1", "clock", "{}")])
    if ending == "refusal":
        return say.completion(None, refusal="No.")
    answer = say.completion()
    answer["choices"][0]["finish_reason"] = "length" if ending == "length" else "stop"
    return answer


def chat_parts(say: Any, ending: str) -> Any:
    if ending == "tool call":
        call = {"index": 0, **say.tool_call("c1", "clock", "{}")}
        return [say.chunk(role="assistant", tool_calls=[call]), say.chunk(finish="tool_calls")]
    if ending == "refusal":
        return [say.chunk(role="assistant", refusal="No."), say.chunk(finish="stop")]
    return [*say.spoken("Hi ", "there")[:-1], say.chunk(finish="length" if ending == "length" else "stop")]


def item(ending: str) -> Any:
    if ending == "tool call":
        return {"type": "function_call", "id": "f1", "call_id": "c1", "name": "clock", "arguments": "{}"}
    said = {"type": "refusal", "refusal": "No."} if ending == "refusal" else {"type": "output_text", "text": "Hi there"}
    content = [{**said, "annotations": []}]
    return {"type": "message", "id": "m1", "role": "assistant", "status": "completed", "content": content}


def response_whole(_: Any, ending: str) -> Any:
    status = "incomplete" if ending == "length" else "completed"
    answer = {"id": "r1", "object": "response", "created_at": 1, "model": "tiny-1", "status": status}
    usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    return {**answer, "output": [item(ending)], "usage": usage, "tools": [], "parallel_tool_calls": True}


def response_parts(say: Any, ending: str) -> Any:
    whole = response_whole(say, ending)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    shown = item(ending)
    at = {"output_index": 0, "item_id": shown["id"]}
    parts: list[Any] = [{"type": "response.created", "response": begun}]
    parts.append({"type": "response.output_item.added", **at, "item": {**shown, "content": [], "arguments": ""}})
    if ending == "tool call":
        parts.append({"type": "response.function_call_arguments.delta", **at, "delta": "{}"})
    else:
        kind, texts = ("refusal", ["No."]) if ending == "refusal" else ("output_text", ["Hi ", "there"])
        empty = {"type": kind, kind.removeprefix("output_"): "", "annotations": []}
        parts.append({"type": "response.content_part.added", **at, "content_index": 0, "part": empty})
        parts += [{"type": f"response.{kind}.delta", **at, "content_index": 0, "delta": text} for text in texts]
    parts.append({"type": f"response.{whole['status']}", "response": whole})
    numbered = [{**part, "sequence_number": number} for number, part in enumerate(parts)]
    return say.Parts(numbered, done=False)


def legacy_whole(say: Any, ending: str) -> Any:
    choice = {"index": 0, "text": "Hi there", "finish_reason": "length" if ending == "length" else "stop"}
    answer = {"id": "c1", "object": "text_completion", "created": 1, "model": "tiny-1"}
    return {**answer, "choices": [choice], "usage": say.usage_chunk()["usage"]}


def legacy_parts(say: Any, ending: str) -> Any:
    whole = {name: value for name, value in legacy_whole(say, ending).items() if name != "usage"}
    reason = whole["choices"][0]["finish_reason"]
    said = (("Hi ", None), ("there", None), ("", reason))
    return [{**whole, "choices": [{"index": 0, "text": text, "finish_reason": finish}]} for text, finish in said]


WHOLE = {"chat": chat_whole, "responses": response_whole, "legacy": legacy_whole}
PARTS = {"chat": chat_parts, "responses": response_parts, "legacy": legacy_parts}


# What the app does.


async def settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


@contextlib.asynccontextmanager
async def opened(asked: Any):
    """An answer, a stream, or what a manager gives: sync and async alike."""
    if hasattr(asked, "__aenter__"):
        async with asked as value:
            yield value
    elif hasattr(asked, "__enter__") and not inspect.isawaitable(asked):
        with asked as value:
            yield value
    else:
        value = await settled(asked)
        if hasattr(value, "__enter__") or hasattr(value, "__aenter__"):
            async with opened(value) as inner:
                yield inner
        else:
            yield value


async def parsed(value: Any) -> Any:
    """What a raw response holds."""
    return await settled(value.parse()) if hasattr(value, "parse") and hasattr(value, "http_response") else value


def shows_text(part: Any) -> bool:
    """Whether a part, or a helper's event, shows the beginning of the answer."""
    if getattr(part, "type", None) in {"content.delta", "response.output_text.delta"}:
        return True
    choices = getattr(part, "choices", None) or [None]
    text = getattr(getattr(choices[0], "delta", None), "content", None) or getattr(choices[0], "text", None)
    return bool(text)


async def read(stream: Any, *, until_text: bool = False) -> None:
    if hasattr(stream, "__aiter__"):
        async for part in stream:
            if until_text and shows_text(part):
                return
    else:
        for part in stream:
            if until_text and shows_text(part):
                return


async def use(surface: Surface, client: Any, ending: str) -> None:
    """Ask, and read the answer to the ending."""
    if ending == "abandoned":
        await abandon(surface, client)
        gc.collect()
        return
    async with opened(surface.ask(client)) as value:
        answer = await parsed(value)
        if surface.is_stream:
            await read(answer, until_text=ending == "closed")
            if ending == "closed":
                await settled((getattr(answer, "close", None) or answer.response.close)())


async def abandon(surface: Surface, client: Any) -> None:
    asked = surface.ask(client)
    if hasattr(asked, "__aenter__"):
        value = await asked.__aenter__()
    elif hasattr(asked, "__enter__"):
        value = asked.__enter__() if not isinstance(asked, openai.Stream) else asked
    else:
        value = await settled(asked)
    await read(await parsed(value), until_text=True)


# What should arrive.


def expected(surface: Surface, ending: str) -> list[Any]:
    if ending == "error":
        return [*OPENED, {**FAILED, "error": "InternalServerError"}]
    if ending == "cancelled" and not surface.is_stream:
        return [*OPENED, {**FAILED, "error": "CancelledError"}]
    if ending == "tool call":
        return OPENED
    if ending == "length" and surface.is_parsed_strictly:
        return [*OPENED, {**FAILED, "model": "tiny-1", **USED, "error": "LengthFinishReasonError"}]
    turn = {**TURN, "time_to_first_token_ms": "ms"} if surface.is_stream else TURN
    if ending in ANSWERED:
        answered = turn if surface.tells_usage else without_usage(turn)
        return [*OPENED, {**answered, "assistant": "No." if ending == "refusal" else "Hi there"}]
    return [*OPENED, {**without_usage(turn), "assistant": "Hi ", "interrupted": True}]


@pytest.fixture(scope="module", autouse=True)
def _quick_collections() -> Iterator[None]:
    """What is there before the first test is not walked by each collection of what an abandoned stream leaves."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize(("surface", "ending"), cases(is_async=False))
def test_a_sync_client(  # noqa: PLR0917  # fixtures are given by name
    provider: Any, client: Client, arrived: Any, say: Any, surface: Surface, ending: str
):
    provider.answers(reply(say, surface, ending))
    run(use(surface, wrap(provider.client(), client=client), ending), surface, ending)
    assert arrived() == expected(surface, ending)


@pytest.mark.parametrize(("surface", "ending"), cases(is_async=True))
def test_an_async_client(  # noqa: PLR0917  # fixtures are given by name
    provider: Any, client: Client, arrived: Any, say: Any, surface: Surface, ending: str
):
    recording = wrap(provider.client(openai.AsyncOpenAI), client=client)
    if ending == "cancelled":
        asyncio.run(cancel(provider, recording, say, surface))
    else:
        provider.answers(reply(say, surface, ending))
        run(use(surface, recording, ending), surface, ending)
    assert arrived() == expected(surface, ending)


def run(using: Any, surface: Surface, ending: str) -> None:
    """Use it, and see that the app gets the error that it gets without us."""
    raised: Any = contextlib.nullcontext()
    if ending == "error":
        raised = pytest.raises(openai.InternalServerError)
    elif ending == "length" and surface.is_parsed_strictly:
        raised = pytest.raises(openai.LengthFinishReasonError)
    with raised:
        asyncio.run(using)
    if ending == "abandoned":
        # An async generator that was let go of is ended by its loop.
        gc.collect()


async def cancel(provider: Any, client: Any, say: Any, surface: Surface) -> None:
    """Cancel the app's task while it waits for the next part."""
    waits, never = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        waits.set()
        await never.wait()

    if surface.is_stream:
        parts = reply(say, surface, "completed")
        parts = parts.parts if isinstance(parts, say.Parts) else parts
        first = next(at for at, part in enumerate(parts) if "Hi " in str(part))
        provider.answers(say.Parts([*parts[: first + 1], wait]))
    else:
        provider.answers(say.Parts([wait], done=False))
    using = asyncio.create_task(use(surface, client, "completed"))
    await waits.wait()
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using


# With and without `wrap`.


def shown(value: Any) -> Any:
    """A value as the app could tell it from another."""
    return (type(value), value.to_json(warnings=False)) if hasattr(value, "to_json") else (type(value), str(value))


def outcome(surface: Surface, asked: Any, ending: str) -> Any:
    """Everything that the app gets: objects, parts, the response's state, and the error with its depth."""
    seen: list[Any] = []

    async def look() -> None:
        async with opened(surface.ask(asked)) as value:
            answer = await parsed(value)
            if not surface.is_stream:
                seen.append(shown(answer))
                return
            async for part in parts_of(answer):
                seen.append(shown(part) if hasattr(part, "to_json") else part)
                if ending == "closed" and shows_text(part):
                    break
            response = getattr(answer, "response", None) or answer._response
            seen.append((type(answer), response.is_closed, response.status_code))
            await settled(answer.close())
            await settled(answer.close())
            seen.append((response.is_closed, sorted(vars(response)), [shown(part) async for part in parts_of(answer)]))

    try:
        asyncio.run(look())
    except Exception as error:  # noqa: BLE001  # whatever it is, it is compared
        frames = [frame.name for frame in traceback.extract_tb(error.__traceback__) if "/openai/" in frame.filename]
        own = [frame for frame in traceback.extract_tb(error.__traceback__) if "mindlytics_openai" in frame.filename]
        kinds = (type(error.__cause__), type(error.__context__), error.__suppress_context__)
        # One frame of ours, the driver, is on the way up; nothing else tells.
        seen.append((type(error), str(error), kinds, [name for name in frames if name != "watched"], len(own) <= 1))
    return seen


async def parts_of(stream: Any):
    if hasattr(stream, "__aiter__"):
        async for part in stream:
            yield part
    else:
        for part in stream:
            yield part


def sent(requests: list[Any]) -> list[Any]:
    """What the provider gets; the question for usage is ours, and switched off here."""
    return [
        (str(r.url), r.method, r.content, {k: v for k, v in r.headers.items() if "idempot" not in k}) for r in requests
    ]


@pytest.mark.parametrize("kind", [openai.OpenAI, openai.AsyncOpenAI])
@pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES)
def test_the_app_and_the_provider_see_no_difference(provider: Any, say: Any, surface: Surface, kind: type):
    endings = [*ANSWERED, "error", *(["closed"] if surface.is_stream else [])]
    if surface.api == "legacy":
        endings = [ending for ending in endings if ending not in {"tool call", "refusal"}]
    plain, recording, asking = (provider.client(kind) for _ in range(3))
    with Client("key", "project", "http://127.0.0.1:9", before_send=lambda _: None) as silent:
        wrap(recording, client=silent, stream_usage=False)
        wrap(asking, client=silent)
        for ending in endings:
            seen, requests = [], []
            for asked in (plain, recording, asking):
                provider.answers(reply(say, surface, ending))
                seen.append(outcome(surface, asked, ending))
                requests.append(sent(provider.requests))
                provider.requests.clear()
            assert seen[0] == seen[1] == seen[2], ending
            assert requests[0] == requests[1], ending
