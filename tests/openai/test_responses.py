"""The Responses API: created, parsed, streamed, with tools, and kept on the server."""

import json
from typing import Any

import openai
import openai_chat
import pydantic
import pytest
from helpers import events as sent_to
from helpers import readable
from openai_chat import ENDED, INSIDE, OPENED, chats, without_usage

from mindlytics_core import Client
from mindlytics_openai import wrap

BASE = {**openai_chat.BASE, "model": "tiny-1"}
FAILED = {**BASE, "event": "Turn Failed"}
USED = {**openai_chat.USED, "cached_tokens": 5, "reasoning_tokens": 2}
TURN = {**openai_chat.TURN, **USED}
STREAMED = {**TURN, "time_to_first_token_ms": "ms"}
TOOLS = [{"type": "function", "name": name, "parameters": {}, "strict": False} for name in ("clock", "weather")]
USAGE = {
    "input_tokens": 7,
    "output_tokens": 3,
    "total_tokens": 10,
    "input_tokens_details": {"cached_tokens": 5},
    "output_tokens_details": {"reasoning_tokens": 2},
}


def message(*texts: str, kind: type = "output_text"):
    field = "refusal" if kind == "refusal" else "text"
    content = [{"type": kind, field: text, "annotations": []} for text in texts]
    return {"type": "message", "id": "m1", "role": "assistant", "status": "completed", "content": content}


def call(call_id: Any, name: Any, args: Any):
    return {"type": "function_call", "id": f"f{call_id}", "call_id": call_id, "name": name, "arguments": args}


def response(*output: Any, status: int = "completed", response_id: Any = "r1", **more: Any):
    answer = {"id": response_id, "object": "response", "created_at": 1, "model": "tiny-1", "status": status}
    return {**answer, "output": list(output), "usage": USAGE, "tools": [], "parallel_tool_calls": True, **more}


def events(*texts: str, last: Any = "response.completed", **more: Any):
    """The events of a streamed answer."""
    begun = {**response(status="in_progress"), "usage": None}
    parts = [{"type": "response.created", "response": begun}]
    parts += [{"type": "response.output_text.delta", "delta": text, "item_id": "m1"} for text in texts]
    if last:
        whole = response(message("".join(texts)), status=last.removeprefix("response."), **more)
        parts.append({"type": last, "response": whole})
    return [
        f"event: {part['type']}\ndata: {json.dumps({**part, 'sequence_number': number})}\n\n"
        for number, part in enumerate(parts)
    ]


@pytest.fixture
def recording(provider: Any, client: Client):
    return wrap(provider.client(), client=client)


def test_a_response_is_one_turn(provider: Any, recording: Any, arrived: Any):
    provider.answers(response(message("Hi ", "there")))
    answer = recording.responses.create(model="tiny", input="Hello?", instructions="Be kind.")
    assert answer.output_text == "Hi there"
    assert arrived() == [*OPENED, TURN]


def test_a_streamed_response_is_one_turn(provider: Any, recording: Any, arrived: Any, say: Any):
    provider.answers(say.Parts(events("Hi ", "there"), done=False))
    kinds = [event.type for event in recording.responses.create(model="tiny", input="Hello?", stream=True)]
    assert kinds == ["response.created", *["response.output_text.delta"] * 2, "response.completed"]
    assert "stream_options" not in provider.bodies[0]
    assert arrived() == [*OPENED, STREAMED]


@pytest.mark.parametrize(
    ("last", "recorded"),
    [
        ("response.incomplete", STREAMED),
        ("response.failed", {**STREAMED, "interrupted": True}),
        (None, without_usage(STREAMED)),
    ],
)
def test_streams_that_end_otherwise(provider: Any, recording: Any, arrived: Any, say: Any, last: Any, recorded: Any):  # noqa: PLR0917  # fixtures are given by name
    provider.answers(say.Parts(events("Hi ", "there", last=last), done=False))
    list(recording.responses.create(model="tiny", input="Hello?", stream=True))
    assert arrived() == [*OPENED, recorded if last else {**recorded, "interrupted": True}]


