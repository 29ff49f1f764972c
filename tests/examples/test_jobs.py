"""The examples without a server: a worker's pool, a serverless function."""

import signal
from pathlib import Path

import pytest
from helpers import Service
from provider import ANSWER

#: A worker that looks for no others is quicker to start and to stop.
ALONE = ("--without-mingle", "--without-gossip", "--without-heartbeat")
QUESTIONS = ["Where is my order?", "When does it arrive?", "Thank you."]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Celery's prefork pool needs fork")
def test_a_prefork_worker_delivers_what_its_children_recorded_before_they_leave(service: Service, run, tmp_path: Path):
    configuration = tmp_path / "celeryconfig.py"
    folders = {name: str(tmp_path) for name in ("data_folder_in", "data_folder_out", "control_folder")}
    configuration.write_text(f"broker_transport_options = {folders!r}\n")
    settings = {
        "CELERY_BROKER_URL": "filesystem://",
        "CELERY_CONFIG_MODULE": "celeryconfig",
        "PYTHONPATH": str(tmp_path),
    }
    send = "import sys, celery_worker\nfor question in sys.argv[1:]: celery_worker.answer.delay('jjacob', question)"
    sender = run("-c", send, *QUESTIONS, **settings)
    assert sender.wait(30) == 0, sender.stdout.read()

    arguments = ("--app", "celery_worker", "worker", "--concurrency", "2", "--loglevel", "INFO", *ALONE)
    worker = run("-m", "celery", *arguments, **settings)
    done = 0
    while done < len(QUESTIONS):
        line = worker.stdout.readline()
        assert line, "it ended before its work was done"
        done += "succeeded" in line
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=30)

    assert sorted(turn.user for turn in service.turns()) == sorted(QUESTIONS)
    assert {(turn.assistant, turn.user_id) for turn in service.turns()} == {(ANSWER, "jjacob")}
    assert all(conversation.is_ended for conversation in service.conversations())


def test_a_serverless_function_has_delivered_its_conversation_when_it_returns(service: Service, run):
    calls = """
import os, signal, lambda_handler
for question in ("Where is my order?", "When?"):
    answer = lambda_handler.handler({"user_id": "jjacob", "question": question}, None)
    assert answer["body"] == "On its way.", answer
os.kill(os.getpid(), signal.SIGKILL)  # a frozen process may never go on
"""
    function = run("-c", calls)
    said, _ = function.communicate(timeout=30)

    assert (said, function.returncode) == ("", -signal.SIGKILL)
    conversations = service.conversations()
    assert [(len(conversation.turns), conversation.is_ended) for conversation in conversations] == [(1, True)] * 2
    assert [turn.user for turn in service.turns()] == ["Where is my order?", "When?"]
