"""The service as a whole: starting, stopping, its file, its threads."""

import gc
import logging
import socket
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import httpx
import pytest
from local.builders import turn
from local.conftest import Project, http_client

from mindlytics_local import LocalService, start


def count(url: str) -> int:
    with http_client(url) as http:
        found: int = http.get("/bc/v1/db/events/count").json()["count"]
        return found


def fill(service: LocalService) -> None:
    project = Project(service.url)
    with project.http:
        project.take(turn())


def test_a_free_port_and_a_temporary_file_are_all_it_needs():
    with start() as service:
        assert service.url.startswith("http://127.0.0.1:")
        assert service.db.exists()
        fill(service)

    assert not service.db.exists()
    assert not service.db.parent.exists()


def test_a_named_file_outlives_the_service(tmp_path: Path):
    db = tmp_path / "kept.db"
    with start(db=db) as service:
        fill(service)
    with start(db=str(db)) as service:
        assert service.db == db
        assert count(service.url) == 1

    # Everything is in the one file: nothing of the log beside it is left.
    assert [path.name for path in tmp_path.iterdir()] == ["kept.db"]


def test_stopping_twice_is_fine_and_leaves_nothing_behind():
    before = set(threading.enumerate())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        service = start()
        fill(service)
        service.stop()
        service.stop()
        gc.collect()

    assert set(threading.enumerate()) == before
    assert "stopped" in repr(service)
    with pytest.raises(httpx.ConnectError):
        count(service.url)


def test_a_port_in_use_is_named():
    with start() as service:
        port = int(service.url.rpartition(":")[2])

        with pytest.raises(OSError, match=rf"127\.0\.0\.1 port {port}: Address already in use"):
            start(port=port)


def test_a_host_that_is_none_is_named():
    with pytest.raises(OSError, match=r"no-such-host\.invalid"):
        start(host="no-such-host.invalid")


def test_a_file_that_is_no_database_is_named(tmp_path: Path):
    db = tmp_path / "letter.txt"
    db.write_text("Dear all, " * 1000)
    before = set(threading.enumerate())

    with pytest.raises(OSError, match=r"letter\.txt"):
        start(db=db)
    with pytest.raises(OSError, match="nowhere"):
        start(db=tmp_path / "nowhere" / "x.db")

    assert set(threading.enumerate()) == before
    assert db.read_text().startswith("Dear all")


def test_the_hosts_logging_is_left_alone(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    names = ("", "uvicorn", "uvicorn.error", "uvicorn.access")
    before = [(logging.getLogger(name).level, list(logging.getLogger(name).handlers)) for name in names]

    with start() as service:
        fill(service)
        logging.getLogger("uvicorn.error").info("the host's own server")

    assert [(logging.getLogger(name).level, list(logging.getLogger(name).handlers)) for name in names] == before
    assert [record.message for record in caplog.records if record.name.startswith("uvicorn")] == [
        "the host's own server"
    ]


def test_several_services_live_side_by_side():
    with start() as one, start() as other:
        fill(one)

        assert (count(one.url), count(other.url)) == (1, 0)


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_an_ipv6_address_is_written_as_one():
    try:
        service = start(host="::1")
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with service:
        assert service.url.startswith("http://[::1]:")
        assert count(service.url) == 0


def test_a_full_disk_is_told_so_that_the_client_tries_again(tmp_path: Path):
    with start(db=tmp_path / "small.db") as service:
        project = Project(service.url)
        with project.http:
            # The last page that the file may have is the one it has now.
            project.take(turn("fits"))
            service._store._writer.submit(lambda db: db.execute("PRAGMA max_page_count = 1").fetchone()).result()
            refused = project.send(turn("x" * 1_000_000))
            service._store._writer.submit(lambda db: db.execute("PRAGMA max_page_count = 100000").fetchone()).result()
            taken = project.send(turn("again"))

            assert refused.status_code == 503
            assert "full" in refused.text
            assert taken.status_code == 200
            assert len(project.ask("events")) == 2


@pytest.mark.parametrize("missing", ["starlette", "uvicorn", "websockets"])
def test_what_is_not_installed_is_named_with_how_to_get_it(missing: str):
    program = f"import sys; sys.modules[{missing!r}] = None; import mindlytics_local"

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert ended.stderr.rstrip().endswith(
        f"ImportError: the local service needs the package '{missing}': pip install 'mindlytics[local]'"
    )
