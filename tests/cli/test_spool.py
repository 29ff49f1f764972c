"""The command `mindlytics spool`, on what real processes have left."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from chaos import Chaos, Reply
from cli_programs import run, variables
from helpers import Service, events, shape

from mindlytics_core import Client, Delivery
from mindlytics_core._chunks import Chunk
from mindlytics_core._config import Destination
from mindlytics_core._spool import SpoolFile, files

#: Tries again soon, so that a test hears of it.
WAITING = Delivery(linger=0.01, retry_base=0.01, retry_cap=0.02)


def leave(directory: Path, service: Service, count: int = 3, *, project_id: str | None = None) -> Path:
    """A file as a killed process leaves it."""
    destination = Destination(service.url, "key", project_id or service.project_id)
    file = SpoolFile.create(directory, destination, max_bytes=2**20, survive_power_loss=False)
    bodies = [
        b'{"type":"track","event":"e%d","session_id":"s","user_id":"ann","timestamp":"2026-01-01T00:00:00Z"}' % number
        for number in range(count)
    ]
    file.commit([Chunk("s", bodies, time.time())], ())
    file.close()
    return file.path


def test_replay_delivers_the_project_s_events_and_leaves_others_alone(service: Service, tmp_path: Path):
    leave(tmp_path, service)
    other = leave(tmp_path, service, project_id="another")

    done = run("spool", "replay", str(tmp_path), environment=variables(service, tmp_path))

    assert (done.returncode, done.stdout, done.stderr) == (0, "3 events delivered\n", "")
    assert shape(events(service)) == ["e0", "e1", "e2"]
    assert files(tmp_path) == [other]


def test_replay_says_when_something_is_left(chaos: Chaos, tmp_path: Path):
    chaos.decide = lambda _: Reply(503)
    destination = Destination(chaos.url, "key", "test-project")
    file = SpoolFile.create(tmp_path, destination, max_bytes=2**20, survive_power_loss=False)
    file.commit([Chunk("s", [b"{}"], time.time())], ())
    file.close()

    done = run("spool", "replay", str(tmp_path), "--timeout", "0.5", environment=variables(chaos.url, tmp_path))

    assert done.returncode == 1
    assert done.stdout == "0 events delivered\n"
    assert "some are left" in done.stderr
    assert files(tmp_path) == [file.path]


def test_export_writes_each_event_as_a_line_and_deletes_nothing(service: Service, tmp_path: Path):
    path = leave(tmp_path, service)

    done = run("spool", "export", str(tmp_path), environment=variables(service, tmp_path))

    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()] == ["e0", "e1", "e2"]
    assert files(tmp_path) == [path]
    assert events(service) == []


def test_status_tells_what_is_in_use_left_behind_and_corrupt(
    service: Service, chaos: Chaos, new_client: Callable[..., Client], tmp_path: Path
):
    left = leave(tmp_path, service, 5)
    (tmp_path / "x.spool.corrupt").write_bytes(b"?")
    chaos.decide = lambda _: Reply(503)
    running = new_client(server_endpoint=chaos.url, spool_dir=tmp_path, delivery=WAITING)
    running.create_session(id="ann").track_event(event="waits")
    chaos.wait_until(lambda: len(files(tmp_path)) == 2)

    done = run("spool", "status", str(tmp_path), environment=variables(service, tmp_path))

    chaos.decide = lambda _: Reply()
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert len(lines) == 3
    assert any(
        line.startswith(left.stem) and "left behind       5 events" in line and service.project_id in line
        for line in lines
    )
    assert sum("in use" in line for line in lines) == 1
    assert "x.spool.corrupt" in lines[-1]
    assert left in files(tmp_path)


def test_what_the_service_refused_is_kept_with_its_answer(
    chaos: Chaos, new_client: Callable[..., Client], tmp_path: Path
):
    chaos.decide = lambda request: Reply(400, body="what a word") if b"guilty" in request.raw else Reply()
    client = new_client(server_endpoint=chaos.url, spool_dir=tmp_path, delivery=Delivery(linger=0.01))
    session = client.create_session(id="ann")
    for name in ("fine", "guilty", "fine", "guilty"):
        session.track_event(event=name)
    assert client.flush_sync(10).dropped == {"rejected_400": 2}
    client.close()

    status = run("spool", "status", str(tmp_path), environment=variables(chaos.url, tmp_path))
    export = run("spool", "export", "--refused", str(tmp_path), environment=variables(chaos.url, tmp_path))

    assert (status.returncode, export.returncode, export.stderr) == (0, 0, "")
    assert "refused           2 events" in status.stdout
    kept = [json.loads(line) for line in export.stdout.splitlines()]
    assert [(line["status"], line["message"], line["event"]["event"]) for line in kept] == [
        (400, "what a word", "guilty")
    ] * 2
    assert files(tmp_path) == []


@pytest.mark.parametrize("action", ["status", "replay", "export"])
def test_a_directory_that_is_not_there_is_said(service: Service, tmp_path: Path, action: str):
    done = run("spool", action, str(tmp_path / "nowhere"), environment=variables(service, tmp_path))

    assert done.returncode == 1
    assert "is no directory" in done.stderr
