"""Which conversation an exchange continues, and when a conversation ends by itself."""

import gc
import resource
import sys
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest
from desk import Desk
from helpers import shape

from mindlytics_core import Ids, Message, Session, _conversations, _lifecycle, _open_sessions, conversation

HELLO = [Message("user", "Hi")]


def times(desk: Desk, *names: str) -> list[float]:
    """When the events of these names happened, in seconds since the desk's start."""
    start = 1_700_000_000.0
    return [
        round(datetime.fromisoformat(event["timestamp"]).astimezone(UTC).timestamp() - start, 3)
        for event in desk.events
        if (event.get("event") or event["type"]) in names
    ]


def follow_up(answer: str) -> list[Message]:
    return [*HELLO, Message("assistant", answer), Message("user", "And?")]


def test_a_conversation_that_was_opened_for_a_run_ends_with_it():
    desk = Desk()
    desk.exchange().finish("Hello")

    assert shape(desk.events) == [
        "start_session",
        "Conversation Started",
        "Conversation Turn",
        "Conversation Ended",
        "end_session",
    ]


def test_with_a_wait_it_goes_on_with_a_run_that_repeats_it_and_ends_with_the_time_of_its_last_turn():
    desk = Desk()
    desk.exchange(messages=HELLO, continue_within=100).finish("Hello")
    desk.pass_time(99)
    desk.exchange(messages=follow_up("Hello"), continue_within=100).finish("Yes")
    desk.pass_time(99.9)
    assert "Conversation Ended" not in shape(desk.events)
    desk.pass_time(0.1)

    assert shape(desk.events).count("Conversation Turn") == 2
    assert shape(desk.events)[-2:] == ["Conversation Ended", "end_session"]
    assert times(desk, "Conversation Started") == [0]
    assert times(desk, "Conversation Ended", "end_session") == [99, 99]


@pytest.mark.parametrize(
    "other",
    [
        {"messages": [Message("user", "Other"), Message("assistant", "Hello"), Message("user", "And?")]},
        {"messages": [Message("system", "New"), *HELLO, Message("assistant", "Hello"), Message("user", "And?")]},
        {"messages": follow_up("Another answer")},
        {"messages": follow_up("Hello"), "ids": Ids(user_id="somebody else")},
        {"messages": HELLO},
    ],
)
def test_what_does_not_repeat_it_is_another_conversation(other):
    desk = Desk()
    desk.exchange(messages=HELLO, continue_within=100).finish("Hello")
    desk.exchange(**other, continue_within=100).finish("Yes")

    assert shape(desk.events).count("Conversation Started") == 2


def test_a_history_that_repeats_an_ended_conversation_starts_a_new_one():
    desk = Desk()
    desk.exchange(messages=HELLO, continue_within=100).finish("Hello")
    desk.pass_time(101)
    desk.exchange(messages=follow_up("Hello"), continue_within=100).finish("Yes")

    assert shape(desk.events).count("Conversation Started") == 2
    assert len({event["session_id"] for event in desk.events}) == 2


def test_a_named_conversation_stays_open_across_runs_and_starts_once():
    desk = Desk()
    for _ in range(3):
        desk.exchange(Ids(user_id="ann", conversation_id="thread")).finish("Hello")
        desk.pass_time(1000)

    assert shape(desk.events) == ["start_session", "Conversation Started", *3 * ["Conversation Turn"]]
    desk.pass_time(800)
    assert shape(desk.events)[-2:] == ["Conversation Ended", "end_session"]
    assert times(desk, "Conversation Ended") == [2000]


def test_a_run_in_progress_is_no_silence():
    desk = Desk(idle_timeout=100)
    exchange = desk.exchange(Ids(session_id="visit", conversation_id="thread"))
    desk.pass_time(1000)
    exchange.finish("At last")
    assert shape(desk.events) == ["Conversation Started", "Conversation Turn"]
    desk.pass_time(99)
    assert shape(desk.events)[-1] == "Conversation Turn"
    desk.pass_time(2)

    assert shape(desk.events)[2:] == ["Conversation Ended", "end_session"]


def test_a_conversation_of_a_busy_session_ends_by_itself_too():
    desk = Desk(idle_timeout=100)
    session = desk.session(id="ann")
    session.track_conversation_turn(user="a", assistant="b", conversation_id="quiet")
    for _ in range(4):
        desk.pass_time(40)
        session.track_conversation_turn(user="a", assistant="b", conversation_id="busy")

    ended = [event["conversation_id"] for event in desk.events if event.get("event") == "Conversation Ended"]
    assert ended == ["quiet"]
    assert times(desk, "Conversation Ended") == [0]


