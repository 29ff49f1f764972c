"""Questions to the collections: filters, order, relations."""

from typing import Any

import pytest
from local.builders import at, end_session, ended, failed, identify, start_session, started, track, turn
from local.conftest import Project

from mindlytics_local import LocalService


@pytest.fixture
def filled(project: Project) -> Project:
    """Three turns and a failure in two conversations."""
    project.take(
        start_session(id="u1", timestamp=at(0)),
        started(timestamp=at(1)),
        turn("a", model="small", prompt_tokens=5, completion_tokens=1, timestamp=at(2)),
        turn("b", model="large", prompt_tokens=50, completion_tokens=2, timestamp=at(3)),
        turn("c", cached=True, timestamp=at(4), conversation_id="c2"),
        failed(user="d", timestamp=at(5), conversation_id="c2"),
    )
    return project


def users(events: list[dict[str, Any]]) -> str:
    return "".join(event["properties"]["user"] for event in events)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"event": "Conversation Turn"}, "abc"),
        ({"event": "Turn Failed"}, "d"),
        ({"properties.model": "small"}, "a"),
        ({"properties.model": {"$in": ["small", "large"]}}, "ab"),
        ({"properties.model": {"$in": []}}, ""),
        ({"properties.model": {"$ne": "small"}, "event": "Conversation Turn"}, "bc"),
        ({"properties.prompt_tokens": {"$gt": 5}}, "b"),
        ({"properties.prompt_tokens": {"$gte": 5, "$lt": 50}}, "a"),
        ({"properties.prompt_tokens": {"$lte": 50}}, "ab"),
        ({"properties.user": {"$gt": "b"}}, "cd"),
        ({"properties.user": {"$gt": 1}}, ""),
        ({"properties.cached": True}, "c"),
        ({"properties.model": {"$exists": True}}, "ab"),
        ({"properties.model": None, "properties.user": {"$exists": True}}, "cd"),
        ({"properties.model": {"$in": [None, "small"]}, "conversation_id": "c1", "properties.user": "a"}, "a"),
        ({"timestamp": {"$gte": at(3), "$lte": "2025-03-01T14:04:00+02:00"}}, "bc"),
        ({"$or": [{"properties.user": "a"}, {"properties.user": "d"}]}, "ad"),
        ({"$and": [{"conversation_id": "c1"}, {"$or": [{"properties.user": "a"}, {"properties.user": "c"}]}]}, "a"),
        ({"user_id": "u1", "event": "Conversation Turn"}, "abc"),
    ],
    ids=str,
)
def test_a_filter_finds_what_it_says(filled: Project, wanted: dict[str, Any], found: str):
    assert users([event for event in filled.ask("events", filter=wanted) if "properties" in event]) == found


def test_records_of_conversations_are_filtered_by_their_fields(filled: Project):
    def ids(**wanted: Any) -> list[str]:
        return [record["conversation_id"] for record in filled.ask("conversations", filter=wanted)]

    assert ids(models="large") == ["c1"]
    assert ids(models={"$in": ["small", "unheard-of"]}) == ["c1"]
    assert ids(models={"$ne": "large"}) == ["c2"]
    assert ids(failed={"$gt": 0}) == ["c2"]
    assert ids(ended_at=None) == ["c1", "c2"]
    assert ids(last_activity_at={"$lt": at(4)}) == ["c1"]


@pytest.mark.parametrize(
    ("collection", "op", "parameters", "says"),
    [
        ("events", "find", {"filter": "{"}, "filter is not valid JSON"),
        ("events", "find", {"filter": "[]"}, "JSON object"),
        ("events", "find", {"filter": {"event": {"$regex": "x"}}}, "$regex"),
        ("events", "find", {"filter": {"$nor": []}}, "$nor"),
        ("events", "find", {"filter": {"$or": []}}, "$or"),
        ("events", "find", {"filter": {"event": {"$in": "x"}}}, "$in"),
        ("events", "find", {"filter": {"event": {"$exists": 1}}}, "$exists"),
        ("events", "find", {"filter": {"event": {"$gt": None}}}, "event"),
        ("events", "find", {"filter": {"event": ["x"]}}, "compare"),
        ("events", "find", {"filter": {"seq": 2**70}}, "too large"),
        ("events", "find", {"filter": {"timestamp": "noon"}}, "timestamp"),
        ("events", "find", {"filter": {'properties."x': 1}}, "quotes"),
        ("events", "find", {"filter": {"properties..x": 1}}, "dots"),
        ("sessions", "find", {"filter": {"colour": 1}}, "colour"),
        ("events", "find", {"sort": {"seq": 2}}, "sort"),
        ("events", "find", {"sort": "[]"}, "sort"),
        ("events", "find", {"limit": "-1"}, "limit"),
        ("events", "find", {"skip": "9" * 40}, "skip"),
        ("events", "find", {"projection": "[]"}, "projection"),
        ("sessions", "find", {"include": ["friends"]}, "friends"),
        ("sessions", "find", {"include": "[1]"}, "include"),
        ("planets", "find", {}, "planets"),
        ("events", "drop", {}, "drop"),
    ],
    ids=str,
)
def test_a_question_that_cannot_be_understood_is_answered_with_why(
    project: Project, collection: str, op: str, parameters: dict[str, Any], says: str
):
    answer = project.question(collection, op, **parameters)

    assert answer.status_code == 400
    assert says in answer.text


