"""The web servers among the examples."""

import re
import signal

import httpx
import pytest
from helpers import Service
from provider import ANSWER, ENDLESS, WORDS

HEADERS = {"X-User-Id": "jjacob", "X-Session-Id": "visit-1"}


STREAMED = {f"X-Mindlytics{name[1:]}": value for name, value in HEADERS.items()}


def address(program) -> str:
    """Where a server says that it listens."""
    for line in program.stdout:
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            return found[0]
    pytest.fail("it did not start")


def test_a_chat_that_is_streamed_twice_is_one_conversation_of_the_user_in_the_headers(service: Service, run):
    server = run("-m", "uvicorn", "fastapi_chat:app", "--port", "0")
    with httpx.Client(base_url=address(server), headers=STREAMED, trust_env=False) as http:
        messages = [{"role": "user", "content": "Where is my order?"}]
        first = http.post("/chat", json={"messages": messages}).text
        messages += [{"role": "assistant", "content": first}, {"role": "user", "content": "When?"}]
        second = http.post("/chat", json={"messages": messages}).text
    server.send_signal(signal.SIGTERM)
    server.wait(20)

    assert (first, second) == (ANSWER, ANSWER)
    service.wait_for(ended_conversations=1)
    turns = service.turns()
    assert [(turn.user, turn.assistant) for turn in turns] == [("Where is my order?", ANSWER), ("When?", ANSWER)]
    assert {turn.conversation_id for turn in turns} == {turns[0].conversation_id}
    assert {(turn.user_id, turn.session_id) for turn in turns} == {("jjacob", "visit-1")}


def test_a_reader_who_goes_away_leaves_a_turn_as_far_as_they_saw_it(service: Service, run):
    server = run("-m", "uvicorn", "fastapi_chat:app", "--port", "0")
    asked = {"messages": [{"role": "user", "content": ENDLESS}]}
    with (
        httpx.Client(base_url=address(server), trust_env=False) as http,
        http.stream("POST", "/chat", json=asked) as answer,
    ):
        seen = next(answer.iter_text())

    service.wait_for(turns=1)
    (turn,) = service.turns()
    assert (turn.assistant, seen) == (WORDS[0], WORDS[0])
    assert turn.properties["interrupted"] is True


def test_a_conversation_that_the_address_names_goes_on_until_it_is_ended(service: Service, run):
    server = run("-m", "flask", "--app", "flask_view", "run", "--port", "0")
    with httpx.Client(base_url=address(server), headers=HEADERS, trust_env=False) as http:
        for question in ("Where is my order?", "When?"):
            answer = http.post("/conversations/order-7", json={"question": question}).json()
            assert answer == {"answer": ANSWER}
        service.wait_for(turns=2)
        assert not service.conversations()[0].is_ended
        assert http.delete("/conversations/order-7").status_code == 204

    service.wait_for(ended_conversations=1)
    (conversation,) = service.conversations()
    assert conversation.conversation_id == "order-7"
    assert [(turn.user, turn.user_id) for turn in conversation.turns] == [
        ("Where is my order?", "jjacob"),
        ("When?", "jjacob"),
    ]
