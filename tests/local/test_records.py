"""What the service makes of events: sessions and conversations, in whatever order the events come."""

import itertools
from typing import Any

import pytest
from local.builders import (
    at,
    end_session,
    ended,
    failed,
    function,
    identify,
    start_session,
    started,
    track,
    turn,
    usage,
)
from local.conftest import Project


def test_a_conversation_is_summed_up(project: Project):
    project.take(
        start_session(id="u1", timestamp=at(0), attributes={"channel": "web", "plan": "free"}),
        started({"topic": "x", "mood": "calm"}, timestamp=at(1)),
        function("find", timestamp=at(2)),
        usage(model="router", prompt_tokens=10, completion_tokens=1, timestamp=at(2)),
        turn("  What\n is it? ", model="m", prompt_tokens=100, completion_tokens=20, cost=0.25, timestamp=at(3)),
        failed(model="m", prompt_tokens=7, completion_tokens=0, timestamp=at(4)),
        usage(cost=0.5, timestamp=at(5)),
        track("Custom", {"prompt_tokens": 1000}, conversation_id="c1", timestamp=at(6)),
        ended({"mood": "glad"}, timestamp=at(7)),
        end_session(attributes={"plan": "pro"}, timestamp=at(8)),
    )

    assert project.only("conversations") == {
        "organization_id": "local",
        "app_id": project.id,
        "conversation_id": "c1",
        "session_id": "s1",
        "user_id": "u1",
        "title": "What is it?",
        "started_at": at(1),
        "ended_at": at(7),
        "ended_by": "event",
        "last_activity_at": at(7),
        "turns": 1,
        "functions": 1,
        "failed": 1,
        "prompt_tokens": 117,
        "completion_tokens": 21,
        "cost": 0.75,
        "models": ["router", "m"],
        "event_names": [
            "Conversation Started",
            "Conversation Function",
            "Conversation Usage",
            "Conversation Turn",
            "Turn Failed",
            "Custom",
            "Conversation Ended",
        ],
        "unpriced_tokens": {"router": [10, 1], "m": [7, 0]},
        "properties": {"topic": "x", "mood": "glad"},
    }
    assert project.only("sessions") == {
        "organization_id": "local",
        "app_id": project.id,
        "session_id": "s1",
        "user_id": "u1",
        "device_id": None,
        "started_at": at(0),
        "started_by": "event",
        "ended_at": at(8),
        "attributes": {"channel": "web", "plan": "pro"},
    }


def test_the_first_event_of_an_unknown_session_opens_it(project: Project):
    project.take(track("Anything", device_id="d1", timestamp=at(3)))

    session = project.only("sessions")
    assert (session["started_by"], session["started_at"], session["ended_at"]) == ("first event", at(3), None)
    assert session["device_id"] == "d1"


def test_a_turn_of_an_unknown_conversation_opens_it(project: Project):
    project.take(turn(timestamp=at(3)))

    conversation = project.only("conversations")
    assert (conversation["turns"], conversation["started_at"], conversation["ended_at"]) == (1, at(3), None)
    assert conversation["cost"] is None


def test_the_end_of_a_session_ends_its_open_conversations(project: Project):
    project.take(
        turn(conversation_id="done", timestamp=at(1)),
        ended(conversation_id="done", timestamp=at(2)),
        turn(conversation_id="open", timestamp=at(3)),
        turn(conversation_id="elsewhere", session_id="s2", timestamp=at(3)),
        end_session(timestamp=at(4)),
    )

    ends = {
        record["conversation_id"]: (record["ended_at"], record["ended_by"]) for record in project.ask("conversations")
    }
    assert ends == {"done": (at(2), "event"), "open": (at(4), "session"), "elsewhere": (None, None)}


def test_events_after_the_end_are_kept_and_counted(project: Project):
    project.take(turn(timestamp=at(1)), ended(timestamp=at(2)), turn("late", timestamp=at(3)))

    conversation = project.only("conversations")
    assert (conversation["turns"], conversation["ended_at"], conversation["last_activity_at"]) == (2, at(2), at(3))
    assert len(project.ask("events")) == 3


def test_a_later_start_opens_an_ended_conversation_again(project: Project):
    project.take(started(timestamp=at(1)), ended(timestamp=at(2)), started(timestamp=at(3)), turn(timestamp=at(4)))

    assert project.only("conversations")["ended_at"] is None


def test_a_later_start_opens_an_ended_session_again(project: Project):
    project.take(start_session(timestamp=at(1)), end_session(timestamp=at(2)), start_session(timestamp=at(3)))

    assert project.only("sessions")["ended_at"] is None


def test_a_conversation_that_comes_after_the_end_of_its_session_but_happened_before_is_ended(project: Project):
    project.take(
        end_session(timestamp=at(9)), turn(timestamp=at(1)), turn("new", conversation_id="c2", timestamp=at(10))
    )

    late, new = project.ask("conversations")
    assert (late["ended_at"], late["ended_by"]) == (at(9), "session")
    assert new["ended_at"] is None


EVENTS = [
    start_session(id="u1", timestamp=at(0), attributes={"plan": "free"}),
    started({"mood": "calm"}, timestamp=at(1)),
    turn("first", model="m", prompt_tokens=3, completion_tokens=2, timestamp=at(2)),
    turn("second", timestamp=at(3)),
    ended({"mood": "glad"}, timestamp=at(4)),
]


@pytest.mark.parametrize("order", list(itertools.permutations(range(5)))[::7], ids=str)
def test_the_order_of_arrival_changes_nothing(project: Project, order: tuple[int, ...]):
    for index in order:
        project.take(EVENTS[index])
    project.take(end_session(timestamp=at(5), attributes={"plan": "pro"}))

    conversation, session = project.only("conversations"), project.only("sessions")
    kept = ("title", "turns", "started_at", "ended_at", "ended_by", "last_activity_at", "user_id", "properties")
    assert [conversation[name] for name in kept] == [
        "first",
        2,
        at(1),
        at(4),
        "event",
        at(4),
        "u1",
        {"mood": "glad"},
    ]
    assert (session["started_at"], session["started_by"], session["ended_at"]) == (at(0), "event", at(5))
    assert session["attributes"] == {"plan": "pro"}


@pytest.mark.parametrize("senseless", [True, "12", -5, 2**80, 1e300], ids=str)
def test_a_senseless_count_is_kept_but_not_summed(project: Project, senseless: Any):
    project.take(turn(model="m", prompt_tokens=senseless, completion_tokens=2))

    assert project.only("conversations")["prompt_tokens"] == 0
    assert project.only("events")["properties"]["prompt_tokens"] == senseless


def test_a_long_first_word_is_cut_to_a_title(project: Project):
    project.take(turn("W" * 100_000))

    assert project.only("conversations")["title"] == "W" * 160


def test_who_the_user_is_reaches_the_conversations_of_the_session(project: Project):
    project.take(turn(device_id="d1"), {"type": "identify", "session_id": "s1", "id": "u1", "traits": {"plan": "pro"}})

    assert project.only("conversations")["user_id"] == project.only("sessions")["user_id"] == "u1"


def test_a_conversation_is_of_the_user_whom_its_events_name(project: Project):
    theirs = {"conversation_id": "theirs", "user_id": "guest"}
    project.take(start_session(id="host"), turn(conversation_id="own"), turn(**theirs), turn(conversation_id="theirs"))
    project.take(identify(id="landlady"))

    users = {record["conversation_id"]: record["user_id"] for record in project.ask("conversations")}
    assert users == {"own": "landlady", "theirs": "guest"}
