"""Chat completions, created and streamed, sync and async: what reaches the service, and what the app gets."""

from typing import Any

import openai
import pydantic
import pytest
from helpers import events, readable
from openai_chat import ENDED, FAILED, OPENED, QUESTION, STREAMED, TURN, USED, chats, http, without_usage

from mindlytics_core import Client
from mindlytics_openai import wrap


def test_a_created_completion_is_one_turn(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.completion())
    recording = wrap(provider.client(), client=client)

    answer = recording.chat.completions.create(model="tiny", messages=QUESTION)

    assert type(answer).__module__.startswith("openai.")
    assert answer.choices[0].message.content == "Hi there"
    assert arrived() == [*OPENED, TURN]


def test_a_stream_is_one_turn_with_usage_that_the_app_does_not_see(
    provider: Any, client: Client, arrived: Any, say: Any
):
    provider.answers(say.spoken("Hi ", "there"))
    recording = wrap(provider.client(), client=client)

    stream = recording.chat.completions.create(model="tiny", messages=QUESTION, stream=True)
    chunks = list(stream)

    assert type(stream) is openai.Stream
    assert provider.bodies[0]["stream_options"] == {"include_usage": True}
    assert len(chunks) == 4
    assert not any("usage" in chunk.model_fields_set for chunk in chunks)
    assert arrived() == [*OPENED, STREAMED]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ((400, {"error": {"message": "too long", "param": "messages"}}), openai.BadRequestError),
        ((401, {"error": {"message": "wrong key"}}), openai.AuthenticationError),
        ((404, {"error": {"message": "no such model"}}), openai.NotFoundError),
        ((429, {"error": {"message": "slow down"}}), openai.RateLimitError),
        ((500, {"error": {"message": "sorry"}}), openai.InternalServerError),
        ((503, {}), openai.InternalServerError),
        (http.ReadTimeout("late"), openai.APITimeoutError),
        (http.ConnectError("nobody there"), openai.APIConnectionError),
    ],
)
def test_an_error_reaches_the_app_as_it_is_and_is_a_failed_turn(
    provider: Any, client: Client, arrived: Any, reply: str, error: Any
):
    provider.answers(reply)
    recording = wrap(provider.client(), client=client)

    with pytest.raises(error) as caught:
        recording.chat.completions.create(model="tiny", messages=QUESTION)

    assert caught.value.__context__ is not None or caught.value.__suppress_context__
    assert arrived() == [*OPENED, {**FAILED, "error": error.__name__}]


def test_an_error_keeps_the_traceback_that_it_has_without_us(provider: Any, client: Client):
    provider.answers((401, {"error": {"message": "wrong key"}}), (401, {"error": {"message": "wrong key"}}))
    frames = []
    for asked in (provider.client(), wrap(provider.client(), client=client)):
        with pytest.raises(openai.AuthenticationError) as caught:
            asked.chat.completions.create(model="tiny", messages=QUESTION)
        frames.append([entry.name for entry in caught.traceback][1:])

    assert [name for name in frames[1] if name != "watched"] == frames[0]


def test_of_several_choices_the_first_is_the_turn(provider: Any, client: Client, arrived: Any, say: Any):
    answer = say.completion()
    answer["choices"].append({**answer["choices"][0], "index": 1, "message": {"role": "assistant", "content": "Yo"}})
    provider.answers(answer)
    recording = wrap(provider.client(), client=client)

    recording.chat.completions.create(model="tiny", messages=QUESTION, n=2)

    assert arrived() == [*OPENED, {**TURN, "choices": 2}]


def test_streamed_choices_are_not_mixed(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(
        [
            say.chunk("Yo", index=1),
            say.chunk("Hi "),
            say.chunk("!", index=1),
            say.chunk(index=1, finish="stop"),
            say.chunk("there"),
            say.chunk(finish="stop"),
        ]
    )
    recording = wrap(provider.client(), client=client)

    list(recording.chat.completions.create(model="tiny", messages=QUESTION, n=2, stream=True))

    assert arrived() == [*OPENED, {**STREAMED, "choices": 2}]


def test_cached_and_reasoning_tokens_are_told(provider: Any, client: Client, arrived: Any, say: Any):
    details = {"prompt_tokens_details": {"cached_tokens": 5}, "completion_tokens_details": {"reasoning_tokens": 2}}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10, **details}
    provider.answers(say.completion(usage=usage))
    recording = wrap(provider.client(), client=client)

    recording.chat.completions.create(model="tiny", messages=QUESTION)

    assert arrived() == [*OPENED, {**TURN, "cached_tokens": 5, "reasoning_tokens": 2}]


