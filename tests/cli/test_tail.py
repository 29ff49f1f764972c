"""The command `mindlytics tail`, as a process of its own that listens to a live service."""

import contextlib
import json
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from chaos import Chaos, Reply
from cli_programs import PROGRAM, run, variables
from helpers import Service

from mindlytics_core import Client
from mindlytics_local import start


@contextlib.contextmanager
def tailing(*arguments: str, environment: dict[str, str]) -> "Iterator[subprocess.Popen[str]]":
    """A `tail` whose connection stands."""
    command = [*PROGRAM, "tail", *arguments]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        try:
            assert "listening to project" in said(process)
            yield process
        finally:
            process.kill()


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stderr is not None
    return process.stderr.readline()


def heard(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def hold(client: Client, user: str, session_id: str) -> None:
    session = client.create_session(id=user, session_id=session_id, conversation_id=f"c-{user}")
    session.track_conversation_turn(user=f"I am {user}", assistant="Hello!")
    session.end_session()
    assert client.flush_sync(10)


def test_what_happens_is_seen_as_it_happens(service: Service, client: Client, tmp_path: Path):
    with tailing(environment=variables(service, tmp_path)) as process:
        hold(client, "jjacob", "s-1")
        lines = [heard(process) for _ in range(6)]

    assert [each.split(maxsplit=3)[3].strip() for each in lines[1:3]] == [
        "started",
        "turn          “I am jjacob” → “Hello!”",
    ]
    assert all("jjacob" in each for each in lines)
    assert lines[-1].split()[-2:] == ["session", "end"]


@pytest.mark.parametrize("choice", [("--session", "s-2"), ("--user", "eve")])
def test_only_what_was_asked_for_is_shown_as_json(
    choice: tuple[str, str], service: Service, client: Client, tmp_path: Path
):
    with tailing("--json", *choice, environment=variables(service, tmp_path)) as process:
        hold(client, "jjacob", "s-1")
        hold(client, "eve", "s-2")
        events = [json.loads(heard(process)) for _ in range(6)]

    assert {(event["session_id"], event["user_id"]) for event in events} == {("s-2", "eve")}
    assert events[2]["properties"] == {"user": "I am eve", "assistant": "Hello!"}


def test_ctrl_c_ends_it_without_a_word(service: Service, tmp_path: Path):
    with tailing(environment=variables(service, tmp_path)) as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)

    assert (process.returncode, out, err) == (130, "", "")


def test_a_reader_that_goes_ends_it_without_a_word(service: Service, client: Client, tmp_path: Path):
    with tailing(environment=variables(service, tmp_path)) as process:
        assert process.stdout is not None
        process.stdout.close()
        hold(client, "jjacob", "s-1")
        assert process.stderr is not None
        err = process.stderr.read()
        process.wait(20)

    assert (process.returncode, err) == (141, "")


def test_a_lost_connection_is_said_and_made_again(tmp_path: Path):
    with contextlib.ExitStack() as first:
        before = first.enter_context(start())
        environment = variables(before.url, tmp_path)
        with tailing(environment=environment) as process:
            first.close()
            assert "connecting again" in said(process)
            with start(port=urlsplit(before.url).port or 0) as after:
                speak_until_heard(after.url, process)


def speak_until_heard(url: str, process: "subprocess.Popen[str]") -> None:
    """What happens before the connection stands again is heard by nobody."""
    with Client("test-key", "test-project", url) as client:
        session = client.create_session(id="jjacob")
        for _ in range(200):
            session.track_event(event="Again")
            assert client.flush_sync(10)
            if select.select([process.stdout], [], [], 0.1)[0]:
                return
    raise AssertionError("the connection was not made again")


def test_a_wrong_key_is_one_line_and_a_failure(tmp_path: Path):
    with start(api_keys=["right-key"]) as service:
        done = run("tail", environment=variables(service.url, tmp_path))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("mindlytics tail: HTTP 401")
    assert "mindlytics doctor" in done.stderr
    assert "test-key" not in done.stderr


def test_a_service_without_live_events_is_one_line_and_a_failure(chaos: Chaos, tmp_path: Path):
    chaos.decide = lambda _: Reply(404, body="no such path")

    done = run("tail", environment=variables(chaos.url, tmp_path))

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    ("more", "word"), [({"MLSDK_DISABLED": "1"}, "MLSDK_DISABLED"), ({"MLSDK_API_KEY": ""}, "MLSDK_API_KEY")]
)
def test_what_is_set_wrong_is_said(more: dict[str, str], word: str, tmp_path: Path):
    done = run("tail", environment=variables("http://127.0.0.1:1", tmp_path, **more))

    assert done.returncode == 1
    assert word in done.stderr