def test_order_limit_and_skip(filled: Project):
    latest = filled.ask("events", sort={"timestamp": -1}, limit=2)
    next_ones = filled.ask("events", sort={"timestamp": -1}, limit=1, skip=2)
    by_property = filled.ask("events", filter={"event": "Conversation Turn"}, sort={"properties.user": -1})

    assert (users(latest), users(next_ones), users(by_property)) == ("dc", "b", "cba")


def test_order_is_by_actual_time_whatever_the_offset(project: Project):
    times = ["2025-03-01T12:00:00+05:00", "2025-03-01T09:00:00Z", "2025-03-01T07:30:00.5+00:00"]
    project.take(*(track(f"e{index}", timestamp=time) for index, time in enumerate(times)))

    assert [event["event"] for event in project.ask("events", sort={"timestamp": 1})] == ["e0", "e2", "e1"]
    assert [event["event"] for event in project.ask("events")] == ["e0", "e1", "e2"]


def test_find_one_and_count(filled: Project):
    assert filled.ask("events", "findOne", filter={"properties.user": "b"})["properties"]["model"] == "large"
    assert filled.ask("events", "findOne", filter={"properties.user": "z"}) is None
    assert filled.ask("events", "count", filter={"event": "Conversation Turn"}, limit=1) == {"count": 3}


def test_a_projection_keeps_or_leaves_out(filled: Project):
    first = {"filter": {"properties.user": "a"}}

    assert filled.ask(
        "events", "findOne", **first, projection={"event": 1, "properties.user": 1, "properties.model": 1}
    ) == {
        "event": "Conversation Turn",
        "properties": {"user": "a", "model": "small"},
    }
    left = filled.ask("events", "findOne", **first, projection={"properties.user": 0, "seq": 0, "no.such": 0})
    assert "seq" not in left
    assert set(left["properties"]) == {"assistant", "model", "prompt_tokens", "completion_tokens"}


def test_relations_come_back_inside_the_session(filled: Project):
    filled.take(ended(timestamp=at(6)), end_session(timestamp=at(7)))

    session = filled.only("sessions", include=["user", "conversations", "events", "intents"])

    assert session["user"]["id"] == "u1"
    assert [record["conversation_id"] for record in session["conversations"]] == ["c1", "c2"]
    assert len(session["events"]) == 8
    assert session["intents"] == []


def test_include_may_be_repeated_and_survives_a_projection(filled: Project):
    answer = filled.http.get(
        "/bc/v1/db/conversations/findOne",
        params=[
            ("include", "events"),
            ("include", "session"),
            ("projection", '{"turns": 1}'),
            ("filter", '{"conversation_id": "c2"}'),
        ],
    )

    record = answer.json()
    assert set(record) == {"turns", "events", "session"}
    assert users(record["events"]) == "cd"


def test_a_project_sees_only_its_own(project: Project, running: LocalService):
    other = Project(running.url)
    with other.http:
        project.take(turn("mine"))
        other.take(turn("theirs"))

        assert users(project.ask("events")) == "mine"
        assert other.only("conversations")["title"] == "theirs"
        everything = project.http.get("/bc/v1/db/events/count", headers={"X-App-ID": ""}).json()
        assert everything["count"] >= 2


def test_live_events_of_a_stretch_of_time_come_latest_first(filled: Project):
    answer = filled.http.get("/bc/v1/live-events/events", params={"start": at(0), "end": at(3)})

    assert [event["event"] for event in answer.json()] == [
        "Conversation Turn",
        "Conversation Turn",
        "Conversation Started",
        "Session Started",
    ]
    assert answer.json()[0]["properties"]["user"] == "b"
    assert {event["user_id"] for event in answer.json()} == {"u1"}
    assert len(filled.http.get("/bc/v1/live-events/events", params={"limit": 2}).json()) == 2
    assert filled.http.get("/bc/v1/live-events/events", params={"start": "noon"}).status_code == 400


def test_live_events_are_150_when_nobody_says(project: Project):
    project.take(*(track("e") for _ in range(200)))

    assert len(project.http.get("/bc/v1/live-events/events").json()) == 150


def test_a_filter_may_be_as_long_as_an_address(project: Project):
    project.take(turn(), turn())

    assert project.ask("conversations", "count", filter={"$or": [{"turns": n} for n in range(1500)]}) == {"count": 1}


def test_a_user_s_conversations_are_found_by_any_of_their_ids(project: Project):
    project.take(start_session(device_id="d1"), turn(conversation_id="anonymous"))
    project.take(identify(session_id="s2", id="old", device_id="d1"), turn(session_id="s2", conversation_id="named"))
    project.http.post("/bc/v1/user/alias", json={"id": "new", "previous_id": "old"})
    project.take(turn(session_id="s3", conversation_id="other's", user_id="somebody"))
    (user,) = project.ask("users", filter={"aliases": "new"})

    for name in (*user["aliases"],):
        found = project.ask("conversations", filter={"$user": name})
        assert [record["conversation_id"] for record in found] == ["anonymous", "named"], name
    assert len(user["aliases"]) == 3
    assert project.question("conversations", filter={"$user": 5}).status_code == 400


def test_without_a_limit_there_is_still_one(project: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mindlytics_local.endpoints._parameters._MOST_RECORDS", 2)
    project.take(track("e"), track("e"), track("e"))

    assert [len(project.ask("events")), len(project.ask("events", limit=3))] == [2, 3]
