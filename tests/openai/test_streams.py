"""However a stream ends, it is recorded once, with what the user saw."""

import asyncio
import gc
import os
import threading
from typing import Any

import openai
import pytest
from helpers import events, readable
from openai_chat import BASE, ENDED, FAILED, OPENED, QUESTION, STREAMED, chats, http, without_usage
from programs import run
from provider import ENDLESS
from provider import Provider as Loopback

from mindlytics_core import Client
from mindlytics_openai import wrap

WHOLE_WITHOUT_USAGE = without_usage(STREAMED)
PARTIAL = {**WHOLE_WITHOUT_USAGE, "assistant": "Hi ", "interrupted": True}
#: A stream that ended before any text, but not before the model was known.
BEGUN = {**FAILED, "model": "tiny-1"}


def streamed(client: Client):
    return client.chat.completions.create(model="tiny", messages=QUESTION, stream=True)


@pytest.fixture
def recording(provider: Any, client: Client, say: Any):
    provider.answers(say.spoken("Hi ", "there"))
    return wrap(provider.client(), client=client)


@pytest.fixture
def recording_async(provider: Any, client: Client, say: Any):
    provider.answers(say.spoken("Hi ", "there"))
    return wrap(provider.client(openai.AsyncOpenAI), client=client)


def test_read_with_next_to_the_end(recording: Any, arrived: Any):
    stream = streamed(recording)
    while next(stream, None):
        pass
    assert arrived() == [*OPENED, STREAMED]


def test_closed_after_the_first_text(recording: Any, arrived: Any):
    stream = streamed(recording)
    next(stream)
    assert next(stream).choices[0].delta.content == "Hi "
    stream.close()
    assert arrived() == [*OPENED, PARTIAL]


def test_the_response_closed_directly(recording: Any, arrived: Any):
    stream = streamed(recording)
    next(stream)
    next(stream)
    stream.response.close()
    assert arrived() == [*OPENED, PARTIAL]


def test_left_by_its_with_block(recording: Any, arrived: Any):
    with streamed(recording) as stream:
        next(stream)
        next(stream)
    assert arrived() == [*OPENED, PARTIAL]


def test_left_by_its_with_block_after_the_finish_reason(recording: Any, arrived: Any):
    with streamed(recording) as stream:
        for chunk in stream:
            if chunk.choices[0].finish_reason:
                break
    assert arrived() == [*OPENED, WHOLE_WITHOUT_USAGE]


def test_the_helper_left_early(recording: Any, arrived: Any):
    with recording.chat.completions.stream(model="tiny", messages=QUESTION) as stream:
        for event in stream:
            if event.type == "content.delta":
                break
    assert arrived() == [*OPENED, PARTIAL]


def test_left_by_break_and_let_go(recording: Any, arrived: Any):
    for chunk in streamed(recording):
        if chunk.choices[0].delta.content:
            break
    gc.collect()
    assert arrived() == [*OPENED, PARTIAL]


def test_never_read(recording: Any, arrived: Any):
    streamed(recording)
    gc.collect()
    assert arrived() == [*OPENED, {**FAILED, "error": "Interrupted"}]


def test_closed_before_any_text(recording: Any, arrived: Any):
    stream = streamed(recording)
    next(stream)
    stream.close()
    assert arrived() == [*OPENED, {**BEGUN, "error": "Interrupted"}]


def test_closing_twice_and_after_the_end_changes_nothing(recording: Any, arrived: Any):
    stream = streamed(recording)
    list(stream)
    stream.close()
    stream.close()
    assert "close" not in vars(stream.response)
    assert arrived() == [*OPENED, STREAMED]


def test_what_others_put_over_the_response_s_close_stays(recording: Any, arrived: Any):
    stream = streamed(recording)
    ours = stream.response.close
    closed: list[Any] = []

    def theirs() -> None:
        closed.append(True)
        ours()

    stream.response.close = theirs
    list(stream)

    assert stream.response.close is theirs
    assert closed
    assert arrived() == [*OPENED, STREAMED]


def test_broken_off_by_the_network(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.Parts([say.chunk("Hi "), http.ReadError("gone")]))
    stream = streamed(wrap(provider.client(), client=client))

    with pytest.raises((openai.APIConnectionError, http.ReadError)):
        list(stream)

    assert arrived() == [*OPENED, PARTIAL]


