"""What the charts and the search of the page ask for."""

from pathlib import Path

import pytest
from local.builders import at, failed, function, turn, usage
from local.conftest import Project

from mindlytics_local import start


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("refund", ["c1"]),
        ("REFU", ["c1"]),
        ("refund order", ["c1"]),
        ("refund tomorrow", []),
        ("order", ["c1", "c2"]),
        ("find_order", ["c2"]),
        ('"', ["c1", "c2"]),
        ("order OR nothing", []),
        ("for-my !!", ["c1"]),
        ("caf\u00e9", ["c2"]),
        ("cafe", ["c2"]),
    ],
)
def test_conversations_are_found_by_their_words(project: Project, words: str, found: list[str]):
    project.take(
        turn("I want a refund for my order", timestamp=at(1)),
        function("find_order", args='{"place": "caf\u00e9"}', conversation_id="c2", timestamp=at(2)),
    )

    assert [record["conversation_id"] for record in project.ask("conversations", filter={"$search": words})] == found


def test_conversations_are_found_by_what_happened_in_them(project: Project):
    project.take(turn(), failed(conversation_id="c2"))

    assert project.only("conversations", filter={"event_names": "Turn Failed"})["conversation_id"] == "c2"


def test_a_wipe_forgets_words_and_figures():
    with start() as service:
        project = Project(service.url)
        with project.http:
            project.take(turn("secret", latency_ms=5))
            project.http.get("/bc/v1/db/_cleanup")
            project.take(turn("other"))

            assert project.ask("conversations", filter={"$search": "secret"}) == []
            assert len(project.http.get("/statistics").json()["hours"]) == 1


def test_figures_are_kept_by_the_hour_and_by_the_model(project: Project):
    project.take(
        turn(model="m", prompt_tokens=5, completion_tokens=2, latency_ms=100, timestamp=at(1)),
        turn(model="m", prompt_tokens=5, completion_tokens=2, cost=0.5, latency_ms=100, timestamp=at(2)),
        usage(model="router", prompt_tokens=1, completion_tokens=1, timestamp=at(3)),
        failed(timestamp=at(4)),
    )

    found = project.http.get("/statistics", params={"start": at(0), "end": at(59)}).json()

    hour = "2025-03-01T12:00:00.000000+00:00"
    assert {row["at"] for row in found["hours"]} == {hour}
    by_model = {row["model"]: row for row in found["hours"]}
    assert set(by_model) == {"m", "router", ""}
    assert (by_model["m"]["turns"], by_model["m"]["prompt_tokens"], by_model["m"]["cost"]) == (2, 10, 0.5)
    assert (by_model["m"]["unpriced_prompt_tokens"], by_model[""]["failed"]) == (5, 1)
    (latency,) = found["latencies"]
    assert latency["turns"] == 2
    assert latency["latency_ms"] == pytest.approx(100, rel=0.05)
    assert found["conversations"] == [{"at": hour, "conversations": 1}]


def test_prices_come_from_a_file(tmp_path: Path):
    prices = tmp_path / "prices.json"
    prices.write_text('{"m": {"prompt": 2.5, "completion": 10}}')
    with start(prices=prices) as service:
        project = Project(service.url)
        with project.http:
            assert project.http.get("/statistics").json()["prices"] == {"m": {"prompt": 2.5, "completion": 10.0}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        ("[]", "JSON object"),
        ('{"m": 5}', "m needs prompt and completion"),
        ('{"m": {"prompt": -1, "completion": 1}}', "at least 0"),
    ],
)
def test_prices_that_are_none_are_refused_with_why(tmp_path: Path, text: str, says: str):
    prices = tmp_path / "prices.json"
    prices.write_text(text)

    with pytest.raises(ValueError, match=says):
        start(prices=prices)
