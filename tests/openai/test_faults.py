"""A fault of ours at any step costs the app nothing, is counted, and leaves nothing open."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai_chat import FAILED, OPENED, QUESTION

from mindlytics_core import Client
from mindlytics_openai import _call, _chat, _recording, _response_hooks, _settings, _stream, wrap

STEPS = [
    (_call, "without_ids"),
    (_call, "surface_of"),
    (_call, "body_of"),
    (_call, "raw_mode"),
    (_call, "model_call_is_claimed"),
    (_settings.Settings, "recorder"),
    (_call.Recording, "note_results"),
    (_call.Recording, "complete"),
    (_call.Recording, "stop"),
    (_call.Recording, "fail"),
    (_call.Recording, "_await_tools"),
    (_response_hooks.Hooks, "on_close"),
    (_response_hooks.Hooks, "on_release"),
    (_response_hooks.Hooks, "undo"),
    (_call.Recording, "_note_usage"),
    (_call.Call, "_observe"),
    (_call.Call, "_ask_usage"),
    (_stream.Observer, "watch"),
    (_chat.Chunks, "add"),
    (_chat.Chunks, "answer"),
    (_chat, "_message"),
    (_chat, "_calls"),
    (_chat, "usage"),
    (_chat, "_answer_text"),
    (_recording, "asking_for"),
    (_call, "with_usage"),
]


def fault(*_args: Any, **_kwargs: Any):
    raise ZeroDivisionError


@pytest.fixture
def each_step(monkeypatch: pytest.MonkeyPatch):
    """One step of ours after the other raises."""

    def steps() -> Any:
        for place, name in STEPS:
            with monkeypatch.context() as patch:
                patch.setattr(place, name, fault)
                yield f"{place.__name__}.{name}"

    return steps()


@pytest.fixture
def recording(provider: Any, client: Client):
    return wrap(provider.client(), client=client)


def contents(chunks: Any):
    return [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]


async def test_an_async_stream_is_unharmed(provider: Any, client: Client, say: Any, each_step: Iterator[str]):
    recording = wrap(provider.client(openai.AsyncOpenAI), client=client)
    for step in each_step:
        provider.answers(say.spoken("Hi ", "there"))
        stream = await recording.chat.completions.create(model="tiny", messages=QUESTION, stream=True)
        assert contents([chunk async for chunk in stream]) == [None, "Hi ", "there", None], step


def test_a_stream_that_could_not_be_read_is_a_failure_of_ours_and_not_an_interruption(
    provider: Any, recording: Any, arrived: Any, say: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_chat.Chunks, "add", fault)
    provider.answers(say.spoken("Hi ", "there"))

    assert len(list(recording.chat.completions.create(model="tiny", messages=QUESTION, stream=True))) == 4

    assert arrived() == [*OPENED, {**FAILED, "error": "UnreadableAnswer"}]


def test_a_fault_is_counted_and_its_exchange_closed(  # noqa: PLR0917  # fixtures are given by name
    provider: Any, recording: Any, client: Client, arrived: Any, say: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_recording.Recording, "complete", fault)
    provider.answers(say.completion())

    recording.chat.completions.create(model="tiny", messages=QUESTION)

    assert client.stats().faults["openai.answer"] >= 1
    assert arrived() == [*OPENED, {**FAILED, "error": "UnreadableAnswer"}]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": None},
        {"choices": []},
        {"choices": [{}]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": 7, "tool_calls": "?"}}], "usage": 3, "model": 4},
        {"choices": "?", "usage": {"prompt_tokens": "many"}},
    ],
)
def test_nonsense_from_a_server_reaches_the_app_as_without_us(provider: Any, client: Client, arrived: Any, body: Any):
    answers = []
    for asked in (provider.client(), wrap(provider.client(), client=client)):
        provider.answers(body)
        answers.append(asked.chat.completions.create(model="tiny", messages=QUESTION).to_json(warnings=False))
    assert answers[0] == answers[1]
    assert len(arrived()) == 3


@pytest.mark.parametrize("messages", [[], [None], [7], ["text"], [{"role": 3}], [{"content": {"a": 1}}], {}, "text"])
def test_nonsense_from_the_app_reaches_the_server_as_without_us(provider: Any, client: Client, say: Any, messages: Any):
    errors = []
    for asked in (provider.client(), wrap(provider.client(), client=client)):
        provider.answers(say.completion())
        try:
            asked.post("/chat/completions", body={"messages": messages}, cast_to=object)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is compared
            errors.append(type(error))
    assert provider.bodies[0] == provider.bodies[1]
    assert not errors


@pytest.mark.parametrize("body", ["<html>", {"error": {"message": "sorry"}}, {"choices": []}])
def test_an_answer_that_is_none_is_a_failed_turn(provider: Any, client: Client, arrived: Any, body: Any):
    provider.answers(body)
    wrap(provider.client(), client=client).chat.completions.create(model="tiny", messages=QUESTION)

    error = "UnreadableAnswer" if body == "<html>" else "NoAnswer"
    assert arrived() == [*OPENED, {**FAILED, "error": error}]
