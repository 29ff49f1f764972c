"""Where apps live: signals, servers that fork, other event loops, greenlets, notebooks, freezers."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import nbclient
import nbformat
import pytest
from chaos import Chaos, Reply
from helpers import Service, events, of_session, shape
from programs import end, leading_to, run, said, start

from mindlytics_core import Client, Delivery, flush_at_end
from mindlytics_core._config import Destination
from mindlytics_core._transport import HTTPTransport

# Signals.

WAITING = """
import signal, sys, threading
import mindlytics_core
from mindlytics_core import Client
session = Client().create_session(session_id="s", id="ann")
session.track_event(event="Before the signal")
{install}
print("ready", flush=True)
threading.Event().wait()
"""


def signalled(code: str, variables: dict[str, str], number: signal.Signals) -> "subprocess.CompletedProcess[str]":
    program = start(code, variables)
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    program.send_signal(number)
    return end(program)


def test_sigterm_delivers_on_request_and_still_ends_the_process(service: Service):
    code = WAITING.format(install="mindlytics_core.install_signal_handlers()")

    finished = signalled(code, service.environment(), signal.SIGTERM)

    assert (finished.returncode, said(finished)) == (-signal.SIGTERM, "")
    assert shape(events(service)) == ["Before the signal", "end_session"]


def test_a_handler_that_was_there_before_is_called_after_the_delivery(service: Service):
    install = """
def before(number, frame):
    session.track_event(event="The app's own handler")
    sys.exit(5)

signal.signal(signal.SIGTERM, before)
mindlytics_core.install_signal_handlers()
"""

    finished = signalled(WAITING.format(install=install), service.environment(), signal.SIGTERM)

    assert (finished.returncode, said(finished)) == (5, "")
    assert shape(events(service)) == ["Before the signal", "The app's own handler", "end_session"]


def test_an_ignored_signal_stays_ignored(service: Service):
    code = """
    import signal, mindlytics_core
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    mindlytics_core.install_signal_handlers()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    """

    assert run(code, service.environment()).returncode == 0


def test_ctrl_c_in_a_flush_is_raised_at_once_and_leaves_a_client_that_works(chaos: Chaos):
    answer = threading.Event()
    chaos.script(Reply(gate=answer))
    code = """
    import sys
    from mindlytics_core import Client
    client = Client()
    session = client.create_session(session_id="s", id="ann")
    session.track_event(event="First")
    print("ready", flush=True)
    try:
        client.flush_sync(600)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    sys.stdin.readline()
    session.track_event(event="Second")
    result = client.flush_sync(20)
    assert result, result
    """
    program = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env={**os.environ, **leading_to(chaos)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    chaos.wait_for(1)
    program.send_signal(signal.SIGINT)

    assert program.stdout.readline() == "interrupted\n"
    answer.set()
    out, err = program.communicate("go on\n", timeout=60)

    assert (program.returncode, out, err) == (0, "", "")
    assert chaos.names() == ["First", "Second"]


# Servers that fork.


@pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs fork")
@pytest.mark.parametrize("preload", [True, False])
def test_gunicorn_s_workers_deliver_what_they_and_the_preloading_parent_record(
    service: Service, tmp_path: Path, *, preload: bool
):
    (tmp_path / "app.py").write_text(
        "import os\n"
        "from mindlytics_core import default_client\n"
        "shared = default_client().create_session(session_id=f'loaded-{os.getpid()}', id='ann')\n"
        "shared.track_event(event='Loaded')\n"
        "def app(environ, start_response):\n"
        "    name = f'worker-{os.getpid()}'\n"
        "    default_client().create_session(session_id=name, id='bob').track_event(event='Called')\n"
        "    start_response('200 OK', [])\n"
        "    return [name.encode()]\n"
    )
    command = [sys.executable, "-m", "gunicorn", "app:app", "--workers", "2", "--bind", "127.0.0.1:0"]
    with subprocess.Popen(
        [*command, *(["--preload"] if preload else []), "--no-control-socket"],
        cwd=tmp_path,
        env={**os.environ, **service.environment()},
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stderr is not None
        lines = iter(server.stderr.readline, "")
        url = next(line.split()[-2] for line in lines if "Listening at" in line)
        called = [urllib.request.urlopen(url, timeout=30).read().decode() for _ in range(4)]  # noqa: S310
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)

    found = events(service)
    for worker in set(called):
        assert shape(of_session(found, worker)) == [*["Called"] * called.count(worker), "end_session"]
    loaded = [event for event in found if event["session_id"].startswith("loaded")]
    if preload:
        assert shape(loaded) == ["Loaded", "end_session"]
    assert shape(loaded).count("Loaded") == shape(loaded).count("end_session")


# Event loops, greenlets, notebooks.


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop does not run there")
def test_an_app_on_uvloop_flushes_from_its_loop(service: Service):
    code = """
    import uvloop
    from mindlytics_core import Client

    async def main():
        client = Client()
        session = client.create_session(session_id="s", id="ann")
        await session.track_event(event="Inside")
        assert await client.flush(10)
        session.track_event(event="Left behind")

    uvloop.run(main())
    """

    finished = run(code, service.environment())

    assert (finished.returncode, said(finished)) == (0, "")
    assert shape(events(service)) == ["Inside", "Left behind", "end_session"]


def test_an_app_on_trio_flushes_from_its_own_loop(service: Service):
    code = """
    import trio
    from mindlytics_core import Client, flush

    async def main():
        client = Client()
        session = client.create_session(session_id="s", id="ann")
        await session.track_event(event="Inside")
        assert await client.flush(10)
        await session.track_event(event="Again")
        assert await flush(10)
        session.track_event(event="Left behind")

    trio.run(main)
    """

    finished = run(code, service.environment())

    assert (finished.returncode, said(finished)) == (0, "")
    assert shape(events(service)) == ["Inside", "Again", "Left behind", "end_session"]


@pytest.mark.parametrize("patched", ["before", "after"])
def test_under_gevent_everything_is_delivered_and_a_flush_lets_greenlets_run(chaos: Chaos, patched: str):
    answer = threading.Event()
    chaos.script(Reply(gate=answer))
    patch = "from gevent import monkey; monkey.patch_all()"
    code = f"""
{patch if patched == "before" else ""}
import mindlytics_core
{patch if patched == "after" else ""}
import gevent
client = mindlytics_core.Client()
session = client.create_session(session_id="s", id="ann")
for number in range(100):
    session.track_event(event=str(number))
