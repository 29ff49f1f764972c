"""What leaves the process, and what does not."""

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from helpers import Service, events, shape
from hypothesis import given, settings
from hypothesis import strategies as st

from mindlytics_core import Client, ConfigurationError, InvalidArgument, TokenBasedCost, redactors
from mindlytics_core._editing import MAX_TEXT_CHARS, Editor
from mindlytics_core._model import Turn
from mindlytics_core.redactors import redact_api_keys, redact_card_numbers, redact_emails


def a_talk(client: Client, user: str = "I am ada@example.org", assistant: str = "Hello") -> None:
    exchange = client.exchange(user)
    exchange.function_call("find", args='{"q": "ada@example.org"}', result="4111 1111 1111 1111", runtime=3)
    exchange.model_call("m", prompt_tokens=1, completion_tokens=1)
    exchange.finish(assistant, properties={"note": "mail ada@example.org"})


def properties(found: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (event,) = [event for event in found if event.get("event") == name]
    return event["properties"]


def test_without_content_only_lengths_leave(new_client: Callable[..., Client], service: Service):
    client = new_client(capture_content=False)
    a_talk(client, "secret question", "secret answer")
    client.exchange("another secret").fail(ValueError("secret"))
    session = client.create_session(id="jjacob")
    session.track_conversation_turn(user="top secret", assistant="", usage=TokenBasedCost("m", 1, 2))
    client.close()

    found = events(service)

    assert "secret" not in str(found)
    turn, by_hand = [e["properties"] for e in found if e.get("event") == "Conversation Turn"]
    assert (turn["user"], turn["assistant"], turn["user_chars"], turn["assistant_chars"]) == ("", "", 15, 13)
    assert (by_hand["user_chars"], by_hand["assistant_chars"], by_hand["model"]) == (10, 0, "m")
    function = properties(found, "Conversation Function")
    assert (function["args_chars"], function["result_chars"], function["name"]) == (24, 19, "find")
    assert {"args", "result"}.isdisjoint(function)
    failed = properties(found, "Turn Failed")
    assert (failed["user_chars"], failed["error"], "user" in failed) == (14, "ValueError", False)


def test_redactors_reach_every_text_of_a_conversation_and_no_trait(new_client: Callable[..., Client], service: Service):
    client = new_client(redact=redactors.ALL)
    a_talk(client)
    client.exchange("fail for ada@example.org").fail("Oops")
    session = client.create_session(id="ada@example.org")
    session.user_identify(traits={"email": "ada@example.org"})
    client.close()

    found = events(service)

    turn = properties(found, "Conversation Turn")
    assert (turn["user"], turn["note"]) == ("I am [email]", "mail [email]")
    function = properties(found, "Conversation Function")
    assert (function["args"], function["result"]) == ('{"q": "[email]"}', "[card]")
    assert properties(found, "Turn Failed")["user"] == "fail for [email]"
    (identify,) = [event for event in found if event["type"] == "identify"]
    assert (identify["id"], identify["traits"]) == ("ada@example.org", {"email": "ada@example.org"})


def test_a_redactor_that_raises_lets_nothing_out(new_client: Callable[..., Client], service: Service):
    def broken(text: str) -> str:
        raise ValueError(text)

    client = new_client(redact=[broken])
    a_talk(client)
    client.close()

    assert "Conversation Turn" not in shape(events(service))
    assert "ada@" not in str(events(service))
    assert client.stats().dropped == {"before_send": 2}


def test_before_send_sees_what_the_other_rules_have_left(new_client: Callable[..., Client]):
    seen: list[Any] = []
    client = new_client(redact=[redact_emails], before_send=lambda event: seen.append(event) or event)
    a_talk(client)

    assert seen
    assert "ada@" not in str(seen)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ada@example.org", "[email]"),
        ("<ada.l+x@mail.example.co.uk>, bob", "<[email]>, bob"),
        ("jürgen@bücher.example", "[email]"),
        ("mail:a@b.io.", "mail:[email]."),
        ("a@b", "a@b"),
        ("@handle and user@localhost", "@handle and user@localhost"),
    ],
)
def test_email_addresses(text: str, expected: str):
    assert redact_emails(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4111111111111111", "[card]"),
        ("pay 4111 1111 1111 1111 now", "pay [card] now"),
        ("5500-0000-0000-0004.", "[card]."),
        ("378282246310005", "[card]"),
        ("4111 1111 1111 1111 12/27 123", "[card] 12/27 123"),
        ("no 12 5500-0000-0000-0004 123, 4111111111111111-1", "no 12 [card] 123, [card]-1"),
        ("12 34 56 78 90 12 34 56 78 92", "12 34 56 78 90 12 34 56 78 92"),
        ("4111111111111112", "4111111111111112"),
        ("order 12345678", "order 12345678"),
        ("id a4111111111111111", "id a4111111111111111"),
    ],
)
def test_card_numbers(text: str, expected: str):
    assert redact_card_numbers(text) == expected