def test_pictures_and_sounds_are_named_and_not_copied(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.completion())
    recording = wrap(provider.client(), client=client)
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1000}},
        {"type": "input_audio", "input_audio": {"data": "B" * 1000, "format": "wav"}},
        {"type": "file", "file": {"file_id": "f1"}},
    ]

    recording.chat.completions.create(model="tiny", messages=[{"role": "user", "content": content}])

    assert arrived() == [*OPENED, {**TURN, "user": "What is this?\n[image]\n[audio]\n[file]"}]


def test_a_one_shot_iterator_of_messages_arrives_whole(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.completion())
    recording = wrap(provider.client(), client=client)

    recording.chat.completions.create(model="tiny", messages=iter(QUESTION))

    assert provider.bodies[0]["messages"] == QUESTION
    assert arrived() == [*OPENED, TURN]


def test_structured_output_is_recorded_as_its_json(provider: Any, client: Client, arrived: Any, say: Any):
    class Place(pydantic.BaseModel):
        city: str

    provider.answers(say.completion('{"city":"Oslo"}'))
    recording = wrap(provider.client(), client=client)

    answer = recording.chat.completions.parse(model="tiny", messages=QUESTION, response_format=Place)

    assert answer.choices[0].message.parsed == Place(city="Oslo")
    assert arrived() == [*OPENED, {**TURN, "assistant": '{"city":"Oslo"}'}]


def test_structured_output_that_was_cut_off_is_a_failure_with_its_usage(
    provider: Any, client: Client, arrived: Any, say: Any
):
    class Place(pydantic.BaseModel):
        city: str

    answer = say.completion('{"ci')
    answer["choices"][0]["finish_reason"] = "length"
    provider.answers(answer)
    recording = wrap(provider.client(), client=client)

    with pytest.raises(openai.LengthFinishReasonError):
        recording.chat.completions.parse(model="tiny", messages=QUESTION, response_format=Place)

    assert arrived() == [*OPENED, {**FAILED, "model": "tiny-1", **USED, "error": "LengthFinishReasonError"}]


def test_a_raw_response_is_the_same_object_and_one_turn(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.completion())
    recording = wrap(provider.client(), client=client)

    raw = recording.chat.completions.with_raw_response.create(model="tiny", messages=QUESTION)

    assert raw.http_response.json()["id"] == "c1"
    assert raw.parse() is raw.parse()
    assert arrived() == [*OPENED, TURN]


def test_a_raw_stream_is_one_turn(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.spoken("Hi ", "there"))
    recording = wrap(provider.client(), client=client)

    raw = recording.chat.completions.with_raw_response.create(model="tiny", messages=QUESTION, stream=True)
    chunks = list(raw.parse())

    assert len(chunks) == 4
    assert "stream_options" not in provider.bodies[0]
    assert arrived() == [*OPENED, without_usage(STREAMED)]


def test_the_stream_helper_works_as_before(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.spoken("Hi ", "there"))
    recording = wrap(provider.client(), client=client)

    with recording.chat.completions.stream(model="tiny", messages=QUESTION) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()

    assert kinds.count("content.delta") == 2
    assert final.choices[0].message.content == "Hi there"
    assert final.usage is None
    assert arrived() == [*OPENED, STREAMED]


async def test_the_async_stream_helper_works_as_before(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.spoken("Hi ", "there"))
    recording = wrap(provider.client(openai.AsyncOpenAI), client=client)

    async with recording.chat.completions.stream(model="tiny", messages=QUESTION) as stream:
        final = await stream.get_final_completion()

    assert final.choices[0].message.content == "Hi there"
    assert arrived() == [*OPENED, STREAMED]


