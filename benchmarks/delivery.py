"""
What delivery costs, and how quick it is: `python benchmarks/delivery.py`.

Every figure is measured in a process of its own, against a sink on the loopback that answers 200 to whatever it
reads, in a third process. Times are CPU-bound: run it on a machine that has nothing else to do.
"""

import asyncio
import contextlib
import json
import multiprocessing
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from mindlytics_core import Client, Delivery
from mindlytics_core._config import Durability

VENDOR = Path(__file__).parents[1] / ".vendor/bin/python"
VENDOR_EVENTS = 300
TEXT = "x" * 380
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"status":"ok"}'
SPAWN = multiprocessing.get_context("spawn")


def sink(ports: Any) -> None:
    """Read requests, answer each; as cheap as Python can."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    ports.put(listener.getsockname()[1])
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


def serve(connection: socket.socket) -> None:
    with contextlib.suppress(ConnectionResetError):
        answer_all(connection)


def answer_all(connection: socket.socket) -> None:
    data = bytearray()
    while True:
        while (end := data.find(b"\r\n\r\n")) < 0:
            if not (more := connection.recv(1 << 20)):
                return
            data += more
        head = bytes(data[:end]).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        while len(data) < end + 4 + length:
            data += connection.recv(1 << 20)
        del data[: end + 4 + length]
        connection.sendall(OK)


def down_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def a_client(port: int, **options: Any) -> Client:
    return Client("k", "p", f"http://127.0.0.1:{port}", delivery=Delivery(exit_timeout=0.0, **options))


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def call_cost(port: int) -> dict[str, float]:
    """
    Microseconds of one call on the app's thread; the pauses let the worker run in between.

    The first call after a pause finds the processor's caches cold, as any code would; it is shown by itself, so
    that the share of such calls, which is the benchmark's own choice, does not make a percentile. What the standard
    library takes to write the same words as JSON, right afterwards, tells how quick the machine is just then.
    """
    session = a_client(port, max_events=100_000).create_session(id="u")
    warm, cold, written = [], [], []
    words = {"type": "track", "event": "Conversation Turn", "properties": {"user": TEXT, "assistant": TEXT}}
    for number in range(20_000):
        began = time.perf_counter_ns()
        session.track_conversation_turn(user=TEXT, assistant=TEXT)
        cost = (time.perf_counter_ns() - began) / 1_000
        (cold if number % 100 == 0 else warm).append(cost)
        if number % 100 == 99:
            time.sleep(0.005)
    for _ in range(5_000):
        began = time.perf_counter_ns()
        json.dumps(words)
        written.append((time.perf_counter_ns() - began) / 1_000)
    cuts = statistics.quantiles(warm[1_000:], n=1_000)
    return {
        "p50": cuts[499],
        "p99": cuts[989],
        "p99.9": cuts[998],
        "p50 after a pause of 5 ms": statistics.median(cold),
        "p50 as a multiple of json.dumps": cuts[499] / statistics.median(written),
    }


def drain(port: int) -> dict[str, float]:
    """Events of 1 KB a second, from memory to the sink, of CPU and of time, once the connection stands."""
    client = a_client(port, max_events=60_000, max_bytes=1 << 30, linger=3600.0, batch_events=100)
    sessions = [client.create_session(id=f"u{number}") for number in range(50)]
    # What the first event has imported and connected is no part of it, as it is not of the vendor's client.
    sessions[0].track_event(event="first")
    client.flush_sync(10)
    queue = client._book.worker.queue  # noqa: SLF001
    queue._wake_at = queue._wake_at_bytes = float("inf")  # noqa: SLF001  # collect first, then send
    for number in range(40_000):
        sessions[number % 50].track_event(event="e", properties={"text": TEXT * 2})
    pending = client.stats().pending
    cpu, began = time.process_time(), time.perf_counter()
    assert client.flush_sync(120).ok
    return {
        "events/s": pending / (time.perf_counter() - began),
        "events/s of CPU": pending / (time.process_time() - cpu),
    }


def memory(port: int) -> dict[str, float]:
    """Bytes of resident memory per queued event of 1 KB, with nobody to take it."""
    client = a_client(port, max_events=10_000)
    session = client.create_session(id="u")
    session.track_event(event="first")
    client.flush_sync(1)
    before = resident()
    for _ in range(9_900):
        session.track_event(event="e", properties={"text": TEXT * 2})
    time.sleep(0.5)
    queued = resident() - before
    for _ in range(200_000):
        session.track_event(event="e", properties={"text": TEXT * 2})
    return {"bytes/event": queued / 9_900, "MiB after a burst of 200,000": (resident() - before) / 2**20}


def blackhole(port: int) -> dict[str, float]:
    """Seconds of flush(2) on a server that never answers."""
    del port
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = a_client(listener.getsockname()[1])
        client.create_session(id="u").track_event(event="e")
        began = time.perf_counter()
        client.flush_sync(2)
        return {"flush(2) s": time.perf_counter() - began}


def exit_of_a_thousand(port: int) -> dict[str, float]:
    """Seconds that the exit takes with 1,000 events pending."""
    program = (
        "import time, atexit\n"
        "atexit.register(lambda: print(time.perf_counter() - began))\n"
        "from mindlytics_core import Client, Delivery\n"
        f"client = Client('k', 'p', 'http://127.0.0.1:{port}', delivery=Delivery(linger=60))\n"
        "session = client.create_session(id='u')\n"
        "session.track_event(event='e'); client.flush_sync(5)\n"
        "queue = client._book.worker.queue\n"
        "queue._wake_at = queue._wake_at_bytes = float('inf')\n"
        "for n in range(1000): session.track_event(event='e', properties={'text': 'x' * 760})\n"
        "began = time.perf_counter()\n"
    )
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)  # noqa: S603
    return {"exit s": float(found.stdout)}


def loop_lag(port: int) -> dict[str, float]:
    """
    Milliseconds that an asyncio app's loop comes late while it tracks a million events, and while it does as much
    of its own: what is left is the machine's.
    """
    session = a_client(port, max_events=10_000).create_session(id="u")

    def track() -> None:
        session.track_event(event="e")

    def work() -> None:
        sum(range(150))

    found = {}
    for name, step in (("tracking", track), ("working", work)):
        cuts = statistics.quantiles(asyncio.run(lateness(step)), n=100)
        found |= {f"p50 ms, {name}": cuts[49], f"p99 ms, {name}": cuts[98]}
    return found


async def lateness(step: Callable[[], None]) -> list[float]:
    """How late a wait of 5 ms ends while an app takes a million steps, twenty a turn."""
    late: list[float] = []
    loop, is_over = asyncio.get_running_loop(), asyncio.Event()

    async def watch() -> None:
        while not is_over.is_set():
            due = loop.time() + 0.005
            await asyncio.sleep(0.005)
            late.append((loop.time() - due) * 1_000)

    watching = asyncio.ensure_future(watch())
    for _ in range(50_000):
        for _ in range(20):
            step()
        await asyncio.sleep(0)
    is_over.set()
    await watching
    return late


def memory_of_a_burst(port: int, threads: int = 1) -> dict[str, float]:
    """MiB of resident memory that a million events of 3 KB add; the bound is 32 MiB."""
    client = a_client(port)
    client.create_session(id="u").track_event(event="first")
    client.flush_sync(1)
    before = resident()

    def burst(number: int) -> None:
        session = client.create_session(id=f"u{number}")
        for _ in range(1_000_000 // threads):
            session.track_event(event="e", properties={"text": TEXT * 8})

    workers = [threading.Thread(target=burst, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return {f"MiB, {threads} threads": (resident() - before) / 2**20}


def memory_of_a_burst_from_8_threads(port: int) -> dict[str, float]:
    return memory_of_a_burst(port, 8)


def spool_cost(port: int) -> dict[str, float]:
    """Microseconds of one call on the app's thread with a spool, by durability."""
    found = {}
    for durability in get_args(Durability):
        with tempfile.TemporaryDirectory() as directory:
            client = Client(
                "k",
                "p",
                f"http://127.0.0.1:{port}",
                spool_dir=directory,
                delivery=Delivery(exit_timeout=0.0, durability=durability, max_events=100_000),
            )
            session = client.create_session(id="u")
            session.track_conversation_turn(user=TEXT, assistant=TEXT)
            client.flush_sync(10)
            costs = []
            for number in range(5_000):
                began = time.perf_counter_ns()
                session.track_conversation_turn(user=TEXT, assistant=TEXT)
                costs.append((time.perf_counter_ns() - began) / 1_000)
                if number % 50 == 0:
                    time.sleep(0.005)
            client.close(10)
            cuts = statistics.quantiles(costs, n=1_000)
            found |= {f"{durability} p50": cuts[499], f"{durability} p99": cuts[989]}
    return found


