"""What an app's own tests get: the plugin is used here by a test suite of an app, in a run of pytest of its own."""

import re
from pathlib import Path

import pytest

from mindlytics_core import Client, TokenBasedCost, current_session, default_client
from mindlytics_pytest import FunctionCall, MindlyticsService

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
BOT = """
    from mindlytics_core import Client

    def answer(text):
        session = Client().create_session(id="jjacob")
        session.track_conversation_turn(user=text, assistant=text.upper())
        session.end_session()
        return text.upper()
"""


def test_does_my_bot_record_its_turns_is_three_lines(pytester: pytest.Pytester):
    pytester.makepyfile(my_bot=BOT)
    pytester.makepyfile(
        """
        from my_bot import answer

        def test_one(mindlytics_service):
            answer("hi")
            assert [(turn.user, turn.assistant) for turn in mindlytics_service.turns()] == [("hi", "HI")]

        def test_another_starts_empty(mindlytics_service):
            assert mindlytics_service.turns() == []
            answer("ho")
            assert mindlytics_service.turns()[0].user_id == "jjacob"
        """
    )

    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_the_tests_of_the_documentation_s_page_pass(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    first, second, _ = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    pytester.makepyfile(my_bot=BOT)
    pytester.makepyfile(my_worker="from my_bot import answer\nanswer('hi')\n")
    pytester.makepyfile(first + second)

    run_alone(pytester, monkeypatch).assert_outcomes(passed=2)


def test_a_run_that_does_not_ask_for_it_imports_nothing_of_ours(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
):
    pytester.makepyfile(
        """
        import sys

        def test_nothing():
            assert not {"mindlytics_core", "mindlytics_local", "httpx", "pydantic"} & sys.modules.keys()
        """
    )

    run_alone(pytester, monkeypatch).assert_outcomes(passed=1)


def run_alone(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.RunResult:
    """Run the tests with our plugin and no other: those of this environment import what they like, and take long."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return pytester.runpytest_subprocess("-p", "mindlytics_pytest.plugin", "-p", "no:cacheprovider")


def test_a_turn_tells_all_that_was_recorded(mindlytics_service: MindlyticsService):
    session = Client().create_session(id="jjacob", conversation_id="order-7")
    session.track_function_call(name="find_order", args='{"id": 7}', result="shipped")
    session.track_conversation_turn(
        user="Where is it?",
        assistant="On its way.",
        assistant_id="shop",
        usage=TokenBasedCost("tiny", 3, 2),
        properties={"channel": "web"},
    )

    (turn,) = mindlytics_service.turns()

    assert (turn.user, turn.assistant, turn.assistant_id) == ("Where is it?", "On its way.", "shop")
    assert (turn.model, turn.prompt_tokens, turn.completion_tokens) == ("tiny", 3, 2)
    assert turn.functions == (FunctionCall("find_order", '{"id": 7}', "shipped"),)
    assert (turn.conversation_id, turn.session_id, turn.user_id) == ("order-7", session.session_id, "jjacob")
    assert turn.properties == {"channel": "web"}


def test_a_conversation_tells_whether_it_has_ended(mindlytics_service: MindlyticsService):
    session = Client().create_session(id="jjacob")
    session.track_conversation_turn(user="a", assistant="b")
    assert [conversation.is_ended for conversation in mindlytics_service.conversations()] == [False]

    session.end_conversation(properties={"solved": True})

    (conversation,) = mindlytics_service.conversations()
    assert conversation.is_ended
    assert conversation.properties == {"solved": True}
    assert [turn.user for turn in conversation.turns] == ["a"]


def test_waiting_ends_with_what_was_waited_for(mindlytics_service: MindlyticsService):
    session = Client().create_session(id="jjacob")
    session.track_conversation_turn(user="a", assistant="b")
    session.end_session()

    mindlytics_service.wait_for(turns=1, ended_conversations=1)
    mindlytics_service.wait_for(lambda: mindlytics_service.turns()[0].user == "a")


def test_waiting_in_vain_says_what_is_there(mindlytics_service: MindlyticsService):
    Client().create_session(id="jjacob").track_conversation_turn(user="a", assistant="b")

    with pytest.raises(AssertionError, match="user='a'"):
        mindlytics_service.wait_for(turns=2, timeout=0.05)


def test_the_app_s_default_client_records_there(mindlytics_service: MindlyticsService):
    assert default_client().config.destination.endpoint == mindlytics_service.url
    assert current_session() is None
    assert "test-key" not in repr(default_client())
