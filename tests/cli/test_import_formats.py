"""What each format's records become."""

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindlytics_cli.importing._framing import Piece
from mindlytics_cli.importing._past import Unreadable
from mindlytics_cli.importing._records import Reading
from mindlytics_core import Event, _shapes, _wire

UNDATED = datetime(2020, 1, 1, tzinfo=UTC)
AT = "2025-01-31T12:00:00+00:00"


def events(record: Any, form: str = "auto", user_id: str | None = None, number: int = 1) -> list[dict[str, Any]]:
    """The record's events as they will be on the wire."""
    text = record if isinstance(record, bytes) else json.dumps(record).encode()
    read: list[Event] = Reading(form, user_id, UNDATED).events(Piece(number, 1, text))
    return [json.loads(_wire.encode(event)) for event in read]


def names(found: list[dict[str, Any]]) -> list[str]:
    return [event.get("event", event["type"]) for event in found]


def turns(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event["properties"] for event in found if event.get("event") == "Conversation Turn"]


def fault(record: Any, form: str = "auto") -> str:
    with pytest.raises(Unreadable) as caught:
        events(record, form)
    return str(caught.value)


OWN = {
    "conversation_id": "c-1",
    "session_id": "s-1",
    "user_id": "jjacob",
    "started_at": "2025-01-31T13:00:00+01:00",
    "ended_at": 1738325000,
    "attributes": {"channel": "web"},
    "properties": {"topic": "orders"},
    "turns": [
        {
            "user": "Where is my order?",
            "assistant": "On its way.",
            "timestamp": "2025-01-31T12:00:05Z",
            "assistant_id": "bot",
            "usage": {"model": "gpt-4o", "prompt_tokens": 42, "completion_tokens": 11},
            "functions": [{"name": "find_order", "args": {"id": 7}, "result": "shipped", "runtime": 12}],
            "properties": {"rating": 5},
        },
        {"user": "Thanks"},
    ],
}


def test_the_project_s_own_format_is_kept_whole():
    found = events(OWN)

    assert names(found) == [
        "start_session",
        "Conversation Started",
        "Conversation Function",
        "Conversation Turn",
        "Turn Failed",
        "Conversation Ended",
        "end_session",
    ]
    assert {event["session_id"] for event in found} == {"s-1"}
    assert {event["user_id"] for event in found} == {"jjacob"}
    assert {event["conversation_id"] for event in found if "conversation_id" in event} == {"c-1"}
    assert found[0]["attributes"] == {"imported_from": "conversations", "channel": "web"}
    assert found[1]["properties"] == {"topic": "orders"}
    assert found[2]["properties"] == {"name": "find_order", "args": '{"id": 7}', "result": "shipped", "runtime": 12}
    assert found[3]["properties"] == {
        "user": "Where is my order?",
        "assistant": "On its way.",
        "assistant_id": "bot",
        "model": "gpt-4o",
        "prompt_tokens": 42,
        "completion_tokens": 11,
        "rating": 5,
    }
    assert found[4]["properties"] == {"user": "Thanks", "error": "NoAnswer"}
    times = [event["timestamp"][11:19] for event in found]
    assert times == ["12:00:00", "12:00:00", "12:00:00", "12:00:05", "12:00:05", "12:03:20", "12:03:20"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"turns": []}, "turns"),
        ({"turns": [{"assistant": "x"}]}, "turns.0.user: is missing"),
        ({"turns": [{"user": "x", "asistant": "y"}]}, "turns.0.asistant: is no field of this format"),
        ({"started_at": "yesterday"}, "started_at must be ISO 8601"),
        ({"started_at": "2025-01-31T12:00:00"}, "started_at must name its offset"),
        ({"ended_at": 1e300}, "ended_at must be ISO 8601"),
        ({"properties": {"a": {"b": 1}}}, "properties.a"),
        ({"user_id": "u" * 101}, "id"),
    ],
)
def test_what_is_wrong_with_a_conversation_is_said_by_its_field(change: dict[str, Any], said: str):
    assert said in fault(OWN | change)