@pytest.mark.parametrize(
    "key",
    [
        "sk-" + "a1B2" * 8,
        "sk-proj-" + "a1_B2-" * 8 + "x",
        "sk-ant-api03-" + "a1B2" * 8,
        "sk_live_" + "a1B2" * 6,
        "ghp_" + "a1B2" * 9,
        "github_pat_" + "a1B2" * 9,
        "AKIA" + "ABCD1234" * 2,
        "AIza" + "a1B2c" * 7,
        "xoxb-" + "123456-" * 3 + "abc",
        "hf_" + "a1B2" * 8,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlc2ln",
    ],
)
def test_api_keys(key: str):
    assert redact_api_keys(f"use {key}, please") == "use [api key], please"


@pytest.mark.parametrize(
    "text", ["Bearer of bad news", "sk-short", "a risk-assessment-of-everything-there-is", "skeleton"]
)
def test_words_are_no_api_keys(text: str):
    assert redact_api_keys(text) == text


def test_a_bearer_token_goes_and_the_word_stays():
    assert redact_api_keys("Authorization: Bearer abcdefghijklmnop1234==") == "Authorization: Bearer [api key]"


@pytest.mark.parametrize("redactor", redactors.ALL)
@pytest.mark.parametrize(
    "piece", ["a", "a.", "1 ", "1", "a@", "@a.", "123 ", "sk-", "eyJ", "eyJaaaaaaaa.", "a-", "é", "\ud800"]
)
def test_no_text_makes_a_redactor_slow(redactor: Callable[[str], str], piece: str):
    started = time.process_time()
    redactor(piece * (MAX_TEXT_CHARS // len(piece)))
    assert time.process_time() - started < 5  # quadratic would be minutes; here it is milliseconds


@settings(deadline=None)
@given(st.text(), st.sampled_from(redactors.ALL))
def test_redacting_twice_changes_nothing_more(text: str, redactor: Callable[[str], str]):
    assert redactor(redactor(text)) == redactor(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x" * (MAX_TEXT_CHARS - 7) + " ada@example.org tail", id="across the cut"),
        pytest.param("ada.lovelace@example.org " * 10_000, id="more text takes the place of what was redacted"),
        pytest.param("x " + "ada@example.org " * 10_000, id="across the end of what is searched"),
    ],
)
def test_nothing_of_a_long_text_leaves_that_no_redactor_has_seen(
    new_client: Callable[..., Client], service: Service, text: str
):
    client = new_client(redact=[redact_emails])
    session = client.create_session(id="jjacob")
    session.track_conversation_turn(user=text, assistant="ok", properties={"copy": text})
    client.close()

    turn = properties(events(service), "Conversation Turn")
    for name in ("user", "copy"):
        assert "ada" not in turn[name]
        assert len(turn[name]) > 3_000
        assert turn[f"{name}_chars"] == len(text)


def test_a_conversation_is_sampled_whole_and_by_its_id_alone(new_client: Callable[..., Client], service: Service):
    client = new_client(sample_rate=0.5)
    kept = Editor(capture_content=True, redact=(), sample_rate=0.5, before_send=None).keeps
    for number in range(40):
        exchange = client.exchange("Hi")
        exchange.function_call("find")
        exchange.finish(f"answer {number}")
    session = client.create_session(id="jjacob")
    for number in range(40):
        session.track_conversation_turn(user="Hi", assistant="Hello", conversation_id=f"talk-{number}")
    session.track_event(event="Opened")
    client.close()

    found = events(service)
    stats = client.stats()

    conversations = {event["conversation_id"] for event in found if "conversation_id" in event}
    assert all(kept(conversation_id) for conversation_id in conversations)
    assert {f"talk-{number}" for number in range(40) if kept(f"talk-{number}")} <= conversations
    assert 10 < len(conversations) < 70
    for conversation_id in conversations:
        inside = [event for event in found if event.get("conversation_id") == conversation_id]
        assert shape(inside)[0] == "Conversation Started"
        assert shape(inside)[-1] == "Conversation Ended"
    # A session that was made for a conversation that is left out is left out with it.
    whole = [event["session_id"] for event in found if event["type"] == "start_session"]
    with_events = {event["session_id"] for event in found if event["type"] == "track"}
    assert set(whole) == with_events
    assert stats.accepted == stats.delivered + stats.pending + sum(stats.dropped.values())
    assert stats.dropped["sampled_out"] > 0


@pytest.mark.parametrize(("rate", "arrive"), [(0.0, False), (1.0, True)])
def test_none_or_all(new_client: Callable[..., Client], service: Service, rate: float, arrive: bool):
    client = new_client(sample_rate=rate)
    a_talk(client)
    client.close()

    assert bool(events(service)) is arrive


@settings(deadline=None)
@given(st.text(min_size=1), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_rate_keeps_what_a_lower_one_keeps(conversation_id: str, one: float, other: float):
    low, high = (
        Editor(capture_content=True, redact=(), sample_rate=rate, before_send=None) for rate in sorted((one, other))
    )
    assert high.keeps(conversation_id) or not low.keeps(conversation_id)


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        *(("sample_rate", rate) for rate in (-0.1, 1.1, float("nan"), None, "1")),
        *(("idle_timeout", seconds) for seconds in (-1, float("nan"), None, "60", True)),
        *(("continue_within", seconds) for seconds in (-1, "60")),
        *((option, "function") for option in ("before_send", "on_error", "on_drop", "redact")),
        ("redact", redact_emails),
        ("redact", ["function"]),
        ("delivery", None),
    ],
)
def test_a_wrong_option_raises_at_construction_and_names_itself(
    new_client: Callable[..., Client], option: str, wrong: Any
):
    with pytest.raises(ConfigurationError, match=option):
        new_client(**{option: wrong})


