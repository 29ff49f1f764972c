"""The command `mindlytics import`, as a process of its own against live services."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from chaos import Chaos, Reply, Request
from cli_programs import PROGRAM, run, variables
from helpers import Service, events, shape

from mindlytics_cli.importing import _sending
from mindlytics_cli.importing._progress import Progress


def line(number: int, **more: Any) -> str:
    turn = {"user": f"question {number}", "assistant": "answer", "timestamp": "2025-01-31T12:00:00Z"}
    return json.dumps({"conversation_id": f"c-{number}", "turns": [turn], **more})


def file_of(directory: Path, *lines: str, name: str = "past.jsonl") -> str:
    path = directory / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def questions(found: list[dict[str, Any]]) -> list[str]:
    return [event["properties"]["user"] for event in found if event.get("event") == "Conversation Turn"]


def test_everything_arrives_with_its_time_and_a_bad_line_costs_no_neighbour(service: Service, tmp_path: Path):
    past = file_of(tmp_path, line(1), "not json", line(2, user_id="jjacob"), json.dumps({"turns": []}))

    done = run("import", past, environment=variables(service, tmp_path))

    assert done.returncode == 1
    assert done.stdout == "2 of 4 records read and sent, 10 events; 2 faulty\n"
    assert done.stderr.splitlines()[0].startswith(f"{past}:2: is not JSON")
    assert done.stderr.splitlines()[1].startswith(f"{past}:4: turns:")
    found = events(service)
    assert shape([event for event in found if event["session_id"] == "c-1"]) == [
        "start_session",
        "Conversation Started",
        "Conversation Turn",
        "Conversation Ended",
        "end_session",
    ]
    assert {event["timestamp"] for event in found} == {"2025-01-31T12:00:00.000000+00:00"}
    assert {event["user_id"] for event in found if event["session_id"] == "c-2"} == {"jjacob"}


def test_a_dry_run_needs_no_service_and_says_the_same(tmp_path: Path):
    past = file_of(tmp_path, line(1), "not json")

    done = run("import", "--dry-run", past, environment=dict(os.environ))

    assert (done.returncode, done.stdout) == (1, "1 of 2 records can be imported, 5 events; 1 faulty\n")
    assert f"{past}:2: is not JSON" in done.stderr


def test_a_second_import_sends_only_what_was_added(service: Service, tmp_path: Path):
    past = file_of(tmp_path, line(1))
    environment = variables(service, tmp_path)
    assert run("import", past, environment=environment).returncode == 0
    Path(past).write_text(line(1) + "\n" + line(2) + "\n", encoding="utf-8")

    done = run("import", past, environment=environment)

    assert done.returncode == 0
    assert "1 records were imported before" in done.stdout
    assert sorted(questions(events(service))) == ["question 1", "question 2"]


def test_two_imports_of_one_file_at_once_send_it_once(service: Service, tmp_path: Path):
    past, environment = file_of(tmp_path, line(1)), variables(service, tmp_path)
    state = Path(environment["XDG_STATE_HOME"]) / "mindlytics" / "imports"

    with Progress(state, Path(past), (service.url, service.project_id)).held():
        second = run("import", past, environment=environment)
    third = run("import", past, environment=environment)

    assert (second.returncode, third.returncode) == (1, 0)
    assert "another import of it into this project is running" in second.stderr
    assert questions(events(service)) == ["question 1"]


def test_a_line_that_is_still_being_written_is_imported_by_the_next_run(service: Service, tmp_path: Path):
    past = tmp_path / "past.jsonl"
    past.write_text(line(1) + "\n" + line(2)[:40], encoding="utf-8")
    environment = variables(service, tmp_path)
    first = run("import", str(past), environment=environment)
    past.write_text(line(1) + "\n" + line(2) + "\n", encoding="utf-8")

    second = run("import", str(past), environment=environment)

    assert (first.returncode, second.returncode) == (1, 0)
    assert sorted(questions(events(service))) == ["question 1", "question 2"]


def test_half_a_character_and_a_zero_byte_arrive_mended(service: Service, tmp_path: Path):
    past = file_of(tmp_path, r'{"turns": [{"user": "a\ud83d b\u0000 c", "assistant": ""}]}')

    assert run("import", past, environment=variables(service, tmp_path)).returncode == 0

    assert questions(events(service)) == ["a\ufffd b\ufffd c"]


def test_a_file_that_changed_is_not_gone_on_with_until_asked(service: Service, tmp_path: Path):
    past = file_of(tmp_path, line(1))
    environment = variables(service, tmp_path)
    assert run("import", past, environment=environment).returncode == 0
    Path(past).write_text(line(7) + "\n" + line(2) + "\n", encoding="utf-8")

    refused = run("import", past, environment=environment)
    anew = run("import", "--restart", past, environment=environment)

    assert refused.returncode == 1
    assert "has changed since the last run" in refused.stderr
    assert anew.returncode == 0
    assert sorted(questions(events(service))) == ["question 1", "question 2", "question 7"]


def test_a_pipe_is_read_as_a_file_is(service: Service, tmp_path: Path):
    export = json.dumps([json.loads(line(1)), json.loads(line(2))], indent=2).encode()

    done = run("import", "-", environment=variables(service, tmp_path), stdin=export)

    assert (done.returncode, done.stdout) == (0, "2 of 2 records read and sent, 10 events\n")
    assert sorted(questions(events(service))) == ["question 1", "question 2"]


def test_an_export_of_the_service_s_own_events_is_the_same_again(service: Service, tmp_path: Path):
    past = file_of(tmp_path, line(1, user_id="jjacob"))
    assert run("import", past, environment=variables(service, tmp_path)).returncode == 0
    stored = events(service)
    exported = file_of(tmp_path, *map(json.dumps, stored), name="events.jsonl")

    assert run("import", exported, environment=variables(service, tmp_path)).returncode == 0

    again = events(service)[len(stored) :]
    added = {"seq", "event_id", "received_at"}
    assert [{k: v for k, v in event.items() if k not in added} for event in again] == [
        {k: v for k, v in event.items() if k not in added} for event in stored
    ]


def test_a_wrong_key_stops_it_at_once_and_nothing_counts_as_imported(chaos: Chaos, tmp_path: Path):
    chaos.decide = lambda _: Reply(401, body="unknown key")
    past = file_of(tmp_path, line(1))
    environment = variables(chaos.url, tmp_path)

    stopped = run("import", past, environment=environment)
    chaos.decide = lambda _: Reply()
    done = run("import", past, environment=environment)

    assert stopped.returncode == 1
    assert "unknown key" in stopped.stderr
    assert "mindlytics doctor" in stopped.stderr
    assert "test-key" not in stopped.stdout + stopped.stderr
    assert (done.returncode, done.stdout) == (0, "1 of 1 records read and sent, 5 events\n")


def test_a_service_that_never_answers_stops_it_after_the_timeout(chaos: Chaos, tmp_path: Path):
    chaos.decide = lambda _: Reply(then="hang")

    done = run("import", "--timeout", "0.5", file_of(tmp_path, line(1)), environment=variables(chaos.url, tmp_path))

    assert done.returncode == 1
    assert "took nothing for" in done.stderr


def test_what_the_service_refuses_is_said_with_its_line_and_costs_no_neighbour(chaos: Chaos, tmp_path: Path):
    chaos.decide = lambda request: Reply(400, body="no\x1b[2J\nway") if b"question 2" in request.raw else Reply()
    past = file_of(tmp_path, line(1), line(2), line(3))

    done = run("import", past, environment=variables(chaos.url, tmp_path))

    assert done.returncode == 1
    assert f"{past}:2: the service refused an event of session c-2: HTTP 400: no [2J way\n" in done.stderr
    assert "2 of 3 records" in done.stdout
    taken = [each["properties"]["user"] for each in chaos.events() if each.get("event") == "Conversation Turn"]
    assert {"question 1", "question 3"} <= set(taken)


def long_line(number: int) -> str:
    """A conversation of seven events, so that windows end inside of one."""
    turns = [{"user": "a", "assistant": "b", "functions": [{"name": "f"}]}, {"user": "c", "assistant": "d"}]
    return json.dumps({"conversation_id": f"c-{number}", "turns": turns})


def process_of(request: Request) -> str:
    """The random beginning of its key, which names the process that sent it."""
    return request.headers["idempotency-key"][:20]


def conversations_per_window() -> int:
    return -(-_sending.MOST_EVENTS // 7)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_what_was_interrupted_goes_on_where_the_service_was_sure(chaos: Chaos, tmp_path: Path, number: signal.Signals):
    window = conversations_per_window()
    past = file_of(tmp_path, *(long_line(i) for i in range(2 * window + 5)))
    environment = variables(chaos.url, tmp_path)
    opened = threading.Event()
    second: list[Request] = []

    def decide(request: Request) -> Reply:
        # The second window's events are never answered while the first process lives.
        # A killed process may leave half a body: it is no JSON then.
        late = any(int(number) >= window for number in re.findall(rb'"session_id":"c-(\d+)"', request.raw))
        if late and not opened.is_set():
            second.append(request)
            return Reply(then="hang")
        return Reply()

    chaos.decide = decide
    with subprocess.Popen(
        [*PROGRAM, "import", past], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        chaos.wait_until(lambda: bool(second))
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert (b"interrupted" in err) == (number == signal.SIGINT)
    opened.set()
    # What a killed process had sent may be read only now; its keys tell it from the second one's.
    first = {process_of(request) for request in list(chaos.requests)}

    done = run("import", past, environment=environment)

    assert done.returncode == 0
    assert f"{window} records were imported before" in done.stdout
    resent = [event for request in chaos.requests if process_of(request) not in first for event in request.json]
    assert {event["session_id"] for event in resent} == {f"c-{i}" for i in range(window, 2 * window + 5)}


def test_a_text_that_is_too_long_is_cut_and_counted_as_everywhere(service: Service, tmp_path: Path):
    past = file_of(tmp_path, json.dumps({"turns": [{"user": "x" * 300_000, "assistant": ""}]}))

    done = run("import", past, environment=variables(service, tmp_path))

    turn = events(service)[2]["properties"]
    assert done.returncode == 0
    assert len(turn["user"]) + turn["truncated_chars"] >= 300_000


def test_an_event_that_no_queue_takes_is_named_with_its_line(service: Service, tmp_path: Path):
    many = {f"p{number}": "x" * 1_000 for number in range(300)}
    past = file_of(tmp_path, line(1), json.dumps({"turns": [{"user": "a", "assistant": "b", "properties": many}]}))

    done = run("import", past, environment=variables(service, tmp_path))

    assert done.returncode == 1
    assert done.stderr == f"{past}:2: an event of it is too large\n"
    assert questions(events(service)) == ["question 1"]


def test_more_than_the_queue_holds_is_imported_without_a_loss(chaos: Chaos, tmp_path: Path):
    past = file_of(tmp_path, *(line(i) for i in range(2_400)))

    done = run("import", past, environment=variables(chaos.url, tmp_path))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "2,400 of 2,400 records read and sent, 12,000 events\n"
    assert len(chaos.events()) == 12_000


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["import", "no-such-file"], 1, "no-such-file: No such file"),
        (["import"], 2, "FILE"),
        (["import", "--format", "xml", "x"], 2, "xml"),
        (["import", "--timeout", "0", "x"], 2, "--timeout"),
    ],
)
def test_a_wrong_command_line_is_said(arguments: list[str], code: int, said: str, tmp_path: Path):
    done = run(*arguments, environment=variables("http://127.0.0.1:1", tmp_path))

    assert done.returncode == code
    assert said in done.stderr


def test_without_a_key_it_says_how_to_get_one(tmp_path: Path):
    done = run("import", file_of(tmp_path, line(1)), environment=dict(os.environ))

    assert done.returncode == 1
    assert "MLSDK_API_KEY" in done.stderr


def test_what_a_stopped_import_did_not_send_is_left_to_the_next_one_and_not_to_the_spool(chaos: Chaos, tmp_path: Path):
    chaos.decide = lambda _: Reply(401)
    spool = tmp_path / "spool"
    spool.mkdir()

    done = run(
        "import",
        file_of(tmp_path, line(1)),
        environment=variables(chaos.url, tmp_path, MLSDK_SPOOL_DIR=str(spool)),
    )

    assert done.returncode == 1
    assert list(spool.iterdir()) == []


def test_switched_off_it_says_so_instead_of_sending_nothing(service: Service, tmp_path: Path):
    environment = variables(service, tmp_path, MLSDK_DISABLED="1")

    done = run("import", file_of(tmp_path, line(1)), environment=environment)

    assert done.returncode == 1
    assert "MLSDK_DISABLED" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_on_a_terminal_a_bar_shows_how_far_it_is_and_leaves_nothing_behind(service: Service, tmp_path: Path):
    import pty  # noqa: PLC0415  # not on every system

    past = file_of(tmp_path, *(line(i) for i in range(400)))
    terminal, end = pty.openpty()
    environment = variables(service, tmp_path, TERM="xterm", COLUMNS="100")
    done = subprocess.run(
        [*PROGRAM, "import", past], env=environment, stdout=subprocess.PIPE, stderr=end, timeout=60, check=False
    )
    os.close(end)
    shown = b""
    # Linux ends a terminal without a writer by an error.
    with contextlib.suppress(OSError):
        while more := os.read(terminal, 65_536):
            shown += more
    os.close(terminal)

    assert done.stdout == b"400 of 400 records read and sent, 2,000 events\n"
    assert re.search(rb"\d+%.* records, [\d,]+ events", shown)
    assert shown.rstrip().endswith((b"\x1b[?25h", b"\x1b[2K"))