def test_a_wire_event_goes_out_as_it_was_and_without_what_the_service_added():
    sent = {
        "type": "track",
        "event": "Conversation Turn",
        "session_id": "s",
        "user_id": "u",
        "conversation_id": "c",
        "timestamp": AT,
        "properties": {"user": "Hi", "assistant": "Hello", "turn_id": "t", "model": "m", "prompt_tokens": 1},
    }

    assert events(sent | {"seq": 7, "event_id": "e", "received_at": AT}) == [sent]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "start_session", "id": "u", "user_id": "u", "attributes": {"a": 1}},
        {"type": "end_session", "user_id": "u"},
        {"type": "identify", "id": "u", "device_id": "d", "traits": {"a": "b"}},
        {"type": "alias", "id": "u", "previous_id": "v", "user_id": "v"},
        {"type": "track", "event": "Own", "properties": {"a": True}},
        {"type": "track", "event": "Conversation Started", "conversation_id": "c"},
        {"type": "track", "event": "Conversation Ended", "conversation_id": "c", "properties": {"a": 1}},
        {"type": "track", "event": "Conversation Usage", "conversation_id": "c", "properties": {"cost": 0.5, "x": 1}},
        {
            "type": "track",
            "event": "Conversation Function",
            "conversation_id": "c",
            "properties": {"name": "f", "args": "{}", "result": "r", "runtime": 3, "turn_id": "t"},
        },
    ],
    ids=lambda event: event.get("event", event["type"]),
)
def test_every_kind_of_wire_event_survives_the_way(event: dict[str, Any]):
    whole = {"session_id": "s", "timestamp": AT} | event

    assert events(whole) == [whole]


def test_a_wire_event_without_a_time_is_refused():
    assert "timestamp" in fault({"type": "end_session", "session_id": "s"})


