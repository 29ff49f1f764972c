"""The command `mindlytics doctor` against a live service, and against everything that can be in the way."""

import contextlib
import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from chaos import Chaos, Reply
from cli_programs import run, variables
from helpers import Service, events, shape

from mindlytics_core.cli import main
from mindlytics_local import start

Diagnosis = tuple[int, dict[str, dict[str, str]]]


@pytest.fixture
def diagnose(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Diagnosis]:
    """Runs the doctor on an address; gives the exit code and what was found, by check."""

    def examined(url: str, *arguments: str, key: str = "secret-key") -> Diagnosis:
        monkeypatch.setenv("MLSDK_API_KEY", key)
        monkeypatch.setenv("MLSDK_PROJECT_ID", "some-project")
        code = main(["doctor", "--json", "--timeout", "5", "--server", url, *arguments])
        captured = capsys.readouterr()
        assert "secret" not in captured.out + captured.err
        told: dict[str, Any] = json.loads(captured.out)
        assert told["ok"] == (code == 0)
        return code, {finding["check"]: finding for finding in told["findings"]}

    return examined


def test_with_a_live_service_all_is_well_and_the_test_conversation_arrives(service: Service, tmp_path: Path):
    done = run("doctor", environment=variables(service, tmp_path))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\nAll is well.\n")
    assert "ok      sending: the service took a test conversation of 6 events\n" in done.stdout
    assert "ok      reading back: all 6 events are there\n" in done.stdout
    found = events(service)
    assert shape(found) == [
        "start_session",
        "Conversation Started",
        "Conversation Function",
        "Conversation Turn",
        "Conversation Ended",
        "end_session",
    ]
    assert {event["device_id"] for event in found} == {"mindlytics-doctor"}


def test_it_sends_nothing_when_told_so(service: Service, tmp_path: Path):
    done = run("doctor", "--no-send", environment=variables(service, tmp_path))

    assert done.returncode == 0
    assert "sending: not tried" in done.stdout
    assert events(service) == []


def test_with_nothing_set_it_says_what_to_set():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLSDK_")}

    done = run("doctor", environment=environment)

    assert done.returncode == 1
    assert "MLSDK_API_KEY is not set" in done.stdout
    assert "MLSDK_PROJECT_ID is not set" in done.stdout
    assert done.stdout.endswith("\n2 to mend.\n")


def test_a_wrong_key_is_told_from_a_right_one(diagnose: Callable[..., Diagnosis]):
    with start(api_keys=["right-secret"]) as service:
        right, well = diagnose(service.url, key="right-secret")
        wrong, ill = diagnose(service.url)

    assert (right, well["reading back"]["level"]) == (0, "ok")
    assert (wrong, ill["key and project"]["level"], ill["sending"]["level"]) == (1, "fault", "note")
    assert "MLSDK_API_KEY" in ill["key and project"]["advice"]


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_a_service_that_refuses_is_explained(chaos: Chaos, diagnose: Callable[..., Diagnosis], status: int):
    chaos.decide = lambda _: Reply(status)

    code, found = diagnose(chaos.url)

    assert (code, found["key and project"]["level"]) == (1, "fault")
    assert f"HTTP {status}" in found["key and project"]["text"]


@pytest.mark.parametrize("then", ["hang", "drip", "reset"])
def test_a_service_that_never_answers_whole_is_given_up_on(chaos: Chaos, diagnose: Callable[..., Diagnosis], then: str):
    chaos.decide = lambda _: Reply(then=then)

    code, found = diagnose(chaos.url, *(() if then == "reset" else ("--timeout", "0.3")))

    assert (code, found["key and project"]["level"]) == (1, "fault")
    assert ("Timeout" in found["key and project"]["text"]) == (then != "reset")


def test_a_service_that_takes_no_events_is_found_by_sending(chaos: Chaos, tmp_path: Path):
    chaos.decide = lambda request: Reply(401, body="not you") if "queue" in request.path else Reply()

    done = run("doctor", environment=variables(chaos.url, tmp_path))

    assert done.returncode == 1
    assert "fault   sending: of 6 events the service took 0" in done.stdout
    assert "HTTP 401: not you" in done.stdout


def test_a_refused_event_is_told_with_the_service_s_words(chaos: Chaos, diagnose: Callable[..., Diagnosis]):
    chaos.decide = lambda request: Reply(400, body="no tools") if b"doctor_check" in request.raw else Reply()

    code, found = diagnose(chaos.url)

    assert code == 1
    assert "1 as rejected_400: HTTP 400: no tools" in found["sending"]["text"]


def test_a_service_that_cannot_be_read_is_only_noted(chaos: Chaos, diagnose: Callable[..., Diagnosis]):
    code, found = diagnose(chaos.url)

    assert (code, found["sending"]["level"], found["reading back"]["level"]) == (0, "ok", "note")