@pytest.mark.parametrize("texts", [(), ("Hi ",)])
def test_a_stream_that_ends_with_an_error_of_the_server_s(
    provider: Any, recording: Any, arrived: Any, say: Any, texts: tuple[str, ...]
):
    error = {"type": "error", "code": "server_error", "message": "sorry", "param": None, "sequence_number": 9}
    provider.answers(say.Parts([*events(*texts, last=None), f"data: {json.dumps(error)}\n\n"], done=False))
    seen = list(recording.responses.create(model="tiny", input="Hello?", stream=True))
    assert seen[-1].type == "error"

    turn = {**without_usage(STREAMED), "assistant": "Hi ", "interrupted": True}
    assert arrived() == [*OPENED, turn if texts else {**FAILED, "error": "ResponseError"}]


def test_a_response_that_failed_is_a_failed_turn(provider: Any, recording: Any, arrived: Any):
    provider.answers(response(status="failed", error={"code": "server_error", "message": "sorry"}))
    recording.responses.create(model="tiny", input="Hello?")
    assert arrived() == [*OPENED, {**FAILED, "error": "ResponseFailed", **USED}]


def test_a_stream_closed_early_keeps_what_was_seen(provider: Any, recording: Any, arrived: Any, say: Any):
    provider.answers(say.Parts(events("Hi ", "there"), done=False))
    with recording.responses.create(model="tiny", input="Hello?", stream=True) as stream:
        next(stream)
        next(stream)
    assert arrived() == [*OPENED, {**without_usage(STREAMED), "assistant": "Hi ", "interrupted": True}]


def test_the_stream_helper_works_as_before(provider: Any, recording: Any, arrived: Any, say: Any):
    whole = message("Hi there")
    item = {"output_index": 0, "item": {**whole, "content": []}}
    part = {"item_id": "m1", "output_index": 0, "content_index": 0}
    parts = [
        {"type": "response.created", "response": {**response(status="in_progress"), "usage": None}},
        {"type": "response.output_item.added", **item},
        {"type": "response.content_part.added", **part, "part": {"type": "output_text", "text": "", "annotations": []}},
        {"type": "response.output_text.delta", **part, "delta": "Hi there", "logprobs": []},
        {"type": "response.output_text.done", **part, "text": "Hi there", "logprobs": []},
        {"type": "response.completed", "response": response(whole)},
    ]
    lines = [
        f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': number})}\n\n"
        for number, event in enumerate(parts)
    ]
    provider.answers(say.Parts(lines, done=False))
    with recording.responses.stream(model="tiny", input="Hello?") as stream:
        assert stream.get_final_response().output_text == "Hi there"
    assert arrived() == [*OPENED, STREAMED]


def test_a_parsed_response_is_recorded_as_its_json(provider: Any, recording: Any, arrived: Any):
    class Place(pydantic.BaseModel):
        city: str

    provider.answers(response(message('{"city":"Oslo"}')))
    answer = recording.responses.parse(model="tiny", input="Hello?", text_format=Place)
    assert answer.output_parsed == Place(city="Oslo")
    assert arrived() == [*OPENED, {**TURN, "assistant": '{"city":"Oslo"}'}]


def test_the_beta_names_are_recorded_too(provider: Any, recording: Any, arrived: Any):
    if not hasattr(recording.beta, "responses"):
        pytest.skip("this openai has no beta.responses")
    provider.answers(response(message("Hi there")))
    recording.beta.responses.create(model="tiny", input="Hello?", betas=[])
    assert arrived() == [*OPENED, TURN]


def test_a_growing_input_is_one_conversation(provider: Any, recording: Any, arrived: Any):
    provider.answers(response(message("Hi ", "there")), response(message("Bye")))
    given = [{"role": "user", "content": "Hello?"}]
    given += recording.responses.create(model="tiny", input=given).output
    given.append({"role": "user", "content": "Bye"})
    recording.responses.create(model="tiny", input=given)
    assert arrived() == [*OPENED, TURN, {**TURN, "turn": "T2", "user": "Bye", "assistant": "Bye"}]