def test_a_session_that_was_idle_goes_on_under_its_id_when_its_user_comes_back():
    desk = Desk(idle_timeout=100)
    session = desk.session(id="ann")
    session.track_conversation_turn(user="a", assistant="b")
    desk.pass_time(101)
    session.track_conversation_turn(user="c", assistant="d")
    session.end_session()

    visit = ["start_session", "Conversation Started", "Conversation Turn", "Conversation Ended", "end_session"]
    assert shape(desk.events) == 2 * visit
    assert {event["session_id"] for event in desk.events} == {session.session_id}
    assert len({event["conversation_id"] for event in desk.events if "conversation_id" in event}) == 2


def test_at_the_end_of_the_process_everything_is_ended_as_of_its_last_event():
    desk = Desk()
    desk.session(id="ann").track_conversation_turn(user="a", assistant="b")
    desk.exchange(Ids(conversation_id="thread")).finish("Hello")
    desk.exchange(messages=HELLO, continue_within=1800).finish("Hello")
    desk.pass_time(50)
    desk.book.end_at_exit()

    assert shape(desk.events).count("Conversation Ended") == shape(desk.events).count("end_session") == 3
    assert set(times(desk, "Conversation Ended", "end_session")) == {0}


def test_what_the_app_has_named_can_be_left_open_at_the_end_of_the_process():
    desk = Desk(end_on_exit=False)
    desk.session(session_id="visit").track_conversation_turn(user="a", assistant="b")
    desk.exchange(Ids(conversation_id="thread")).finish("Hello")
    desk.exchange(messages=HELLO, continue_within=1800).finish("Hello")
    desk.book.end_at_exit()

    ended = [event["session_id"] for event in desk.events if event["type"] == "end_session"]
    assert len(ended) == 1
    assert ended != ["visit"]


def test_ids_of_the_call_win_in_a_session_of_somebody_else():
    desk = Desk()
    with desk.session(session_id="visit", id="ann"):
        desk.exchange().finish("Hello ann")
        desk.exchange(Ids(user_id="bob")).finish("Hello bob")
        desk.exchange().finish("Hello again")

    turns = [e for e in desk.events if e.get("event") == "Conversation Turn"]
    assert [event["user_id"] for event in turns] == ["ann", "bob", "ann"]
    for turn in turns:
        inside = [e for e in desk.events if e.get("conversation_id") == turn["conversation_id"]]
        assert {event["user_id"] for event in inside} == {turn["user_id"]}


def test_identify_inside_a_block_reaches_its_exchanges():
    desk = Desk()
    with desk.session(device_id="kiosk") as session:
        session.user_identify(id="jane")
        desk.exchange().finish("Hello")

    assert [e["user_id"] for e in desk.events if e.get("event") == "Conversation Turn"] == ["jane"]


def test_the_wall_clock_may_jump_back_and_no_end_stands_before_its_turns():
    desk = Desk()
    session = desk.session(id="ann")
    session.track_conversation_turn(user="a", assistant="b")
    desk.pass_time(1, wall=-3600)
    session.track_conversation_turn(user="c", assistant="d")
    desk.book.end_at_exit()

    assert times(desk, "Conversation Turn") == [0, -3600]
    assert times(desk, "Conversation Ended", "end_session") == [0, 0]


def test_beyond_the_bound_the_quietest_conversation_ends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_conversations, "MOST_OPEN", 3)
    desk = Desk()
    for name in "abcd":
        desk.exchange(Ids(conversation_id=name)).finish("Hello")

    assert [e["conversation_id"] for e in desk.events if e.get("event") == "Conversation Ended"] == ["a"]


def test_beyond_the_bound_the_quietest_sessions_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_open_sessions, "MOST_OPEN", 10)
    desk = Desk()
    sessions = [desk.session(session_id=f"s{number}") for number in range(11)]
    for session in sessions:
        session.track_event(event="Opened")
        desk.now += 1
    sessions[0].track_event(event="Busy")
    desk.run_timers()

    assert [e["session_id"] for e in desk.events if e["type"] == "end_session"] == ["s1", "s2"]


def test_beyond_the_bound_the_quietest_conversation_of_one_session_ends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_lifecycle, "MOST_OPEN", 3)
    session = (desk := Desk()).session(id="ann")
    for name in "abcad":
        session.track_conversation_turn(user="x", assistant="y", conversation_id=name)

    assert [e["conversation_id"] for e in desk.events if e.get("event") == "Conversation Ended"] == ["b"]


def test_a_scope_ends_its_conversation_when_it_is_left():
    desk = Desk()
    with conversation(user_id="ann", properties={"topic": "orders"}):
        desk.exchange().finish("one")
        desk.exchange().finish("two")
        assert "Conversation Ended" not in shape(desk.events)

    assert shape(desk.events)[1:] == [
        "Conversation Started",
        "Conversation Turn",
        "Conversation Turn",
        "Conversation Ended",
        "end_session",
    ]
    assert desk.events[1]["properties"] == {"topic": "orders"}