CHAT = {
    "messages": [
        {"role": "system", "content": "You are a bot."},
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url"}]},
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [{"id": "1", "function": {"name": "look", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "a cat"},
        {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": "Thanks."},
        {"role": "user", "content": "Bye."},
        {"role": "assistant", "content": "Bye!"},
    ]
}


def test_chat_messages_become_turns_with_their_tools():
    found = events(CHAT | {"model": "gpt-4o", "usage": {"prompt_tokens": 5, "completion_tokens": 6}}, user_id="u")

    assert turns(found) == [
        {"user": "What is this?\n[image]", "assistant": "A cat."},
        {
            "user": "Thanks.\n\nBye.",
            "assistant": "Bye!",
            "model": "gpt-4o",
            "prompt_tokens": 5,
            "completion_tokens": 6,
        },
    ]
    assert found[2]["properties"] == {"name": "look", "args": "{}", "result": "a cat"}
    assert {event["user_id"] for event in found} == {"u"}
    assert {event["timestamp"] for event in found} == {"2020-01-01T00:00:00.000000+00:00"}


def test_a_chat_without_an_id_gets_the_same_one_every_time_and_its_double_another():
    first, again, double = events(CHAT), events(CHAT), events(CHAT, number=2)

    assert first == again
    assert first[0]["session_id"] != double[0]["session_id"]
    assert first[0]["device_id"] == first[0]["session_id"]


def test_a_chat_completion_is_read_with_its_request():
    found = events(
        {
            "request": {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "user": "jjacob"},
            "response": {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1738324800,
                "model": "gpt-4o-2024-08-06",
                "choices": [{"message": {"role": "assistant", "content": "Hello!"}}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 2},
            },
        }
    )

    assert turns(found) == [
        {
            "user": "Hi",
            "assistant": "Hello!",
            "model": "gpt-4o-2024-08-06",
            "prompt_tokens": 3,
            "completion_tokens": 2,
        }
    ]
    assert {(event["session_id"], event["user_id"]) for event in found} == {("chatcmpl-1", "jjacob")}
    assert found[0]["timestamp"].startswith("2025-01-31T12:00:00")


def test_a_response_is_read_with_its_request():
    found = events(
        {
            "request": {"input": "Hi"},
            "response": {
                "created_at": 1738324800,
                "model": "gpt-5",
                "output": [
                    {"type": "reasoning", "summary": []},
                    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "c", "output": "7"},
                    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Seven."}]},
                ],
                "usage": {"input_tokens": 3, "output_tokens": 2},
            },
        }
    )

    assert found[2]["properties"] == {"name": "f", "args": "{}", "result": "7"}
    assert turns(found) == [
        {"user": "Hi", "assistant": "Seven.", "model": "gpt-5", "prompt_tokens": 3, "completion_tokens": 2}
    ]


def node(own: str, parent: str | None, role: str, text: str, at: float | None = None, **more: Any) -> dict[str, Any]:
    author = {"role": role, "name": more.pop("name", None)}
    content = {"content_type": more.pop("kind", "text"), "parts": [text]}
    message = {"id": own, "author": author, "content": content, "create_time": at, **more}
    return {"id": own, "parent": parent, "children": [], "message": message}


EXPORT = {
    "title": "A cat",
    "create_time": 1738324800.5,
    "conversation_id": "c-1",
    "current_node": "7",
    "mapping": {
        "root": {"id": "root", "parent": None, "children": ["0"], "message": None},
        "0": node("0", "root", "system", ""),
        "1": node("1", "0", "user", "First try", 1738324801),
        "2": node("2", "0", "user", "What is it?", 1738324802),
        "3": node("3", "2", "assistant", "thinking", 1738324803, kind="thoughts"),
        "4": node("4", "3", "assistant", "print(1)", 1738324804, recipient="python"),
        "5": node("5", "4", "tool", "1", 1738324805, name="python"),
        "6": node("6", "2", "assistant", "An older answer", 1738324806),
        "7": node("7", "5", "assistant", "One.", 1738324807, metadata={"model_slug": "gpt-4o"}),
    },
}


def test_of_a_chatgpt_export_the_branch_that_the_user_saw_is_taken():
    found = events(EXPORT)

    assert turns(found) == [{"user": "What is it?", "assistant": "One.", "model": "gpt-4o"}]
    assert found[1]["properties"] == {"title": "A cat"}
    assert found[2]["properties"] == {"name": "python", "args": "print(1)", "result": "1"}
    assert [event["timestamp"][17:23] for event in found] == [
        "00.500",
        "00.500",
        "05.000",
        "07.000",
        "07.000",
        "07.000",
    ]


def test_without_a_current_node_the_latest_leaf_is_taken():
    assert turns(events(EXPORT | {"current_node": None})) == turns(events(EXPORT))


def test_a_tree_that_bites_its_tail_is_refused():
    mapping = {"1": node("1", "2", "user", "a"), "2": node("2", "1", "assistant", "b")}

    assert "lead nowhere" in fault({"mapping": mapping, "current_node": "1"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"{", "is not JSON"),
        (b"\xff", "is not UTF-8"),
        (b"[]", "no object"),
        (b"{}", "none of the fields"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"turns": 1' + b"0" * 5_000 + b"}", "a number too long"),
    ],
)
def test_what_is_no_record_at_all_is_said(text: bytes, said: str):
    assert said in fault(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool", "system"]) | VALUES},
    optional=dict.fromkeys(["content", "tool_calls", "tool_call_id", "name", "usage", "model", "timestamp"], VALUES),
)
NODES = st.fixed_dictionaries(
    {"parent": st.sampled_from(["a", "b", None]), "message": MESSAGES | VALUES}, optional={"children": VALUES}
)
RECORDS = st.one_of(
    st.fixed_dictionaries({"messages": st.lists(MESSAGES, max_size=4)}, optional={"usage": VALUES, "id": VALUES}),
    st.fixed_dictionaries({"mapping": st.dictionaries(st.sampled_from("ab"), NODES), "current_node": VALUES}),
    st.fixed_dictionaries({"turns": VALUES | st.lists(st.dictionaries(st.sampled_from(["user", "usage"]), VALUES))}),
    st.fixed_dictionaries({"request": VALUES, "response": VALUES}),
    st.fixed_dictionaries({"type": VALUES, "session_id": VALUES, "event": VALUES, "properties": VALUES}),
    st.dictionaries(st.text(max_size=5), VALUES),
)


@given(RECORDS, st.sampled_from(["auto", "conversations", "chatgpt", "openai", "events"]))
def test_whatever_a_record_holds_it_is_read_or_explained(record: Any, form: str):
    found: list[dict[str, Any]] = []
    with contextlib.suppress(Unreadable):
        found = events(record, form)

    assert all(_shapes.check(event) for event in found)