def test_odd_chunks_of_foreign_servers_are_recorded_as_far_as_they_go(
    provider: Any, client: Client, arrived: Any, say: Any
):
    odd = [
        ": keep-alive\n\n",
        {"choices": None},
        {"choices": [{"index": 0, "delta": None}]},
        {**say.chunk("Hi there", finish="stop"), "usage": {"prompt_tokens": 7, "completion_tokens": 3}},
    ]
    provider.answers(say.Parts(odd))
    recording = wrap(provider.client(), client=client)

    assert len(list(recording.chat.completions.create(model="tiny", messages=QUESTION, stream=True))) == 3
    assert arrived() == [*OPENED, STREAMED]


def test_content_that_comes_in_parts_and_calls_with_arguments_that_are_no_text(
    provider: Any, client: Client, arrived: Any, say: Any
):
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "Hi "}]
    begun, done = say.chunk("", role="assistant", refusal=""), say.chunk(finish="stop")
    provider.answers([begun, say.chunk(parts), say.chunk("there"), done])
    recording = wrap(provider.client(), client=client)
    list(recording.chat.completions.create(model="tiny", messages=QUESTION, stream=True))
    assert arrived() == [*OPENED, STREAMED]

    # The same answer at once, and in the next request's history, is the same text.
    said = [{"type": "text", "text": "Hi "}, {"type": "text", "text": "there"}]
    provider.answers(say.completion(said))
    messages = [*QUESTION, {"role": "assistant", "content": said}, {"role": "user", "content": "And?"}]
    recording.chat.completions.create(model="tiny", messages=messages)
    assert arrived() == chats([STREAMED, {**TURN, "user": "And?"}])

    asking = {"index": 0, "id": 7, "function": {"name": "clock", "arguments": {"zone": "UTC"}}}
    provider.answers([say.chunk(role="assistant", tool_calls=[asking]), say.chunk(finish="tool_calls")])
    list(recording.chat.completions.create(model="tiny", messages=QUESTION, stream=True))
    assert client.stats().faults == {}


@pytest.mark.parametrize("empty", [None, {}, {"index": 0, "id": None, "function": None}])
def test_an_empty_call_is_none(provider: Any, client: Client, arrived: Any, say: Any, empty: Any):
    provider.answers(
        say.completion(tool_calls=[empty]), say.Parts([*say.spoken("Hi there"), say.chunk(tool_calls=[empty])])
    )
    recording = wrap(provider.client(), client=client, stream_usage=False)

    recording.chat.completions.create(model="tiny", messages=QUESTION)
    list(recording.chat.completions.create(model="tiny", messages=QUESTION, stream=True))

    assert arrived() == chats([TURN], [without_usage(STREAMED)])


OTHERS = [
    lambda c: c.embeddings.create(model="e", input="x", encoding_format="float"),
    lambda c: c.images.generate(model="e", prompt="x"),
    lambda c: c.moderations.create(input="x"),
    lambda c: c.audio.speech.create(model="e", input="x", voice="alloy"),
    lambda c: c.audio.transcriptions.create(model="e", file=("x.wav", b"x")),
    lambda c: c.chat.completions.list(),
    lambda c: c.post("/chat/completions/c1", body={"metadata": {}}, cast_to=object),
    lambda c: c.models.list(),
]


def test_what_is_no_conversation_passes_through_untouched(provider: Any, client: Client, arrived: Any):
    for use in OTHERS:
        seen = []
        for asked in (provider.client(), wrap(provider.client(), client=client)):
            provider.answers({"object": "list", "data": [], "model": "e", "usage": {"prompt_tokens": 1}, "text": "Hi"})
            answer = use(asked)
            seen.append((type(answer), str(getattr(answer, "text", answer))))
        assert seen[0] == seen[1]

    assert arrived() == []


def test_a_conversation_that_ends_with_the_process_has_the_time_of_its_last_turn(
    provider: Any, client: Client, service: Any, say: Any
):
    provider.answers(say.completion())
    wrap(provider.client(), client=client).chat.completions.create(model="tiny", messages=QUESTION)
    client.close(5)

    found = events(service)
    assert readable(found) == [*OPENED, TURN, *ENDED]
    assert len({event["timestamp"] for event in found[2:]}) == 1


def test_silence_ends_the_conversation(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.completion())
    recording = wrap(provider.client(), client=client, continue_within=0)

    recording.chat.completions.create(model="tiny", messages=QUESTION)

    assert arrived() == [*OPENED, TURN, *ENDED]
