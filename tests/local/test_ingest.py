"""Taking events: all of a request or nothing of it, and never twice."""

import json

import httpx
import pytest
from local.builders import at, end_session, ended, function, identify, started, track, turn, usage
from local.conftest import QUEUE, Project

from mindlytics_local import LocalService


def test_an_array_can_be_read_back_as_soon_as_it_is_answered(project: Project):
    project.take(started(), turn("one"), turn("two"), ended())

    events = project.ask("events")

    assert [event["event"] for event in events] == [
        "Conversation Started",
        "Conversation Turn",
        "Conversation Turn",
        "Conversation Ended",
    ]
    assert [event["properties"]["user"] for event in events[1:3]] == ["one", "two"]


def test_a_bare_object_is_one_event(project: Project):
    answer = project.http.post(QUEUE, json=turn("alone"))

    assert answer.json() == {"status": "ok"}
    assert project.only("events")["properties"]["user"] == "alone"


def test_an_event_is_given_back_as_it_was_sent_with_what_the_service_added(project: Project):
    sent = turn("hi", user_id="u1", timestamp="2025-03-01T14:00:00+02:00", latency_ms=12, ratio=0.5, ok=True)

    project.take(sent)

    stored = project.only("events")
    assert {name: stored[name] for name in sent} == sent
    assert stored["app_id"] == project.id
    assert stored["event_id"]
    assert stored["seq"] > 0
    assert stored["received_at"] > "2025"


def test_an_empty_array_is_fine(project: Project):
    project.take()

    assert project.ask("events") == []


def test_one_invalid_event_refuses_the_whole_request_and_is_named(project: Project):
    bad = track("Conversation Turn", {"user": "no answer"}, conversation_id="c1")

    answer = project.send(turn(), turn(), turn(), bad)

    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == "event 3: 'Conversation Turn' needs the properties user + assistant"
    assert project.ask("events") == []
    assert project.ask("conversations") == []


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (5, "event 0"),
        ({}, "type"),
        ({"type": "unheard_of", "session_id": "s"}, "type"),
        ({"type": "track", "event": "e"}, "session_id"),
        (track("e", {"nested": [1]}), "properties.nested"),
        (track("e", timestamp="yesterday"), "timestamp"),
        (track("e", timestamp="2025-01-01T00:00:00"), "offset"),
        (track("e", timestamp="9999-12-31T23:00:00-14:00"), "years"),
        (track("x" * 101), "event"),
        (turn(conversation_id=""), "conversation_id"),
    ],
    ids=str,
)
def test_what_is_wrong_with_an_event_is_said(project: Project, event: object, says: str):
    answer = project.http.post(QUEUE, json=[event])

    assert answer.status_code == 400
    assert answer.text.startswith("event 0: ") or answer.text.startswith("event 0")
    assert says in answer.text
    assert project.ask("events") == []


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[NaN]", b'{"type": "\\ud800"}', b"[" * 5000, b"\xff\xfe", b"9" * 5000],
    ids=["empty", "cut", "not a number", "lone surrogate", "deep", "not utf-8", "endless number"],
)
def test_broken_json_is_refused(project: Project, body: bytes):
    answer = project.http.post(QUEUE, content=body)

    assert answer.status_code == 400
    assert "JSON" in answer.text


def test_a_number_beyond_all_numbers_is_refused(project: Project):
    body = json.dumps([track("e", {"size": 0})]).replace('"size": 0', '"size": 1e999')

    answer = project.http.post(QUEUE, content=body)

    assert answer.status_code == 400
    assert answer.text.startswith("event 0: ")


def test_texts_of_every_kind_come_back_unchanged(project: Project):
    hostile = "<script>alert(1)</script> \u202e \u0000 😀 ' \" ; DROP TABLE events; -- \n\t\u2028"

    project.take(turn(hostile, "W" * 100_000, **{"'; --": hostile}, session_id=hostile, conversation_id=hostile))

    stored = project.only("events", filter={"conversation_id": hostile})
    assert stored["properties"]["user"] == hostile
    assert len(stored["properties"]["assistant"]) == 100_000
    assert project.only("conversations", filter={"session_id": hostile})["conversation_id"] == hostile
    assert project.only("events", filter={"properties.'; --": {"$exists": True}})["seq"] == stored["seq"]


def test_a_delivery_that_is_sent_again_is_stored_once(project: Project):
    first = project.send(turn("one"), turn("two"), key="k1")
    again = project.send(turn("one"), turn("two"), key="k1")
    other = project.send(turn("three"), key="k2")

    assert [answer.status_code for answer in (first, again, other)] == [200, 200, 200]
    assert [event["properties"]["user"] for event in project.ask("events")] == ["one", "two", "three"]
    assert project.only("conversations")["turns"] == 3