def test_nothing_is_recorded_where_everything_is_switched_off(
    monkeypatch: pytest.MonkeyPatch, new_client: Callable[..., Client], service: Service
):
    monkeypatch.setenv("MLSDK_DISABLED", "1")
    client = new_client()
    a_talk(client)
    with client.create_session(id="jjacob") as session:
        session.track_conversation_turn(user="Hi", assistant="Hello")
        with pytest.raises(InvalidArgument):
            session.track_event(event="")

    assert events(service) == []
    assert client.stats().accepted == 0


HUGE = "ü" * 10_000_000


@pytest.mark.parametrize("side", ["user", "assistant"])
def test_ten_megabytes_are_cut_and_their_length_is_kept(client: Client, service: Service, side: str):
    session = client.create_session(id="jjacob")
    session.track_conversation_turn(**{"user": "short", "assistant": "short", side: HUGE})
    assert client.flush_sync()

    turn = properties(events(service), "Conversation Turn")
    assert turn[side] == HUGE[:MAX_TEXT_CHARS]
    assert turn[f"{side}_chars"] == 10_000_000
    assert turn["truncated_chars"] == 10_000_000 - MAX_TEXT_CHARS


def test_every_other_long_text_is_cut_too(client: Client, service: Service):
    session = client.create_session(id="jjacob", attributes={"long": HUGE})
    session.track_event(event="Opened", properties={"long": HUGE, "short": "x"})
    session.track_function_call(name="find", args=HUGE, result=HUGE, properties={"long": HUGE})
    session.user_identify(traits={"long": HUGE})
    assert client.flush_sync()

    found = events(service)
    assert found[0]["attributes"]["long_chars"] == 10_000_000
    assert properties(found, "Opened")["long_chars"] == 10_000_000
    assert properties(found, "Opened")["short"] == "x"
    function = properties(found, "Conversation Function")
    assert {function[f"{name}_chars"] for name in ("args", "result", "long")} == {10_000_000}
    assert function["truncated_chars"] == 3 * (10_000_000 - MAX_TEXT_CHARS)
    assert found[-1]["traits"]["long_chars"] == 10_000_000


def test_what_before_send_makes_long_is_cut_again_and_keeps_its_own_length(
    new_client: Callable[..., Client], service: Service
):
    longer = {"user": "z" * (MAX_TEXT_CHARS + 2), "properties": {"long": "z" * (MAX_TEXT_CHARS + 1)}}
    client = new_client(before_send=lambda event: event.replace(**longer) if isinstance(event, Turn) else event)
    client.create_session(id="jjacob").track_conversation_turn(user=HUGE, assistant="short")
    assert client.flush_sync()

    turn = properties(events(service), "Conversation Turn")
    assert len(turn["user"]) == len(turn["long"]) == MAX_TEXT_CHARS
    assert (turn["user_chars"], turn["long_chars"], turn["truncated_chars"]) == (
        MAX_TEXT_CHARS + 2,
        MAX_TEXT_CHARS + 1,
        3,
    )


def test_what_is_cut_of_a_text_is_never_written(client: Client):
    session = client.create_session(id="jjacob")
    session.track_conversation_turn(user="a", assistant="b")
    tracemalloc.start()
    session.track_conversation_turn(user=HUGE, assistant="short")
    session.track_function_call(name="find", args=HUGE, result=HUGE)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most < len(HUGE) / 4
