"""Who somebody is, inside sessions and outside."""

import httpx
from local.builders import alias, at, end_session, identify, start_session, track, turn
from local.conftest import Project


def test_an_unknown_device_is_an_anonymous_user(project: Project):
    project.take(start_session(device_id="d1"))

    user = project.only("sessions", include=["user"])["user"]
    assert user["id"].startswith("ml_")
    assert user["aliases"] == [user["id"]]


def test_a_device_that_comes_again_is_the_same_user(project: Project):
    project.take(start_session(device_id="d1"), track("e", session_id="s2", device_id="d1"))

    assert len(project.ask("users")) == 1


def test_sessions_without_any_identity_are_users_of_their_own(project: Project):
    project.take(track("e"), track("e", session_id="s2"))

    assert len(project.ask("users")) == 2


def test_identify_inside_a_session_keeps_the_anonymous_id_as_alias(project: Project):
    project.take(
        start_session(device_id="d1"), identify(id="u1", traits={"plan": "free"}), identify(traits={"plan": "pro"})
    )

    user = project.only("users")
    assert user["id"] == "u1"
    assert user["aliases"][0].startswith("ml_")
    assert user["aliases"][1:] == ["u1"]
    assert user["traits"] == {"plan": "pro"}


def test_a_session_that_begins_with_identify_keeps_the_anonymous_id_as_well(project: Project):
    project.take(identify(id="u1", device_id="d1"))

    first, second = project.only("users")["aliases"]
    assert (first[:3], second) == ("ml_", "u1")


def test_identify_as_somebody_known_joins_the_two(project: Project):
    project.take(
        start_session(id="u1"), start_session(session_id="s2", device_id="d1"), identify(session_id="s2", id="u1")
    )

    user = project.only("users", include=["sessions"])
    assert user["id"] == "u1"
    assert len(user["aliases"]) == 2
    assert [session["session_id"] for session in user["sessions"]] == ["s1", "s2"]


def test_alias_makes_the_new_id_the_one_to_show(project: Project):
    project.take(start_session(id="old"), alias(id="new", previous_id="old"))

    assert project.only("users")["aliases"] == ["old", "new"]
    assert project.only("users")["id"] == project.only("sessions")["user_id"] == "new"


def test_another_user_on_the_same_session_is_only_who_identify_says(project: Project):
    project.take(start_session(id="u1"), track("e", user_id="stranger"))
    assert project.only("sessions")["user_id"] == "u1"

    project.take(identify(id="u2"))
    assert project.only("sessions", include=["user"])["user"]["id"] == "u2"


def test_identify_outside_a_session_answers_with_the_user(project: Project):
    body = {"id": "u1", "device_id": "d1", "traits": {"plan": "pro"}}

    user = project.http.post("/bc/v1/user/identify", json=body).json()

    assert user["aliases"] == ["u1"]
    assert (user["id"], user["traits"], user["app_id"]) == ("u1", {"plan": "pro"}, project.id)
    assert user["organization_id"]
    assert user["created_at"]
    project.take(track("e", device_id="d1"))
    assert project.only("users")["user_id"] == user["user_id"]


def test_alias_outside_a_session_answers_with_the_user(project: Project):
    project.http.post("/bc/v1/user/identify", json={"id": "old"})

    user = project.http.post("/bc/v1/user/alias", json={"id": "new", "previous_id": "old"}).json()

    assert (user["id"], user["aliases"]) == ("new", ["old", "new"])


def test_identify_and_alias_say_what_is_missing(project: Project):
    answers = [
        project.http.post("/bc/v1/user/identify", json={}),
        project.http.post("/bc/v1/user/identify", json=[]),
        project.http.post("/bc/v1/user/identify", json={"id": "x" * 101}),
        project.http.post("/bc/v1/user/alias", json={"id": "new"}),
    ]

    assert [answer.status_code for answer in answers] == [400, 400, 400, 400]
    assert "previous_id" in answers[3].text


def test_the_users_can_be_listed(project: Project):
    for name in ("b", "a", "c"):
        project.http.post("/bc/v1/user/identify", json={"id": name})

    listed = project.http.get(
        "/bc/v1/user/list", params={"sort": '{"value": "id", "order": "desc"}', "limit": 2}
    ).json()

    assert [user["id"] for user in listed["users"]] == ["c", "b"]
    assert listed["total"] == 3
    assert project.http.get("/bc/v1/user/list", params={"regex": "a*"}).status_code == 400


def test_what_was_said_in_a_conversation_can_be_listed(project: Project):
    project.take(start_session(id="u1"), turn("one", "eins"), track("e", conversation_id="c1"), turn("two", "zwei"))
    user_key = project.only("users")["user_id"]

    def said(**parameters: str) -> object:
        return project.http.get("/bc/v1/user/conversation", params={"conversation_id": "c1", **parameters}).json()

    assert (
        said()
        == said(user_id="u1")
        == said(user_id=user_key)
        == [
            {"user": "one", "assistant": "eins"},
            {"user": "two", "assistant": "zwei"},
        ]
    )
    assert said(user_id="stranger") == []
    assert said(offset="1") == [{"user": "two", "assistant": "zwei"}]
    assert project.http.get("/bc/v1/user/conversation").status_code == 400


def test_a_user_is_given_with_all_their_sessions_latest_first(project: Project):
    project.take(start_session(id="u1", timestamp=at(0)), turn(timestamp=at(1)), end_session(timestamp=at(2)))
    project.take(start_session(session_id="s2", id="u1", timestamp=at(5)), identify(session_id="s2", traits={"a": 1}))

    def details(user_id: str, **parameters: str) -> httpx.Response:
        return project.http.get("/bc/v1/user/details", params={"user_id": user_id, **parameters})

    found = details("u1").json()
    assert details(found["user_id"]).json() == found
    assert (found["id"], found["traits"]) == ("u1", {"a": 1})
    assert [(session["session_id"], session["duration"]) for session in found["sessions"]] == [
        ("s2", None),
        ("s1", 120_000),
    ]
    assert [event["event"] for event in found["sessions"][1]["events"]] == [
        "Session Started",
        "Conversation Turn",
        "Session Ended",
    ]
    assert len(details("u1", limit="1", offset="1").json()["sessions"]) == 1
    assert details("stranger").status_code == 404
    assert details("").status_code == 400


def test_one_event_can_be_asked_for(project: Project):
    project.take(turn("one"))
    event_id = project.only("events")["event_id"]

    found = project.http.get("/bc/v1/user/event", params={"event_id": event_id})

    assert found.json()["properties"] == {"user": "one", "assistant": "Hi"}
    assert project.http.get("/bc/v1/user/event", params={"event_id": "none"}).status_code == 404
