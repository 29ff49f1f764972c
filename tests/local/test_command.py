"""The command `mindlytics local`."""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

import httpx
import pytest

from mindlytics_local import LocalService, command, serve, start


def parsed(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(argv)


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> list[LocalService]:
    """Each service that the command has announced; it is asked to stop as soon as it is."""
    services: list[LocalService] = []

    def told(service: LocalService, args: argparse.Namespace) -> None:
        original(service, args)
        services.append(service)
        assert httpx.get(f"{service.url}/health", trust_env=False).status_code == 200
        os.kill(os.getpid(), signal.SIGTERM)

    original = command._announce
    monkeypatch.setattr(command, "_announce", told)
    return services


def test_it_says_where_it_is_and_what_to_set(
    announced: list[LocalService], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    code = command.run(parsed("--port", "0", "--db", str(tmp_path / "x.db")))

    out = capsys.readouterr().out
    assert code == 0
    assert f"The page: {announced[0].url}\n" in out
    assert f"MLSDK_SERVER_BASE={announced[0].url}\n" in out
    assert "MLSDK_API_KEY=anything\n" in out
    assert "MLSDK_PROJECT_ID=anything\n" in out
    assert (tmp_path / "x.db").exists()


def test_a_port_in_use_is_one_line_and_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with start() as service:
        port = service.url.rpartition(":")[2]

        code = command.run(parsed("--port", port, "--db", str(tmp_path / "x.db")))

    assert code == 1
    assert (
        capsys.readouterr().err == f"mindlytics local: cannot listen on 127.0.0.1 port {port}: Address already in use\n"
    )


def test_an_open_interface_without_a_key_is_warned_about(
    announced: list[LocalService], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    db = str(tmp_path / "x.db")

    command.run(parsed("--host", "0.0.0.0", "--port", "0", "--db", db))  # noqa: S104  # what is warned about
    warned = capsys.readouterr().err
    command.run(parsed("--host", "0.0.0.0", "--port", "0", "--db", db, "--api-key", "k"))  # noqa: S104
    silent = capsys.readouterr()

    assert "--api-key" in warned
    assert silent.err == ""
    assert "one of your keys" in silent.out
    assert all(service.url.startswith("http://127.0.0.1:") for service in announced)


def test_the_browser_is_opened_when_asked(
    announced: list[LocalService], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)

    command.run(parsed("--port", "0", "--db", str(tmp_path / "x.db"), "--open"))

    assert opened == [announced[0].url]


@pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="these keep data elsewhere")
def test_data_goes_where_the_system_keeps_data(
    announced: list[LocalService], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    command.run(parsed("--port", "0"))

    assert announced[0].db == tmp_path / "mindlytics" / "mindlytics.db"
    assert announced[0].db.exists()


def test_the_default_file_is_said_in_the_help(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        parsed("--help")

    assert "mindlytics.db" in capsys.readouterr().out


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_is_refused(port: str):
    with pytest.raises(SystemExit):
        parsed("--port", port)


def test_ctrl_c_stops_it_and_gives_the_signals_back():
    before = signal.getsignal(signal.SIGTERM)
    service = start()

    serve(service, ready=lambda _: signal.raise_signal(signal.SIGINT))

    assert signal.getsignal(signal.SIGTERM) is before
    assert "stopped" in repr(service)
    assert threading.main_thread().is_alive()