def vendor_drain(port: int) -> dict[str, float]:
    """Events a second that mlsdk-python 1.0.5 brings to the same sink; `make .vendor/.ready` installs it."""
    program = (
        "import asyncio, time\n"
        "from mlsdk import Client\n"
        "async def main():\n"
        f"    client = Client(api_key='k', project_id='p', server_endpoint='http://127.0.0.1:{port}')\n"
        "    session = client.create_session(session_id='s', device_id='d')\n"
        "    began = time.perf_counter()\n"
        f"    for n in range({VENDOR_EVENTS}): await session.track_event(event='e', properties={{'text': 'x' * 760}})\n"
        "    await session.flush()\n"
        "    print(time.perf_counter() - began)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([VENDOR, "-c", program], check=True, capture_output=True, text=True)  # noqa: S603
    return {"events/s": VENDOR_EVENTS / float(done.stdout.splitlines()[-1])}


def run(measure: Callable[[int], dict[str, float]], port: int, answers: Any) -> None:
    answers.put(measure(port))


def measured(measure: Callable[[int], dict[str, float]], port: int, rounds: int = 3) -> dict[str, float]:
    """Medians of some rounds, printed with their spread."""
    answers, found = SPAWN.Queue(), []
    for _ in range(rounds):
        process = SPAWN.Process(target=run, args=(measure, port, answers))
        process.start()
        found.append(answers.get(timeout=300))
        process.join()
    for name in found[0]:
        values = sorted(answer[name] for answer in found)
        print(
            f"{measure.__name__:20} {name:30} {statistics.median(values):12,.2f}   ({values[0]:,.2f}-{values[-1]:,.2f})"
        )
    return {name: statistics.median(answer[name] for answer in found) for name in found[0]}


def main() -> None:
    ports = SPAWN.Queue()
    server = SPAWN.Process(target=sink, args=(ports,), daemon=True)
    server.start()
    port = ports.get(timeout=30)
    measured(call_cost, port, rounds=7)
    print("while the service is down:", flush=True)
    measured(call_cost, down_port(), rounds=7)
    measured(memory, down_port())
    measured(blackhole, port, rounds=1)
    measured(exit_of_a_thousand, port)
    measured(spool_cost, port, rounds=1)
    measured(loop_lag, port, rounds=1)
    measured(memory_of_a_burst, port, rounds=1)
    measured(memory_of_a_burst_from_8_threads, port, rounds=1)
    ours = measured(drain, port)["events/s"]
    if VENDOR.exists():
        print(f"{'ratio':20} {ours / measured(vendor_drain, port)['events/s']:.0f} times the vendor's client")
    else:
        print("`make .vendor/.ready` installs the vendor's client to compare with")
    server.terminate()
    print(json.dumps({"python": sys.version.split()[0]}))


if __name__ == "__main__":
    main()