@pytest.mark.parametrize("conversation", ["conv_1", {"id": "conv_1"}])
def test_a_conversation_on_the_server_is_the_conversation(
    provider: Any, recording: Any, arrived: Any, conversation: Any
):
    provider.answers(response(message("Hi there")), response(message("Hi there")))
    for _ in range(2):
        recording.responses.create(model="tiny", input="Hello?", conversation=conversation)
    turns = ({**TURN, "turn": turn, "conversation": "conv_1"} for turn in ("T1", "T2"))
    assert arrived() == [OPENED[0], {**OPENED[1], "conversation": "conv_1"}, *turns]


FUNCTION = {"event": "Conversation Function", "name": "clock", "args": "{}", "result": "ten", "runtime": "ms"}
LOOP = [
    *OPENED,
    {**FUNCTION, **INSIDE},
    {**TURN, **{name: 2 * count for name, count in USED.items()}},
]


def test_a_tool_loop_with_all_items_is_one_turn(provider: Any, recording: Any, arrived: Any):
    asking = response(
        {"type": "reasoning", "id": "x1", "summary": []}, message("One moment."), call("c1", "clock", "{}")
    )
    provider.answers(asking, response(message("Hi there")))
    given = [{"role": "user", "content": "Hello?"}]
    given += recording.responses.create(model="tiny", input=given, tools=TOOLS).output
    given.append({"type": "function_call_output", "call_id": "c1", "output": "ten"})
    recording.responses.create(model="tiny", input=given, tools=TOOLS)
    assert arrived() == LOOP


def test_a_tool_loop_that_the_server_keeps_is_one_turn(provider: Any, recording: Any, arrived: Any):
    provider.answers(response(call("c1", "clock", "{}")), response(message("Hi there"), response_id="r2"))
    first = recording.responses.create(model="tiny", input="Hello?", tools=TOOLS)
    results = [{"type": "function_call_output", "call_id": "c1", "output": "ten"}]
    recording.responses.create(model="tiny", input=results, previous_response_id=first.id, tools=TOOLS)
    assert arrived() == LOOP


def test_a_tool_loop_in_a_conversation_on_the_server_is_one_turn(provider: Any, recording: Any, arrived: Any):
    provider.answers(response(call("call_a1b2c3d4", "clock", "{}")), response(message("Hi there"), response_id="r2"))
    results = [{"type": "function_call_output", "call_id": "call_a1b2c3d4", "output": "ten"}]
    for given in ("Hello?", results):
        recording.responses.create(model="tiny", input=given, conversation="conv_1", tools=TOOLS)
    assert arrived() == [LOOP[0], *({**event, "conversation": "conv_1"} for event in LOOP[1:])]


def test_a_tool_loop_that_an_agent_hands_over_to_another_is_one_turn(provider: Any, recording: Any, arrived: Any):
    provider.answers(response(call("call_a1b2c3d4", "clock", "{}")), *[response(message("Hi there"))] * 2)
    given = [{"role": "user", "content": "Hello?"}]
    given += recording.responses.create(model="tiny", input=given, instructions="You are A.", tools=TOOLS).output
    given.append({"type": "function_call_output", "call_id": "call_a1b2c3d4", "output": "ten"})
    given += recording.responses.create(model="tiny", input=given, instructions="You are B.").output
    given.append({"role": "user", "content": "And?"})
    recording.responses.create(model="tiny", input=given, instructions="You are B.")
    assert arrived() == [*LOOP, {**TURN, "turn": "T2", "user": "And?"}]


def test_an_answer_to_an_earlier_response_is_in_its_conversation(provider: Any, recording: Any, arrived: Any):
    names = ("r1", "r2", "r3", "r4")
    provider.answers(*(response(message("Hi there"), response_id=name) for name in names))
    for before in (None, None, "r1", "r3"):
        given = {"previous_response_id": before} if before else {}
        recording.responses.create(model="tiny", input="Hello?", **given)

    assert arrived() == chats([TURN] * 3, [TURN])