flushing = gevent.spawn(client.flush_sync, 20)
turns = 0
while not flushing.ready():
    gevent.sleep(0.001)
    turns += 1
    if turns == 20:
        print("other greenlets run", flush=True)
assert flushing.get()
session.track_event(event="At exit")
"""
    program = start(code, leading_to(chaos))
    assert program.stdout is not None

    # The server does not answer before other greenlets had their turns: a flush that stops them would hang here.
    assert program.stdout.readline() == "other greenlets run\n"
    answer.set()
    finished = end(program)

    assert (finished.returncode, said(finished)) == (0, "")
    assert chaos.names() == [*map(str, range(100)), "At exit"]


def test_a_notebook_records_and_flushes_in_cells_that_await(service: Service, monkeypatch: pytest.MonkeyPatch):
    for name, value in service.environment().items():
        monkeypatch.setenv(name, value)
    cells = [
        (
            "from mindlytics_core import Client\nclient = Client()\n"
            "session = client.create_session(session_id='s', id='ann')"
        ),
        "await session.track_event(event='First cell')\nassert await client.flush(10)",
        "session.track_event(event='Second cell')\nassert client.flush_sync(10)",
        "session.end_session()\nassert (await client.flush(10)).ok",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])

    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=60).execute()

    assert shape(events(service)) == ["First cell", "Second cell", "end_session"]


# Freezers.


@pytest.mark.parametrize("seconds", [0, pytest.param(90, marks=pytest.mark.soak)])
def test_a_program_that_was_stopped_goes_on_delivering(chaos: Chaos, seconds: int):
    """While it does not run, the server hangs up; five seconds after it goes on, everything has been delivered."""
    code = """
    import sys
    from mindlytics_core import Client, Delivery
    client = Client(delivery=Delivery(linger=0.01))
    session = client.create_session(session_id="s", id="ann")
    session.track_event(event="Before")
    print("ready", flush=True)
    for number in range(300):
        session.track_event(event=str(number))
    # The first one may have been stopped in the middle, with its time over when it goes on.
    assert client.flush_sync(5) or client.flush_sync(5)
    """
    program = start(code, leading_to(chaos))
    assert program.stdout is not None
    program.stdout.readline()
    chaos.wait_for(1)
    program.send_signal(signal.SIGSTOP)
    os.waitpid(program.pid, os.WUNTRACED)
    chaos.refuse()
    threading.Event().wait(seconds)
    chaos.listen()
    program.send_signal(signal.SIGCONT)

    finished = end(program)

    assert (finished.returncode, said(finished)) == (0, "")
    assert list(dict.fromkeys(chaos.names())) == ["Before", *map(str, range(300))]


async def test_in_serverless_mode_a_freeze_means_new_connections(chaos: Chaos):
    now = [1000.0]
    destination = Destination(chaos.url, "key", "project")
    transport = HTTPTransport(destination, Delivery(mode="serverless"), wall=lambda: now[0])
    for pause in (0.0, 1.0, 6.0):
        now[0] += pause
        assert (await transport.send(b"[]", "key")).status == 200
    await transport.aclose()

    assert [request.connection for request in chaos.requests] == [1, 1, 2]


def test_a_serverless_handler_has_delivered_when_it_returns(chaos: Chaos, new_client: Callable[..., Client]):
    delivery = Delivery(mode="serverless")
    assert delivery.linger == 0
    client = new_client(server_endpoint=chaos.url, delivery=delivery)
    session = client.create_session(session_id="s", id="ann")

    @flush_at_end()
    def handler(event: str) -> str:
        session.track_event(event=event)
        return "done"

    assert handler("Called") == "done"
    assert chaos.names() == ["Called"]

    @flush_at_end()
    def failing() -> None:
        session.track_event(event="Failed")
        raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert chaos.names() == ["Called", "Failed"]


async def test_a_serverless_coroutine_has_delivered_too(chaos: Chaos, new_client: Callable[..., Client]):
    client = new_client(server_endpoint=chaos.url, delivery=Delivery(mode="serverless"))
    session = client.create_session(session_id="s", id="ann")

    @flush_at_end()
    async def handler() -> str:
        await session.track_event(event="Called")
        return json.dumps({"status": "done"})

    assert await handler() == '{"status": "done"}'
    assert chaos.names() == ["Called"]
    async with flush_at_end(5):
        session.track_event(event="In a block")
    assert chaos.names() == ["Called", "In a block"]