def test_a_refused_delivery_may_be_sent_again_with_its_key(project: Project):
    assert project.send(track("e", {"x": []}), key="k").status_code == 400
    assert project.send(track("e", {"x": 1}), key="k").status_code == 200

    assert len(project.ask("events")) == 1


def test_keys_of_different_projects_do_not_meet(project: Project, running: LocalService):
    other = Project(running.url)
    with other.http:
        project.send(turn(), key="same")
        other.send(turn(), key="same")

        assert len(project.ask("events")) == len(other.ask("events")) == 1


def test_an_endless_idempotency_key_is_refused(project: Project):
    assert project.send(turn(), key="k" * 201).status_code == 400


def test_a_single_event_is_answered_with_what_was_stored(project: Project):
    answer = project.http.post("/bc/v1/events/event", json=turn("one"), headers={"Idempotency-Key": "k"})
    again = project.http.post("/bc/v1/events/event", json=turn("one"), headers={"Idempotency-Key": "k"})

    assert answer.status_code == 200
    assert answer.json() == again.json() == project.ask("events")


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        ("start-session", {"type": "start_session", "session_id": "s1", "id": "u1"}),
        ("end-session", end_session()),
        ("identify", identify(id="u1")),
        ("alias", {"type": "alias", "session_id": "s1", "id": "new", "previous_id": "old"}),
        ("track", track("Anything")),
        ("start-conversation", started()),
        ("end-conversation", ended()),
        ("conversation-turn", turn()),
        ("conversation-usage", usage(cost=0.5)),
        ("conversation-function", function("tool")),
    ],
)
def test_each_kind_of_event_has_its_path(project: Project, kind: str, event: dict[str, object]):
    answer = project.http.post(f"/bc/v1/events/event/{kind}", json=event)

    assert answer.status_code == 200, answer.text
    assert answer.json()[0]["type"] == event["type"]


def test_an_event_on_the_path_of_another_kind_is_refused(project: Project):
    wrong_name = project.http.post("/bc/v1/events/event/conversation-turn", json=usage(cost=1))
    wrong_type = project.http.post("/bc/v1/events/event/identify", json=turn())
    unknown = project.http.post("/bc/v1/events/event/party", json=turn())

    assert (wrong_name.status_code, wrong_type.status_code, unknown.status_code) == (400, 400, 404)
    assert "Conversation Turn" in wrong_name.text
    assert project.ask("events") == []


def test_wrong_methods_and_paths_are_told_in_plain_text(project: Project):
    answers: list[httpx.Response] = [
        project.http.get(QUEUE),
        project.http.get("/nowhere"),
        project.http.post(f"{QUEUE}/"),
    ]

    assert [answer.status_code for answer in answers] == [405, 404, 404]
    assert all(answer.headers["content-type"].startswith("text/plain") for answer in answers)


def test_a_compressed_body_is_refused_with_a_word(project: Project):
    answer = project.http.post(QUEUE, content=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})

    assert answer.status_code == 415


@pytest.mark.parametrize("form", ["20250301T120100Z", "2025-W09-6T12:01:00,0+00:00", "2025-03-01 12:01:00+00:00"])
def test_a_timestamp_in_a_form_that_browsers_do_not_read_is_told_in_one_that_they_do(project: Project, form: str):
    project.take(track("e", timestamp=form))

    assert project.only("events")["timestamp"] == "2025-03-01T12:01:00.000000+00:00"


def test_an_event_without_a_timestamp_happened_when_it_was_received(project: Project):
    project.take(track("e"), track("e", timestamp=at(1)))

    silent, told = project.ask("events")
    assert silent["timestamp"] == silent["received_at"]
    assert told["timestamp"] == at(1)


def test_an_event_that_is_sent_again_under_its_id_is_stored_once(project: Project, running: LocalService):
    project.take(turn("one") | {"event_id": "e1"}, turn("two") | {"event_id": "e2"})
    project.take(turn("one") | {"event_id": "e1"}, turn("three") | {"event_id": "e3"}, turn("two") | {"event_id": "e2"})
    again = project.http.post("/bc/v1/events/event", json=turn("one") | {"event_id": "e1"})
    other = Project(running.url)
    with other.http:
        other.take(turn("theirs") | {"event_id": "e1"})

    assert [event["properties"]["user"] for event in project.ask("events")] == ["one", "two", "three"]
    assert project.only("conversations")["turns"] == 3
    assert [event["properties"]["user"] for event in again.json()] == ["one"]
    assert project.send(turn() | {"event_id": 5}).text == "event 0: event_id must be a text of 1 to 200 characters"