def test_two_answers_to_the_same_earlier_response_are_in_its_conversation(provider: Any, recording: Any, arrived: Any):
    provider.answers(*(response(message("Hi there"), response_id=name) for name in ("r1", "r2", "r3")))
    for before in (None, "r1", "r1"):
        given = {"previous_response_id": before} if before else {}
        recording.responses.create(model="tiny", input="Hello?", **given)

    assert arrived() == chats([TURN] * 3)


def test_an_answer_to_a_stream_that_was_left_is_in_its_conversation(
    provider: Any, recording: Any, arrived: Any, say: Any
):
    provider.answers(say.Parts(events("Hi ", "there", last=None)), response(message("Bye"), response_id="r2"))
    with recording.responses.create(model="tiny", input="Hello?", stream=True) as stream:
        assert next(stream).type == "response.created"
        assert next(stream).delta == "Hi "
    recording.responses.create(model="tiny", input="Bye?", previous_response_id="r1")

    left = {**without_usage(STREAMED), "assistant": "Hi ", "interrupted": True}
    assert arrived() == [*OPENED, left, {**TURN, "turn": "T2", "user": "Bye?", "assistant": "Bye"}]


def test_a_tool_loop_that_the_server_keeps_is_found_by_its_name_or_its_items_once(
    provider: Any, recording: Any, arrived: Any
):
    provider.answers(response(call("c1", "clock", "{}")), response(message("Hi there"), response_id="r2"))
    given = [{"role": "user", "content": "Hello?"}]
    given += recording.responses.create(model="tiny", input=given, tools=TOOLS).output
    given.append({"type": "function_call_output", "call_id": "c1", "output": "ten"})
    recording.responses.create(model="tiny", input=given, tools=TOOLS)
    provider.answers(response(message("Hi there"), response_id="r3"))
    recording.responses.create(model="tiny", input="And?", previous_response_id="r1", tools=TOOLS)

    assert arrived() == [*LOOP, {**TURN, "turn": "T2", "user": "And?"}]


def test_a_tool_loop_that_names_the_response_before_it_and_repeats_its_items_is_one_turn(
    provider: Any, recording: Any, arrived: Any
):
    asking = response(call("c1", "clock", "{}"), response_id="r2")
    provider.answers(response(message("Hi there")), asking, response(message("Hi there"), response_id="r3"))
    recording.responses.create(model="tiny", input="Hello?", tools=TOOLS)
    given = [{"role": "user", "content": "Hello?"}]
    given += recording.responses.create(model="tiny", input=given, previous_response_id="r1", tools=TOOLS).output
    given.append({"type": "function_call_output", "call_id": "c1", "output": "ten"})
    recording.responses.create(model="tiny", input=given, previous_response_id="r1", tools=TOOLS)

    called, turn = ({**event, "turn": "T2"} for event in LOOP[2:])
    assert arrived() == [*OPENED, TURN, called, turn]


@pytest.mark.parametrize("kept_by", ["response", "conversation", None])
def test_a_question_whether_a_tool_of_the_server_s_may_run_is_no_answer(
    provider: Any, recording: Any, arrived: Any, kept_by: str | None
):
    asked = {
        "type": "mcp_approval_request",
        "id": "mcpr_a1b2c3d4",
        "name": "roll",
        "arguments": "{}",
        "server_label": "dice",
    }
    ran = {"type": "mcp_call", "id": "t1", "name": "roll", "arguments": "{}", "server_label": "dice", "output": "4"}
    provider.answers(response(asked), response(ran, message("Hi there"), response_id="r2"))
    given = [{"role": "user", "content": "Hello?"}]
    named = {"conversation": "C1"} if kept_by == "conversation" else {}
    first = recording.responses.create(model="tiny", input=given, **named)
    allowed = {"type": "mcp_approval_response", "approve": True, "approval_request_id": "mcpr_a1b2c3d4"}
    if kept_by == "conversation":
        recording.responses.create(model="tiny", input=[allowed], **named)
    elif kept_by == "response":
        recording.responses.create(model="tiny", input=[allowed], previous_response_id=first.id)
    else:
        recording.responses.create(model="tiny", input=[*given, *first.output, allowed])
    assert arrived() == [*LOOP[:2], LOOP[3]]


