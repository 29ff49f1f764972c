"""What counts as the question and as the answer, in whatever shape LangChain hands it over."""

import dataclasses
import datetime as dt
import enum
import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, Generation, LLMResult
from langchain_core.prompt_values import ChatPromptValue
from langgraph.types import Command
from pydantic import BaseModel

from mindlytics_langchain._ids import as_id, call_ids, framework_ids
from mindlytics_langchain._json import as_json
from mindlytics_langchain._messages import History, text_of
from mindlytics_langchain._question_answer import answered, asked, asks_for_tools, is_resume, whole_input, whole_output
from mindlytics_langchain._tools import outcome
from mindlytics_langchain._usage import read_result

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain", "plain"),
        (["one", {"type": "text", "text": "two"}], "one\ntwo"),
        ([{"type": "text", "text": "What is it?"}, IMAGE], "What is it?\n[image]"),
        ([{"type": "image", "base64": "QUJD", "mime_type": "image/png"}], "[image]"),
        ([{"type": "input_audio", "input_audio": {"data": "QUJD"}}], "[audio]"),
        ([{"type": "file", "file": {"file_data": "QUJD"}}], "[file]"),
        ([{"type": "reasoning", "reasoning": "hm"}, {"type": "tool_use", "name": "x"}], ""),
        ([{"type": 7}, {"no": "type"}, {"type": "text", "text": None}], ""),
    ],
)
def test_what_a_person_says_is_text_with_names_for_the_rest(content: Any, text: str):
    message = HumanMessage("")
    message.content = content

    assert text_of(message) == text


def test_the_pieces_of_an_answer_belong_together():
    blocks: list[Any] = [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "Hello "},
        {"type": "text", "text": "there"},
    ]

    assert text_of(AIMessage(blocks)) == "Hello there"


@dataclasses.dataclass
class State:
    messages: list[Any]


class Model(BaseModel):
    messages: list[Any] = []
    number: int = 7


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (None, None),
        ("Hi", None),
        ({"question": "Hi"}, None),
        ({}, None),
        ([HumanMessage("Hi"), AIMessage("Hello"), HumanMessage("And?")], "And?"),
        ({"messages": [("system", "s"), ("user", "Hi")]}, "Hi"),
        ({"messages": [{"role": "user", "content": "Hi"}]}, "Hi"),
        ({"messages": {"role": "user", "content": "Hi"}}, "Hi"),
        ({"messages": ("user", "Hi")}, "Hi"),
        ({"messages": "Hi"}, "Hi"),
        ({"messages": [AIMessage("A greeting")]}, None),
        ({"messages": [{"role": "nobody", "content": "x"}, HumanMessage("Hi")]}, "Hi"),
        ({"messages": 7}, None),
        ({"chat": [HumanMessage("Hi")]}, "Hi"),
        ({"history": [HumanMessage("Hi"), AIMessage("Hello")], "input": "And?"}, None),
        (State([HumanMessage("Hi")]), "Hi"),
        (Model(messages=[HumanMessage("Hi")]), "Hi"),
        (ChatPromptValue(messages=[HumanMessage("Hi")]), "Hi"),
        (HumanMessage("Hi"), "Hi"),
        (Command(resume="yes"), None),
    ],
)
def test_the_question_is_the_last_human_message(given: Any, text: str | None):
    assert asked(given) == text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("Hi", "Hi"),
        ({"topic": "bears"}, "bears"),
        ({"question": "Hi", "language": "en"}, "Hi"),
        ([{"type": "text", "text": "What is it?"}, IMAGE], "What is it?\n[image]"),
        ({"question": [{"type": "text", "text": "What is it?"}, IMAGE], "n": 1}, "What is it?\n[image]"),
        ({"picture": "data:image/png;base64,QUJD"}, "[image]"),
        ("data: all of it / a part", "data: all of it / a part"),
        ({"a": 1, "b": "x", "c": "y"}, '{"a": 1, "b": "x", "c": "y"}'),
        ({}, ""),
        (None, ""),
        (Command(resume="yes"), ""),
    ],
)
def test_without_messages_the_input_is_the_question(given: Any, text: str):
    assert whole_input(given) == text