def test_a_scope_that_is_left_before_its_exchange_ends_loses_no_turn():
    desk = Desk()
    with conversation(user_id="ann"):
        exchange = desk.exchange()
    assert shape(desk.events) == ["start_session", "Conversation Started"]
    exchange.finish("Hello")

    assert shape(desk.events)[2:] == ["Conversation Turn", "Conversation Ended", "end_session"]


def test_an_exchange_of_a_conversation_that_was_ended_and_begun_anew_holds_up_no_timer():
    desk = Desk(idle_timeout=100)
    session = desk.session(session_id="visit", id="ann")
    ids = Ids(session_id="visit", conversation_id="talk")
    first = desk.exchange(ids)
    session.end_conversation(conversation_id="talk")
    second = desk.exchange(ids)
    first.finish("one")
    second.finish("two")
    desk.pass_time(1000)

    turns = [name for name in shape(desk.events) if name.startswith("Conversation")]
    visit = ["Conversation Started", "Conversation Ended"]
    assert [name for name in turns if name != "Conversation Turn"] == 2 * visit
    assert turns.count("Conversation Turn") == 2


def test_an_exchange_of_a_chat_that_was_ended_and_begun_anew_leads_nowhere_when_it_is_over():
    desk = Desk()
    desk.exchange(messages=HELLO, continue_within=100).finish("Hello")
    ended = [desk.exchange(messages=follow_up("Hello"), continue_within=100) for _ in range(2)]
    ended[0].session.end_session()
    anew = desk.exchange(messages=follow_up("Hello"), continue_within=100)
    ended[0].finish("Yes")
    asked = [*follow_up("Hello"), Message("assistant", "find()")]
    ended[1].await_tools(asked)
    anew.finish("Yes")

    again = desk.exchange(messages=[*asked[:-1], Message("assistant", "Yes"), *HELLO], continue_within=100)
    assert again.conversation_id == anew.conversation_id
    assert not ended[1].is_open
    assert desk.exchange(messages=[*asked, Message("tool", "found")]) is not ended[1]


def hold(desk: Desk, shared: Session, numbers: range) -> tuple[int, int]:
    """
    Hold conversations of each kind, none ended by hand: over at once, continued, named, tracked.

    Returns:
        What the process holds then: bytes, and small objects.
    """
    for number in numbers:
        desk.exchange().finish("Hello")
        desk.exchange(messages=HELLO, continue_within=1800).finish(f"Hello {number}")
        desk.exchange(Ids(user_id=f"user {number}", conversation_id=f"thread {number}")).finish("Hello")
        desk.session(id=f"user {number}").track_conversation_turn(user="a", assistant="b")
        shared.track_conversation_turn(user="a", assistant="b", conversation_id=f"talk {number}")
        desk.pass_time(0.01)
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else resident()
    return held, sys.getallocatedblocks()


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def growth(monkeypatch: pytest.MonkeyPatch, bound: int, conversations: int) -> tuple[float, float]:
    """Bytes, and small objects, that each further conversation costs once every table is full."""
    for module in (_conversations, _lifecycle, _open_sessions):
        monkeypatch.setattr(module, "MOST_OPEN", bound)
    monkeypatch.setattr(_conversations, "MOST_DIGESTS", 5 * bound)
    monkeypatch.setattr(_lifecycle, "_MOST_FINISHED", bound)
    desk = Desk(keep=False)
    shared = desk.session(id="shared")
    each = conversations // 5
    full = hold(desk, shared, range(each // 4))
    end = hold(desk, shared, range(each // 4, each))
    desk.book.end_at_exit()
    return (end[0] - full[0]) / (0.75 * conversations), (end[1] - full[1]) / (0.75 * conversations)


def test_many_conversations_keep_memory_flat(monkeypatch: pytest.MonkeyPatch):
    tracemalloc.start()
    try:
        assert growth(monkeypatch, bound=50, conversations=4_000)[0] < 10
    finally:
        tracemalloc.stop()


@pytest.mark.soak
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux what the process holds")
def test_hundreds_of_thousands_of_conversations_keep_memory_flat(monkeypatch: pytest.MonkeyPatch):
    """
    With every table full ten times over, a conversation leaves nothing: neither in the process nor in the allocator.

    One small object kept of every hundred conversations would show, and so would five bytes of each.
    """
    size, objects = growth(monkeypatch, bound=1_000, conversations=200_000)

    assert size < 5
    assert objects < 0.01
