"""Real recordings of the OpenAI API, made by other projects, play through a wrapped client as through a plain one."""

import json
from pathlib import Path
from typing import Any

import openai
import pytest
import vcr
from vcr.cassette import Cassette

from mindlytics_openai import wrap

FOLDER = Path(__file__).parents[3] / "shared" / "cassettes"
#: By recording: whether it shows a function call, a turn or a failure, with the beginning of the answer and the tokens.
SHOWN = {
    "TestInputValueImageHiding.test_input_value_preserves_images_when_disabled": [
        ("Conversation Turn", "The image is a solid", 8512, 9)
    ],
    "TestResponsesAPIFinishReasons.test_responses_api_tool_call_finish_reason": [],
    "chat_completion_error": [("Turn Failed", "AuthenticationError", None, None)],
    "chat_completion_prompt_caching_cache_read": [("Conversation Turn", "Structuring a databa", 1220, 100)],
    # This one was recorded with figures of nothing in its last event.
    "response_stream_incomplete": [("Conversation Turn", "In the bustling city", 0, 0)],
    "test_async_chat_completion_streaming": [("Conversation Turn", "This is a test.", 12, 5)],
    "test_async_chat_completion_tool_calls_with_content": [
        ("Conversation Function", "50 degrees and raini", None, None),
        ("Conversation Function", "70 degrees and sunny", None, None),
        ("Conversation Turn", "Today, Seattle is ex", 174, 75),
    ],
    "test_chat_completion_404": [("Turn Failed", "NotFoundError", None, None)],
    "test_chat_completion_multiple_choices_streaming": [("Conversation Turn", "I'm unable to provid", 26, 104)],
    "test_chat_completion_with_content": [("Conversation Turn", "This is a test.", 12, 5)],
    "test_chat_tools_streaming": [],
    "test_parsed_completion": [
        ("Conversation Turn", '{"rating":5,"joke":"', 68, 41),
        ("Conversation Turn", '{"rating":4,"joke":"', 68, 35),
        ("Conversation Turn", '{"rating":4,"joke":"', 68, 37),
    ],
    "test_responses_basic_streaming": [("Conversation Turn", "pong", 11, 5)],
    "test_responses_create_reports_reasoning_tokens[content_mode0]": [
        ("Conversation Turn", "```bash\n#!/usr/bin/e", 44, 288)
    ],
    "test_responses_parse": [("Conversation Turn", '{"name":"Alice","age', 57, 10)],
    "test_responses_stream": [("Conversation Turn", "Four plus five equal", 13, 9)],
}
OPTIONS = {"api_key": "none", "base_url": "https://api.openai.com/v1", "max_retries": 0}
PLAYED = {"record_mode": "none", "match_on": ["method", "path"]}

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the recordings are not part of the project")


def requests(path: Path):
    """What to send, by request: arguments for `post`."""
    for request in Cassette.load(path=path).requests:
        surface, body = request.path.removeprefix("/v1"), json.loads(request.body)
        whole, part = {
            "/chat/completions": (openai.types.chat.ChatCompletion, openai.types.chat.ChatCompletionChunk),
            "/responses": (openai.types.responses.Response, openai.types.responses.ResponseStreamEvent),
        }[surface]
        yield {"path": surface, "body": body, "cast_to": whole, "stream": bool(body.get("stream"))}, part


def play(client: Any, path: Path):
    """What the app sees of each request of a recording."""
    seen = []
    with vcr.use_cassette(path, **PLAYED):
        for arguments, part in requests(path):
            try:
                answer = client.post(**arguments, stream_cls=openai.Stream[part])
            except openai.APIStatusError as error:
                seen.append(f"{type(error)} {error}")
            else:
                parts = answer if arguments["stream"] else [answer]
                seen += [part.to_json(warnings=False) for part in parts]
    return seen


async def play_async(client: Any, path: Path):
    """The same with an async client."""
    seen = []
    with vcr.use_cassette(path, **PLAYED):
        for arguments, part in requests(path):
            try:
                answer = await client.post(**arguments, stream_cls=openai.AsyncStream[part])
            except openai.APIStatusError as error:
                seen.append(f"{type(error)} {error}")
            else:
                parts = [part async for part in answer] if arguments["stream"] else [answer]
                seen += [part.to_json(warnings=False) for part in parts]
    return seen


def shown(found: Any):
    """The events in between the starts, as in the table."""
    return [
        (
            event["event"],
            event.get("assistant", event.get("result", event.get("error")))[:20],
            event.get("prompt_tokens"),
            event.get("completion_tokens"),
        )
        for event in found
        if event["event"] not in {"start_session", "Conversation Started"}
    ]


recordings = pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.yaml")), ids=lambda path: path.stem)


@recordings
def test_a_real_recording_plays_as_without_us_and_is_recorded(path: Path, client: Any, arrived: Any):
    seen = play(wrap(openai.OpenAI(**OPTIONS), client=client), str(path))
    assert seen == play(openai.OpenAI(**OPTIONS), str(path))
    assert shown(arrived()) == SHOWN[path.stem]


@recordings
async def test_a_real_recording_plays_with_an_async_client_too(path: Path, client: Any, arrived: Any):
    seen = await play_async(wrap(openai.AsyncOpenAI(**OPTIONS), client=client), str(path))
    assert seen == await play_async(openai.AsyncOpenAI(**OPTIONS), str(path))
    assert shown(arrived()) == SHOWN[path.stem]