CALL = {"name": "add", "args": {"a": 1}, "id": "1"}


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (None, None),
        ("Hello", "Hello"),
        ("", ""),
        (AIMessage("Hello"), "Hello"),
        ({"messages": [HumanMessage("a"), AIMessage("b"), HumanMessage("c"), AIMessage("d")]}, "d"),
        ({"messages": [HumanMessage("a"), AIMessage("b"), HumanMessage("c")]}, None),
        ({"messages": [HumanMessage("a"), AIMessage("", tool_calls=[CALL]), ToolMessage("3", tool_call_id="1")]}, "3"),
        ({"messages": [AIMessage("a")], "structured_response": Model()}, '{"messages": [], "number": 7}'),
        ({"question": "Hi", "answer": "Hello"}, "Hello"),
        ({"answer": "Hello", "source": "a book"}, "Hello"),
        ({"answer": AIMessage("Hello"), "documents": []}, "Hello"),
        (
            [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}],
            "Hello",
        ),
        ({"answer": [{"type": "text", "text": "Hello", "index": 0}], "steps": 2}, "Hello"),
        ([{"type": "text", "text": "Hello"}, {"type": "pizza", "size": 3}], None),
        ({"joke": "one", "poem": "two"}, None),
        ({"question": "Hi"}, None),
        (
            {"raw": AIMessage("", tool_calls=[CALL]), "parsed": Model(), "parsing_error": None},
            '{"messages": [], "number": 7}',
        ),
        ({"raw": AIMessage("What?"), "parsed": None, "parsing_error": ValueError()}, "What?"),
        ({"raw": AIMessage("", tool_calls=[CALL]), "parsed": None, "parsing_error": ValueError()}, None),
        (Model(), None),
        (7, None),
    ],
)
def test_the_answer_is_the_evident_text_of_the_output(output: Any, text: str | None):
    assert answered(output, {"question": "Hi"}) == text


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ({"joke": "one", "poem": AIMessage("two")}, '{"joke": "one", "poem": "two"}'),
        (Model(), '{"messages": [], "number": 7}'),
        (7, "7"),
        (None, None),
        ({}, None),
        ([], None),
        ({"question": "Hi"}, None),
        ([HumanMessage("Hi")], None),
    ],
)
def test_an_output_without_evident_text_is_its_json(output: Any, text: str | None):
    assert whole_output(output, {"question": "Hi"}) == text


def test_a_request_for_tools_is_no_answer():
    asking = AIMessage("", tool_calls=[CALL])

    assert asks_for_tools({"messages": [HumanMessage("Hi"), asking]}) is asking
    assert asks_for_tools(AIMessage("Hello")) is None
    assert asks_for_tools("Hello") is None


def test_a_graph_is_resumed_by_a_command_or_by_nothing():
    assert is_resume(None)
    assert is_resume(Command(resume="yes"))
    assert not is_resume({"messages": []})


class Colour(enum.Enum):
    RED = "red"


class Unwilling:
    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


def test_anything_has_a_json():
    cycle: dict[str, Any] = {}
    cycle["again"] = cycle
    value = {
        "when": dt.date(2026, 1, 2),
        "colour": Colour.RED,
        "state": State([1]),
        "set": {1},
        "no": float("nan"),
        "bytes": b"QUJD",
        "address": IMAGE["image_url"],
        "picture": {"type": "image", "base64": "QUJD"},
        "sound": {"data": "QUJD", "format": "wav"},
        "numbers": {"data": [1], "base64": None},
        "unwilling": Unwilling(),
        (1, 2): None,
    }

    assert json.loads(as_json(value)) == {
        "when": "2026-01-02",
        "colour": "red",
        "state": {"messages": [1]},
        "set": [1],
        "no": "nan",
        "bytes": "[bytes]",
        "address": {"url": "[image]"},
        "picture": {"type": "image", "base64": "[data]"},
        "sound": {"data": "[data]", "format": "wav"},
        "numbers": {"data": [1], "base64": None},
        "unwilling": "[Unwilling]",
        "[tuple]": None,
    }
    assert as_json(cycle).endswith('"[dict]"' + "}" * 12)