def test_a_wrong_clock_is_found(chaos: Chaos, diagnose: Callable[..., Diagnosis]):
    date = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
    chaos.decide = lambda _: Reply(headers={"Date": date})

    code, found = diagnose(chaos.url)

    assert (code, found["clock"]["level"]) == (1, "fault")
    assert "behind" in found["clock"]["text"]


def test_a_port_where_nothing_listens_is_found(diagnose: Callable[..., Diagnosis]):
    with socket.create_server(("127.0.0.1", 0)) as once:
        port = once.getsockname()[1]

    code, found = diagnose(f"http://127.0.0.1:{port}")

    assert (code, found["connection"]["level"]) == (1, "fault")
    assert "mindlytics local" in found["connection"]["advice"]
    assert found["key and project"]["level"] == "note"


def test_a_host_that_is_none_is_found(diagnose: Callable[..., Diagnosis]):
    code, found = diagnose("https://nobody.invalid")

    assert (code, found["name"]["level"]) == (1, "fault")
    assert "connection" not in found


@pytest.mark.parametrize(("directory", "level"), [("new/spool", "ok"), ("file/spool", "fault")])
def test_a_spool_is_looked_at_and_not_made(service: Service, tmp_path: Path, directory: str, level: str):
    (tmp_path / "file").touch()
    environment = variables(service, tmp_path, MLSDK_SPOOL_DIR=str(tmp_path / directory))

    done = run("doctor", environment=environment)

    assert done.returncode == (level == "fault")
    assert f"{level:8}spool: " in done.stdout
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("url", ["ftp://a", "localhost:3000", "http://a:99999", "http://[::1"])
def test_an_address_that_is_none_is_found(diagnose: Callable[..., Diagnosis], url: str):
    code, found = diagnose(url)

    assert (code, found["configuration"]["level"]) == (1, "fault")


def test_a_proxy_is_named_without_its_password(
    diagnose: Callable[..., Diagnosis], chaos: Chaos, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("http_proxy", f"http://me:secret@127.0.0.1:{chaos.port}")

    _, found = diagnose("http://service.invalid")

    assert f"127.0.0.1:{chaos.port}" in found["proxy"]["text"]
    assert "name" not in found
    assert found["sending"]["level"] == "ok"


CA = trustme.CA()
PAST = {"not_before": datetime(2020, 1, 1, tzinfo=UTC), "not_after": datetime(2020, 2, 1, tzinfo=UTC)}


@contextlib.contextmanager
def serving(serve: Callable[[socket.socket], object]) -> Iterator[str]:
    """A server that does one thing with each connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    serve(connection)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"https://localhost:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def certified(connection: socket.socket, configure: Callable[[ssl.SSLContext], object]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    configure(context)
    with context.wrap_socket(connection, server_side=True) as secured:
        secured.recv(1)


def self_signed(context: ssl.SSLContext) -> None:
    own = trustme.CA()
    with own.private_key_pem.tempfile() as key, own.cert_pem.tempfile() as certificate:
        context.load_cert_chain(certificate, key)


@pytest.mark.parametrize(
    ("configure", "expected"),
    [
        (CA.issue_cert("localhost").configure_cert, ("ok", "is good for")),
        (CA.issue_cert("localhost", **PAST).configure_cert, ("fault", "has expired")),
        (CA.issue_cert("example.org").configure_cert, ("fault", "another host")),
        (trustme.CA().issue_cert("localhost").configure_cert, ("fault", "nobody whom")),
        (self_signed, ("fault", "is self-signed")),
    ],
    ids=["good", "expired", "wrong host", "unknown authority", "self-signed"],
)
def test_certificates(
    configure: Callable[[ssl.SSLContext], object],
    expected: tuple[str, str],
    diagnose: Callable[..., Diagnosis],
    monkeypatch: pytest.MonkeyPatch,
):
    level, said = expected
    with CA.cert_pem.tempfile() as trusted, serving(lambda connection: certified(connection, configure)) as url:
        monkeypatch.setenv("SSL_CERT_FILE", trusted)
        code, found = diagnose(url)

    # Nobody speaks HTTP there, so that something is always wrong.
    assert code == 1
    assert (found["TLS"]["level"], said in found["TLS"]["text"]) == (level, True)


def test_a_port_without_tls_is_found(diagnose: Callable[..., Diagnosis]):
    with serving(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url:
        code, found = diagnose(url)

    assert (code, found["TLS"]["level"]) == (1, "fault")
    assert "does not speak TLS" in found["TLS"]["text"]


def test_a_wrong_command_line_is_2(tmp_path: Path):
    done = run("doctor", "--api-key", "k", environment=variables("http://127.0.0.1:1", tmp_path))

    assert done.returncode == 2