def test_pictures_are_named(provider: Any, recording: Any, arrived: Any):
    provider.answers(response(message("Hi there")))
    content = [{"type": "input_text", "text": "What?"}, {"type": "input_image", "image_url": "data:" + "A" * 999}]
    recording.responses.create(model="tiny", input=[{"role": "user", "content": content}])
    assert arrived() == [*OPENED, {**TURN, "user": "What?\n[image]"}]


def test_a_background_job_is_one_turn_when_it_is_fetched(provider: Any, recording: Any, arrived: Any):
    pending = {**response(status="queued"), "usage": None}
    provider.answers(pending, {**pending, "status": "in_progress"}, response(message("Hi there")))
    job = recording.responses.create(model="tiny", input="Hello?", background=True)
    assert recording.responses.retrieve(job.id).status == "in_progress"
    assert arrived() == OPENED
    recording.with_options(timeout=3).responses.retrieve(job.id)
    assert arrived() == [*OPENED, TURN]


def test_a_background_job_that_was_cancelled_is_a_failed_turn(provider: Any, recording: Any, arrived: Any):
    pending = {**response(status="queued"), "usage": None}
    provider.answers(pending, (500, {}), {**pending, "status": "cancelled"})
    job = recording.responses.create(model="tiny", input="Hello?", background=True)
    with pytest.raises(openai.InternalServerError):
        recording.responses.retrieve(job.id)
    recording.responses.cancel(job.id)
    assert arrived() == [*OPENED, {**FAILED, "error": "ResponseCancelled"}]


def test_a_background_job_is_one_turn_when_it_is_fetched_as_a_stream(
    provider: Any, recording: Any, arrived: Any, say: Any
):
    provider.answers(
        {**response(status="queued"), "usage": None},
        say.Parts(events("Hi ", "there", last=None)),
        say.Parts(events("Hi ", "there")),
    )
    job = recording.responses.create(model="tiny", input="Hello?", background=True)
    with recording.responses.retrieve(job.id, stream=True) as stream:
        assert next(stream).type == "response.created"
    assert arrived() == OPENED
    assert len(list(recording.responses.retrieve(job.id, stream=True, starting_after=1))) == len(events("Hi ", "there"))
    assert arrived() == [*OPENED, {**TURN, "time_to_first_token_ms": "ms"}]


def test_a_background_stream_that_was_left_is_one_turn_when_the_rest_is_fetched(
    provider: Any, recording: Any, arrived: Any, say: Any
):
    provider.answers(say.Parts(events("Hi ", "there", last=None)), response(message("Hi there")))
    with recording.responses.create(model="tiny", input="Hello?", background=True, stream=True) as stream:
        next(stream)
        assert next(stream).delta == "Hi "
    assert arrived() == OPENED
    assert recording.responses.retrieve("r1").output_text == "Hi there"
    assert arrived() == [*OPENED, {**TURN, "time_to_first_token_ms": "ms"}]


@pytest.mark.parametrize("raw", ["with_raw_response", "with_streaming_response"])
def test_a_background_job_that_is_fetched_as_an_http_response(provider: Any, recording: Any, arrived: Any, raw: str):
    provider.answers({**response(status="queued"), "usage": None}, response(message("Hi there")))
    job = recording.responses.create(model="tiny", input="Hello?", background=True)
    fetch = getattr(recording.responses, raw).retrieve
    if raw == "with_raw_response":
        assert fetch(job.id).parse().output_text == "Hi there"
    else:
        with fetch(job.id) as answer:
            assert answer.parse().output_text == "Hi there"
    assert arrived() == [*OPENED, TURN]