@pytest.mark.parametrize(
    ("output", "result", "error"),
    [
        ("3", "3", None),
        (4, "4", None),
        (None, None, None),
        ({"a": Unwilling()}, '{"a": "[Unwilling]"}', None),
        ([{"type": "text", "text": "a"}, IMAGE], "a\n[image]", None),
        (ToolMessage("3", tool_call_id="1"), "3", None),
        (ToolMessage("no", tool_call_id="1", status="error"), "no", "ToolException"),
        (Command(update={"messages": [ToolMessage("done", tool_call_id="1")]}), "done", None),
        ([ToolMessage("a", tool_call_id="1"), ToolMessage("b", tool_call_id="2")], "a\nb", None),
    ],
)
def test_a_tool_s_result_is_text(output: Any, result: str | None, error: str | None):
    assert outcome(output) == (result, error)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (None, (None, None, None, None)),
        ({"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}, (1, 2, None, None)),
        (
            {
                "input_tokens": 5,
                "output_tokens": 6,
                "input_token_details": {"cache_read": 3},
                "output_token_details": {"reasoning": 4},
            },
            (5, 6, 3, 4),
        ),
        ({"total_cost": 0}, (0, 0, None, None)),
        ({"input_tokens": 1, "output_tokens": 2, "total_cost": 0}, (0, 0, None, None)),
        ({"input_tokens": 1, "input_token_details": None}, (1, None, None, None)),
    ],
)
def test_usage_is_read_whatever_is_missing(usage: Any, tokens: tuple[Any, ...]):
    message = AIMessage("Hello", response_metadata={"model": "tiny-1"})
    message.usage_metadata = usage

    result = read_result(LLMResult(generations=[[ChatGeneration(message=message)]]))

    assert result[:2] == ("tiny-1", "Hello")
    assert result[3:7] == tokens


def test_older_models_tell_their_usage_beside_the_answer():
    output = {"token_usage": {"prompt_tokens": 1, "completion_tokens": 2}, "model_name": "old-1"}

    result = read_result(LLMResult(generations=[[Generation(text="a"), Generation(text="b")]], llm_output=output))

    assert (result.model, result.text, result.prompt_tokens, result.completion_tokens) == ("old-1", "a", 1, 2)
    assert result.choices == 2


@pytest.mark.parametrize("response", [None, LLMResult(generations=[]), LLMResult(generations=[[]])])
def test_a_result_may_be_empty(response: LLMResult | None):
    assert read_result(response).text == ""


def test_messages_are_told_apart_by_their_pictures_and_calls():
    other = {"type": "image_url", "image_url": {"url": "data:image/png;base64,REVG"}}
    same_words = [HumanMessage([{"type": "text", "text": "What?"}, picture]) for picture in (IMAGE, other)]  # type: ignore[list-item]
    calls = [AIMessage("", tool_calls=[{**CALL, "args": {"a": n}}]) for n in (1, 2)]

    assert len({message.text for message in History([*same_words, *calls])}) == 4
    assert [message.role for message in History([SystemMessage("s"), ToolMessage("t", tool_call_id="1")])] == [
        "system",
        "tool",
    ]


def test_ids_are_texts_and_numbers():
    assert [as_id(value) for value in ("a", 7, "", None, True, 1.5, [])] == ["a", "7", None, None, None, None, None]
    assert call_ids({"mindlytics_user_id": 7}).user_id == "7"
    found = framework_ids(None, {"session_id": "s", "user_id": "u"}, {"user_id": "other"})
    assert (found.user_id, found.session_id, found.conversation_id) == ("u", "s", "s")