def test_broken_off_before_any_text(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.Parts([say.chunk(role="assistant"), http.ReadError("gone")]))
    stream = streamed(wrap(provider.client(), client=client))

    with pytest.raises((openai.APIConnectionError, http.ReadError)) as caught:
        list(stream)

    assert arrived() == [*OPENED, {**BEGUN, "error": type(caught.value).__name__}]


def test_an_error_sent_in_the_middle(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.Parts([say.chunk("Hi "), {"error": {"message": "overloaded"}}]))
    stream = streamed(wrap(provider.client(), client=client))

    with pytest.raises(openai.APIError):
        list(stream)

    assert arrived() == [*OPENED, PARTIAL]


def test_ended_without_a_word_about_why(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.Parts([say.chunk("Hi ")], done=False))
    assert len(list(streamed(wrap(provider.client(), client=client)))) == 1
    assert arrived() == [*OPENED, PARTIAL]


def test_cut_by_the_length(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers([say.chunk("Hi "), say.chunk("there", finish="length")])
    list(streamed(wrap(provider.client(), client=client)))
    assert arrived() == [*OPENED, STREAMED]


async def test_an_async_stream_closed_early(recording_async: Any, arrived: Any):
    stream = await streamed(recording_async)
    await anext(stream)
    await anext(stream)
    await stream.close()
    assert arrived() == [*OPENED, PARTIAL]


async def test_an_async_stream_left_by_its_with_block(recording_async: Any, arrived: Any):
    async with await streamed(recording_async) as stream:
        await anext(stream)
        await anext(stream)
    assert arrived() == [*OPENED, PARTIAL]


async def test_an_async_stream_never_read(recording_async: Any, arrived: Any):
    stream = await streamed(recording_async)
    await stream.close()
    assert arrived() == [*OPENED, {**FAILED, "error": "Interrupted"}]


async def test_an_async_stream_cancelled_while_it_waits(provider: Any, client: Client, arrived: Any, say: Any):
    waits, never = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        waits.set()
        await never.wait()

    provider.answers(say.Parts([say.chunk("Hi "), wait]))
    stream = await streamed(wrap(provider.client(openai.AsyncOpenAI), client=client))

    async def read() -> Any:
        return [chunk async for chunk in stream]

    reading = asyncio.create_task(read())
    await waits.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert arrived() == [*OPENED, PARTIAL]


async def test_an_async_stream_cancelled_before_any_text(provider: Any, client: Client, arrived: Any, say: Any):
    waits, never = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        waits.set()
        await never.wait()

    provider.answers(say.Parts([wait]))
    stream = await streamed(wrap(provider.client(openai.AsyncOpenAI), client=client))
    reading = asyncio.create_task(anext(stream))
    await waits.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert arrived() == [*OPENED, {**FAILED, "error": "CancelledError"}]


async def test_a_call_cancelled_while_it_waits_for_its_answer(client: Client, arrived: Any):
    waits, never = asyncio.Event(), asyncio.Event()

    async def reply(_request: Any) -> None:
        waits.set()
        await never.wait()

    holder = http.AsyncClient(transport=http.MockTransport(reply))
    recording = wrap(openai.AsyncOpenAI(api_key="none", http_client=holder), client=client)
    calling = asyncio.create_task(recording.chat.completions.create(model="tiny", messages=QUESTION))
    await waits.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling

    assert arrived() == [*OPENED, {**FAILED, "error": "CancelledError"}]


def test_a_read_that_is_refused_because_another_thread_reads_does_not_end_the_stream(
    provider: Any, client: Client, arrived: Any, say: Any
):
    waits, goes_on = threading.Event(), threading.Event()

    class Held(say.Parts):
        def each(self) -> Any:
            first, *rest = super().each()
            yield first
            waits.set()
            assert goes_on.wait(10)
            yield from rest

    provider.answers(Held(say.spoken("Hi ", "there")))
    stream = streamed(wrap(provider.client(), client=client, stream_usage=False))
    seen: list[Any] = []
    reading = threading.Thread(target=lambda: seen.extend(stream))
    reading.start()
    assert waits.wait(10)
    with pytest.raises(ValueError, match="already executing"):
        next(stream)
    goes_on.set()
    reading.join()

    assert len(seen) == 4
    assert arrived() == [*OPENED, WHOLE_WITHOUT_USAGE]


async def test_a_read_that_is_refused_because_another_task_reads_does_not_end_the_stream(
    provider: Any, client: Client, arrived: Any, say: Any
):
    waits, goes_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        waits.set()
        await goes_on.wait()

    first, *rest = say.spoken("Hi ", "there")
    provider.answers(say.Parts([first, wait, *rest]))
    stream = await streamed(wrap(provider.client(openai.AsyncOpenAI), client=client, stream_usage=False))

    async def read() -> Any:
        return [chunk async for chunk in stream]

    reading = asyncio.create_task(read())
    await waits.wait()
    with pytest.raises(RuntimeError, match="already running"):
        await anext(stream)
    goes_on.set()

    assert len(await reading) == 4
    assert arrived() == [*OPENED, WHOLE_WITHOUT_USAGE]


def test_a_client_that_is_closed_while_a_stream_is_read_records_what_was_seen(
    provider: Any, client: Client, service: Any, say: Any
):
    provider.answers(*[say.spoken("Hi ", "there")] * 2)
    recording = wrap(provider.client(), client=client)
    raw = recording.chat.completions.with_raw_response.create(model="tiny", messages=QUESTION, stream=True)
    streams = [streamed(recording), raw.parse()]
    seen = [[next(stream), next(stream)] for stream in streams]
    client.close(5)

    assert [len([*begun, *stream]) for begun, stream in zip(seen, streams, strict=True)] == [4, 4]
    assert readable(events(service)) == chats([PARTIAL], [PARTIAL], are_ended=True)


def test_the_first_chunk_is_handed_on_before_the_next_is_asked_for(provider: Any, client: Client, say: Any):
    asked = []

    class Watched(say.Parts):
        def each(self) -> Any:
            for number, part in enumerate(super().each()):
                asked.append(number)
                yield part

    provider.answers(Watched([say.chunk("Hi "), say.chunk("there", finish="stop")]))
    stream = streamed(wrap(provider.client(), client=client))

    assert next(stream).choices[0].delta.content == "Hi "
    assert asked == [0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_that_lets_go_of_a_stream_records_nothing_of_it(service: Any):
    with Loopback() as provider:
        program = run(
            """
            import os
            import sys

            import openai

            from mindlytics_core import Client
            from mindlytics_openai import wrap

            asked = wrap(openai.OpenAI())
            stream = asked.chat.completions.create(
                model="tiny", messages=[{"role": "user", "content": "Hello?"}], stream=True
            )
            first = next(stream)
            child = os.fork()
            if not child:
                del stream
                sys.exit()
            os.waitpid(child, 0)
            print(len([first, *stream]))
            """,
            {**provider.environment(), **service.environment()},
        )
    assert (program.returncode, program.stderr) == (0, "")
    said = {"assistant": "On its way.", "model": "tiny"}
    assert readable(events(service)) == [*OPENED, {**STREAMED, **said}, *ENDED]


@pytest.mark.parametrize("is_stream", [True, False])
def test_what_a_thread_waits_for_at_the_exit_is_recorded_as_far_as_it_came(service: Any, is_stream: bool):
    with Loopback() as provider:
        program = run(
            f"""
            import threading

            import openai

            from mindlytics_openai import wrap

            has_begun = threading.Event()
            told = {{"response": [lambda _: None if {is_stream} else has_begun.set()]}}
            asked = wrap(openai.OpenAI(http_client=openai.DefaultHttpxClient(event_hooks=told)))

            def read():
                question = [{{"role": "user", "content": {ENDLESS!r}}}]
                for chunk in asked.chat.completions.create(model="tiny", messages=question, stream={is_stream}):
                    if chunk.choices[0].delta.content:
                        has_begun.set()

            threading.Thread(target=read, daemon=True).start()
            assert has_begun.wait(30)
            """,
            {**provider.environment(), **service.environment()},
        )
    assert (program.returncode, program.stderr) == (0, "")
    base = {**BASE, "user": ENDLESS}
    seen = {"event": "Conversation Turn", "assistant": "On ", "interrupted": True, "time_to_first_token_ms": "ms"}
    outcome = {**seen, "model": "tiny"} if is_stream else {"event": "Turn Failed", "error": "NoAnswer"}
    assert readable(events(service)) == [*OPENED, {**base, **outcome}, *ENDED]