@pytest.mark.parametrize("shown", ["", "Hi "])
def test_a_background_job_that_nobody_fetches_ends_with_its_conversation(  # noqa: PLR0917  # fixtures are given by name
    provider: Any, client: Client, recording: Any, service: Any, say: Any, shown: str
):
    given = {"model": "tiny", "input": "Hello?", "background": True}
    if shown:
        provider.answers(say.Parts(events(shown, "there", last=None)))
        with recording.responses.create(**given, stream=True) as stream:
            next(stream)
            next(stream)
    else:
        provider.answers({**response(status="queued"), "usage": None})
        recording.responses.create(**given)
    client.close(5)

    unseen = {**FAILED, "error": "NoAnswer"}
    seen = {**without_usage(STREAMED), "assistant": "Hi ", "interrupted": True}
    assert readable(sent_to(service)) == [*OPENED, seen if shown else unseen, *ENDED]


def test_what_is_done_with_a_background_job_besides_fetching_it_leaves_it_waiting(
    provider: Any, recording: Any, arrived: Any
):
    pending = {**response(status="queued"), "usage": None}
    items = {"data": [], "object": "list", "has_more": False}
    provider.answers(pending, items, response(message("Hi there")), {"id": "r1", "deleted": True})
    job = recording.responses.create(model="tiny", input="Hello?", background=True)
    list(recording.responses.input_items.list(job.id))
    assert arrived() == OPENED
    recording.responses.retrieve(job.id)
    recording.responses.delete(job.id)
    assert arrived() == [*OPENED, TURN]


def test_the_chat_goes_on_after_a_background_job(provider: Any, recording: Any, arrived: Any):
    provider.answers({**response(status="queued"), "usage": None}, *[response(message("Hi there"))] * 2)
    said = [{"role": "user", "content": "Hello?"}]
    job = recording.responses.create(model="tiny", input=said, background=True)
    said += [*recording.responses.retrieve(job.id).output, {"role": "user", "content": "And?"}]
    recording.responses.create(model="tiny", input=said)
    assert arrived() == [*OPENED, TURN, {**TURN, "turn": "T2", "user": "And?"}]


def test_a_tool_of_the_provider_s_that_the_app_runs_is_a_function_call(provider: Any, recording: Any, arrived: Any):
    click = {"button": "left", "type": "click", "x": 1, "y": 2}
    asking = {"type": "computer_call", "id": "i1", "call_id": "c1", "status": "completed", "action": click}
    provider.answers(response({**asking, "pending_safety_checks": []}), response(message("Hi there"), response_id="r2"))
    recording.responses.create(model="tiny", input="Hello?")
    screenshot = {"type": "computer_screenshot", "image_url": "data:" + "A" * 999}
    result = {"type": "computer_call_output", "call_id": "c1", "output": screenshot}
    recording.responses.create(model="tiny", input=[result], previous_response_id="r1")

    called = {**LOOP[2], "name": "computer", "args": json.dumps(click), "result": "[image]"}
    assert arrived() == [*LOOP[:2], called, LOOP[3]]


def test_a_picture_that_was_made_is_named(provider: Any, recording: Any, arrived: Any):
    provider.answers(response({"type": "image_generation_call", "id": "i1", "status": "completed", "result": "AAAA"}))
    recording.responses.create(model="tiny", input="Hello?")
    assert arrived() == [*OPENED, {**TURN, "assistant": "[image]"}]


def test_a_tool_that_ran_on_the_server_is_no_question(provider: Any, recording: Any, arrived: Any):
    ran = {"type": "shell_call", "id": "s1", "call_id": "c1", "status": "completed", "action": {"commands": ["ls"]}}
    output = {"type": "shell_call_output", "id": "s2", "call_id": "c1", "output": [], "status": "completed"}
    provider.answers(response(ran, output, message("Hi there")))
    recording.responses.create(model="tiny", input="Hello?")
    assert arrived() == [*OPENED, TURN]
