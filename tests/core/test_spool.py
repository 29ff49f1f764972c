"""The spool: what is on disk survives the process, and nothing that happens to the disk reaches the app."""

import contextlib
import itertools
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chaos import Chaos, Reply
from helpers import Service, events
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import end, run, said, start

from mindlytics_core import Client, Delivery, SpoolFailed
from mindlytics_core._chunks import Chunk, Damaged, checksum, chunked, session_bytes, unpacked
from mindlytics_core._clock import Clock
from mindlytics_core._config import Destination
from mindlytics_core._disk import NOBODY
from mindlytics_core._log import logs_of, record, records
from mindlytics_core._queue import Item
from mindlytics_core._rows import is_on_disk
from mindlytics_core._spool import ERRORS, SpoolFile, files, prefix
from mindlytics_core._store import Store

#: Writes events until it is killed. A number that it has said is one whose call has returned; after `settled` it
#: is on disk, which takes a linger.
WRITER = """
import os, sys, time
from mindlytics_core import Client, Delivery

client = Client(delivery=Delivery(linger=0.02, durability=os.environ.get("DURABILITY", "linger"), retry_base=0.01))
session = client.create_session(session_id=os.environ.get("NAME", "writer"), id="ann")
for number in range(int(os.environ.get("COUNT", "1000000000"))):
    session.track_event(event=f"{number}")
    os.write(1, f"{number}\\n".encode())
    if number % 200 == 199:
        while client.stats().spooled < client.stats().pending:
            time.sleep(0.001)
        os.write(1, f"settled {number}\\n".encode())
"""


def numbers(found: list[dict]) -> list[int]:
    return [int(event["event"]) for event in found if event.get("event", "").isdigit()]


def variables(service: Service | Chaos, directory: Path, **more: str) -> dict[str, str]:
    known = {"MLSDK_SERVER_BASE": service.url, "MLSDK_API_KEY": "any", "MLSDK_PROJECT_ID": "test"}
    if not isinstance(service, Chaos):
        known = service.environment()
    return {**known, "MLSDK_SPOOL_DIR": str(directory), **more}


def killed_after(lines: int, environment: dict[str, str]) -> tuple[int, int]:
    """Run the writer, kill it after so many lines, and give how many calls had returned, and were settled."""
    program = start(WRITER, environment)
    assert program.stdout is not None
    lines_said = [program.stdout.readline() for _ in range(lines)]
    program.send_signal(signal.SIGKILL)
    lines_said += [line for line in end(program).stdout.splitlines(keepends=True) if line.endswith("\n")]
    settled = [int(line.split()[1]) + 1 for line in lines_said if line.startswith("settled")]
    return len(lines_said) - len(settled), max(settled, default=0)


def is_balanced(client: Client) -> bool:
    stats = client.stats()
    return stats.accepted == stats.delivered + stats.pending + sum(stats.dropped.values()) and stats.pending >= 0


def replayed(make: Callable[..., Client], directory: Path, **options) -> Client:
    """A new process's client: one event of its own, and whatever was left behind."""
    client = make(spool_dir=directory, **options)
    client.create_session(session_id="next", id="bob").track_event(event="next")
    # Who waits gets everything without a pause.
    client.flush_sync(20)
    mine = prefix(client.config.destination)
    eventually(lambda: not client.stats().pending and len(files(directory, mine)) <= 1)
    return client


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds that nobody tells about."""
    deadline, moment = time.monotonic() + 20, threading.Event()
    while not holds():
        assert time.monotonic() < deadline
        moment.wait(0.01)


# What survives.


def test_what_a_killed_process_had_committed_is_delivered_by_the_next_one_of_the_same_destination(
    chaos: Chaos, service: Service, new_client, tmp_path: Path
):
    chaos.decide = lambda _: Reply(503)
    run(WRITER + "os._exit(0)", variables(service, tmp_path, COUNT="600") | {"MLSDK_SERVER_BASE": chaos.url})

    elsewhere = replayed(new_client, tmp_path)
    assert numbers(events(service)) == []
    assert elsewhere.stats().adopted == 0
    elsewhere.close()

    refused = requests_of_the_dead(chaos)
    chaos.decide = lambda _: Reply()
    client = replayed(new_client, tmp_path, server_endpoint=chaos.url)
    assert numbers(taken(chaos, refused)) == list(range(600))
    assert client.stats().adopted == 600
    assert is_balanced(client)
    client.close()
    eventually(lambda: files(tmp_path) == [])


def requests_of_the_dead(chaos: Chaos) -> int:
    """How many requests there were, once nothing of a process that has ended is still on its way."""
    eventually(lambda: not chaos._open)
    return len(chaos.requests)


def taken(chaos: Chaos, after: int) -> list[dict]:
    return [event for request in chaos.requests[after:] for event in request.json]


ROUNDS = [0, *(pytest.param(round_, marks=pytest.mark.soak) for round_ in range(1, 100))]


@pytest.mark.parametrize("round_", ROUNDS)
@pytest.mark.parametrize("durability", ["call", "linger", "power"])
def test_kill_9_loses_nothing_with_durability_call_and_otherwise_at_most_the_last_linger(
    chaos: Chaos, new_client, tmp_path: Path, durability: str, round_: int
):
    """Nothing is delivered before the kill, so whatever arrives comes from the disk."""
    chaos.decide = lambda _: Reply(503)
    lines = random.Random(round_).randrange(1, 1500)  # a repeatable moment
    returned, settled = killed_after(lines, variables(chaos, tmp_path, DURABILITY=durability))
    refused = requests_of_the_dead(chaos)
    chaos.decide = lambda _: Reply()

    client = replayed(new_client, tmp_path, server_endpoint=chaos.url, project_id="test")

    found = numbers(taken(chaos, refused))
    assert len(found) >= (returned if durability == "call" else settled)
    # In order, without a gap: only the youngest are lost. Twice is allowed: what was on its way at the kill.
    assert list(dict.fromkeys(found)) == list(range(max(found, default=-1) + 1))
    assert is_balanced(client)


def test_four_processes_share_a_directory_and_what_two_of_them_leave_is_adopted(
    service: Service, new_client, tmp_path: Path
):
    programs = [
        start(
            WRITER, variables(service, tmp_path, NAME=f"w{n}", DURABILITY="call", COUNT="2000" if n < 2 else "1000000")
        )
        for n in range(4)
    ]
    returned = []
    for program in programs[2:]:
        assert program.stdout is not None
        for _ in range(500):
            program.stdout.readline()
        program.send_signal(signal.SIGKILL)
    for program in programs:
        finished = end(program)
        lines_said = finished.stdout.splitlines()
        returned.append(len([line for line in lines_said if line.isdigit()]))
        # The two that come to their end may leave some to the next process as well.
        assert said(finished) == "" or "wait in the spool" in said(finished)

    replayed(new_client, tmp_path)

    found = events(service)
    for n in range(4):
        mine = numbers([event for event in found if event["session_id"] == f"w{n}"])
        assert set(range(returned[n])) <= set(mine)


def test_an_exit_leaves_on_disk_what_it_cannot_deliver_and_says_so(chaos: Chaos, tmp_path: Path):
    chaos.decide = lambda _: Reply(503)

    finished = run(WRITER, variables(chaos, tmp_path, COUNT="50"))

    assert finished.returncode == 0
    assert "51 events wait in the spool" in finished.stderr
    [path] = files(tmp_path)
    file = SpoolFile.adopt(path)
    assert file is not None
    assert file.holding().events == 51
    assert file.holding().project_id == "test"
    file.close()
    assert path.exists()
    assert b"any" not in b"".join(part.read_bytes() for part in tmp_path.iterdir()), "no key in any file"


def test_a_forked_child_has_a_file_of_its_own_and_leaves_its_parents_alone(service: Service, tmp_path: Path):
    code = """
    import os, sys
    from mindlytics_core import Client, Delivery
    client = Client(delivery=Delivery(linger=600, batch_events=1000))
    parent = client.create_session(session_id="parent", id="ann")
    parent.track_event(event="0")
    for number in range(1, 200):
        parent.track_event(event=str(number))
    while client._book.worker._pending.store._own.file is None:
        pass
    child = os.fork()
    if not child:
        own = client.create_session(session_id="child", id="bob")
        own.track_event(event="0")
        assert client.flush_sync(10)
        sys.exit()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    parent.track_event(event="200")
    """

    finished = run(code, variables(service, tmp_path))

    assert (finished.returncode, said(finished)) == (0, "")
    found = events(service)
    assert numbers([event for event in found if event["session_id"] == "parent"]) == list(range(201))
    assert numbers([event for event in found if event["session_id"] == "child"]) == [0]
    assert files(tmp_path) == []


# More than memory holds.


def test_what_memory_has_no_room_for_waits_on_disk_and_leaves_in_order(chaos: Chaos, new_client, tmp_path: Path):
    chaos.decide = lambda _: Reply(503)
    small = Delivery(linger=0.01, max_events=50, max_bytes=20_000, retry_base=0.01, retry_cap=0.02)
    client = new_client(server_endpoint=chaos.url, delivery=small, spool_dir=tmp_path)
    session = client.create_session(session_id="s", id="ann")
    for number in range(3_000):
        session.track_event(event=str(number))
    assert not client.flush_sync(0.01)
    assert client.stats().pending == 3_000
    assert client.stats().dropped == {}

    chaos.decide = lambda _: Reply()
    result = client.flush_sync(30)

    assert result.delivered == 3_000
    assert result.ok
    delivered = [event for request in chaos.requests for event in request.json]
    assert list(dict.fromkeys(numbers(delivered))) == list(range(3_000))
    assert is_balanced(client)


def test_a_full_spool_drops_under_its_name_and_recovers_when_space_returns(chaos: Chaos, new_client, tmp_path: Path):
    chaos.decide = lambda _: Reply(503)
    told: list[object] = []
    small = Delivery(
        linger=0.01, max_events=2_000, max_bytes=20_000, spool_max_bytes=64 * 1024, retry_base=0.01, retry_cap=0.02
    )
    client = new_client(server_endpoint=chaos.url, delivery=small, spool_dir=tmp_path, on_error=told.append)
    session = client.create_session(session_id="s", id="ann")
    for number in range(2_000):
        session.track_event(event=str(number), properties={"text": "x" * 100})
    client.flush_sync(0.1)
    dropped = client.stats().dropped
    assert set(dropped) <= {"spool_full", "queue_overflow"}
    assert sum(dropped.values()) > 500
    assert is_balanced(client)

    chaos.decide = lambda _: Reply()
    client.flush_sync(20)

    stats = client.stats()
    assert stats.pending == 0
    assert stats.delivered == 2_000 - sum(stats.dropped.values())
    assert any(isinstance(error, SpoolFailed) for error in told)


# What the disk may do.


def test_a_directory_that_nobody_can_write_to_is_reported_once_and_memory_is_used(
    service: Service, new_client, tmp_path: Path
):
    (tmp_path / "file").write_text("in the way")
    told: list[object] = []
    client = new_client(spool_dir=tmp_path / "file" / "spool", on_error=told.append)
    session = client.create_session(session_id="s", id="ann")
    for number in range(300):
        session.track_event(event=str(number))

    assert client.flush_sync(10).delivered == 300

    assert numbers(events(service)) == list(range(300))
    client.close()
    assert [type(error) for error in told] == [SpoolFailed]


def test_a_limit_on_the_size_of_files_stops_nothing(service: Service, tmp_path: Path):
    code = """
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
    from mindlytics_core import Client, Delivery
    client = Client(delivery=Delivery(linger=0.01))
    session = client.create_session(session_id="s", id="ann")
    for number in range(2_000):
        session.track_event(event=str(number), properties={"text": "x" * 100})
    assert client.flush_sync(20).delivered == 2_000, client.stats()
    """
    assert resource.RLIMIT_FSIZE

    finished = run(code, variables(service, tmp_path))

    assert finished.returncode == 0, finished.stderr
    assert numbers(events(service)) == list(range(2_000))


#: Faults that the system's calls are given, each from its n-th call on, every third time or for good.
DISK_FAULTS = {
    "the disk is full now and then": "pwrite64:error=ENOSPC:when=20+3",
    "the disk is full for good": "pwrite64:error=ENOSPC:when=20+",
    "the disk fails": "pwrite64:error=EIO:when=20+2",
    "the disk fails when it is synced": "fdatasync,fsync:error=EIO:when=2+2",
}


def under_strace(code: str, fault: str, environment: dict[str, str]) -> "subprocess.Popen[str]":
    """Start a program some of whose calls to the system fail."""
    calls = fault.partition(":")[0]
    # The quick way of tracing loses signals.
    quick = [] if "signal" in fault else ["--seccomp-bpf"]
    tracing = (
        "strace",
        "-f",
        *quick,
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        f"trace={calls}",
        "-e",
        f"inject={fault}",
    )
    return start(code, environment, interpreter=(*tracing, sys.executable, "-W", "error"))


def can_trace() -> bool:
    """Whether there is a strace that may trace."""
    found = shutil.which("strace")
    return found is not None and not subprocess.run([found, "-qq", "-o", "/dev/null", "true"], check=False).returncode


needs_strace = pytest.mark.skipif(not can_trace(), reason="strace is not installed, or may not trace")


@needs_strace
@pytest.mark.parametrize("fault", DISK_FAULTS)
def test_whatever_the_disk_answers_the_app_goes_on_and_everything_is_delivered(
    chaos: Chaos, tmp_path: Path, fault: str
):
    environment = variables(chaos, tmp_path, DURABILITY="power", COUNT="150")
    code = WRITER.replace("client.stats().spooled < client.stats().pending", "False") + "assert client.flush_sync(20)"

    finished = end(under_strace(code, DISK_FAULTS[fault], environment))

    assert finished.returncode == 0, finished.stderr
    assert {line.partition(":")[0] for line in said(finished).splitlines()} == {
        "the spool failed, events go on through memory"
    }
    assert list(dict.fromkeys(numbers(chaos.events()))) == list(range(150))


@needs_strace
@pytest.mark.parametrize(
    "at", [*range(20, 40, 9), *(pytest.param(at, marks=pytest.mark.soak) for at in range(40, 160))]
)
def test_a_kill_in_the_middle_of_a_commit_costs_that_commit_at_most(chaos: Chaos, new_client, tmp_path: Path, at: int):
    """The process dies in one of the writes that make up a commit."""
    chaos.decide = lambda _: Reply(503)
    environment = variables(chaos, tmp_path, DURABILITY="power", COUNT="5000")
    finished = end(
        under_strace(WRITER.replace("200 == 199", "20 == 19"), f"pwrite64:signal=KILL:when={at}", environment)
    )
    assert finished.returncode in {-signal.SIGKILL, 128 + signal.SIGKILL}
    settled = [int(line.split()[1]) + 1 for line in finished.stdout.splitlines() if line.startswith("settled")]
    refused = requests_of_the_dead(chaos)
    chaos.decide = lambda _: Reply()

    client = replayed(new_client, tmp_path, server_endpoint=chaos.url, project_id="test")

    found = list(dict.fromkeys(numbers(taken(chaos, refused))))
    assert found == list(range(len(found)))
    assert len(found) >= max(settled, default=0)
    assert is_balanced(client)
    assert not list(tmp_path.glob("*.corrupt"))


def left_behind(directory: Path, service: Service, count: int = 400) -> Path:
    """The file of a process that was killed."""
    destination = Destination(service.url, "key", service.project_id)
    file = SpoolFile.create(directory, destination, max_bytes=2**20, survive_power_loss=False)
    for first in range(0, count, 10):
        bodies = [
            b'{"type":"track","event":"%d","session_id":"s","user_id":"ann","timestamp":"2026-01-01T00:00:00Z"}'
            % number
            for number in range(first, first + 10)
        ]
        file.commit([Chunk("s", bodies, time.time())], ())
    file.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file.close()
    return file.path


def test_a_file_that_is_no_database_is_set_aside_and_the_rest_goes_on(service: Service, new_client, tmp_path: Path):
    good = left_behind(tmp_path, service)
    bad = good.with_name(good.name.replace(good.stem[-4:], "0bad"))
    bad.write_bytes(b"not a database " * 1000)

    client = replayed(new_client, tmp_path)

    assert numbers(events(service)) == list(range(400))
    assert bad.with_name(bad.name + ".corrupt").exists()
    assert is_balanced(client)


@pytest.mark.parametrize("seed", range(3))
def test_flipped_bits_cost_the_chunks_that_they_are_in_and_are_counted(
    service: Service, new_client, tmp_path: Path, seed: int
):
    path = left_behind(tmp_path, service)
    chance = random.Random(seed)  # repeatable damage
    data = bytearray(path.read_bytes())
    for _ in range(5):
        data[chance.randrange(8192, len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)

    client = replayed(new_client, tmp_path)

    found = numbers(events(service))
    stats = client.stats()
    assert set(found) <= set(range(400)), "nothing that was never said"
    assert is_balanced(client)
    assert stats.pending == 0
    gone = list(tmp_path.glob("*.corrupt"))
    assert gone or len(found) + stats.dropped.get("spool_corrupt", 0) >= 390


def test_whatever_bit_of_a_row_flips_is_found_and_never_makes_a_reader_fail_or_go_round(tmp_path: Path):
    file = SpoolFile.create(
        tmp_path, Destination("http://x", "key", "project"), max_bytes=2**20, survive_power_loss=False
    )
    chunks = [Chunk(f"session {number}", [b'{"a":%d}' % number] * 3, 1.7e9 + number) for number in range(4)]
    file.commit(chunks, ())
    file.connection.close()
    whole = file.path.read_bytes()
    for place in (place for place in range(8192, len(whole)) if whole[place]):
        bent = bytearray(whole)
        bent[place] ^= 1 << place % 8
        file.path.write_bytes(bent)
        found: SpoolFile | None = None
        with contextlib.suppress(*ERRORS):
            found = SpoolFile.adopt(file.path)
            assert found is not None
            read = list(itertools.islice(found.chunks(), 5))
            assert len(read) <= 4
            assert all(chunk.bodies in [good.bodies for good in chunks] for chunk in read if isinstance(chunk, Chunk))
        if found is not None:
            found.connection.close()


def test_a_session_of_whatever_name_is_spooled_and_holds_up_nobody_else(
    service: Service, new_client: Callable[..., Client], tmp_path: Path
):
    client = new_client(spool_dir=tmp_path)
    for name in ("half a pair: \ud83d", "whole"):
        client.create_session(session_id=name, id="jjacob").track_event(event="said")

    assert client.flush_sync(10)
    assert [event["session_id"] for event in events(service) if event.get("event") == "said"] == [
        "half a pair: \ufffd",
        "whole",
    ]


def test_a_torn_log_gives_everything_before_the_tear():
    data = b"".join(record("s", b'{"n":%d}' % number) for number in range(10))

    for length in range(len(data)):
        found = list(records(data[:length]))
        assert found == [("s", b'{"n":%d}' % number) for number in range(len(found))]
    assert len(list(records(data))) == 10


def test_many_files_are_adopted_a_few_at_a_time(service: Service, new_client, tmp_path: Path):
    for _ in range(30):
        left_behind(tmp_path, service, 10)

    client = replayed(new_client, tmp_path)

    assert len(numbers(events(service))) == 300
    assert client.stats().adopted == 300


@pytest.fixture(autouse=True)
def _close_desks() -> Iterator[None]:
    yield
    while DESKS:
        DESKS.pop().store.close()


DESKS: "list[Desk]" = []


class Desk:
    """A store without a worker, and what it says; its time moves by hand."""

    def __init__(self, directory: Path, **options) -> None:
        self.now, self.wall = 100.0, time.time()
        self.said: Counter[str] = Counter()
        self.freed = 0
        DESKS.append(self)
        self.store = Store(
            directory,
            Destination("http://127.0.0.1:1", "key", "p"),
            Delivery(**options),
            clock=Clock(monotonic=lambda: self.now, wall=lambda: self.wall),
            drop=lambda _, reason: self.said.update([reason]),
            lost=lambda count, _, reason: self.said.update({reason: count}),
            freed=self.free,
        )

    def free(self, events: int, _: int) -> None:
        self.freed += events

    def take(self, *bodies: bytes, session: str = "s", held_bytes: int = 0) -> list[Item]:
        return self.store.take([Item(session, body, NOBODY) for body in bodies], 0, held_bytes)

    def break_disk(self, *, broken: bool = True) -> None:
        assert self.store._own.file is not None
        self.store._own.file.file.connection.execute(f"PRAGMA query_only={broken}")

    def on_disk(self) -> list[bytes]:
        assert self.store._own.file is not None
        return [body for chunk in self.store._own.file.file.chunks() for body in getattr(chunk, "bodies", ())]


def test_what_a_broken_disk_did_not_take_is_written_when_it_works_again_and_what_was_settled_goes(tmp_path: Path):
    desk = Desk(tmp_path)
    store = desk.store
    assert list(store.read_back(0)) == []
    [first] = desk.take(b"1")
    assert (store.works, store.on_disk, desk.freed, is_on_disk(first)) == (True, 1, 1, True)
    desk.break_disk()
    store.settled([first])
    [second, third] = desk.take(b"2", b"3")
    assert (store.works, store.on_disk, desk.freed, is_on_disk(second)) == (False, 0, 1, False)
    store.settled([second])
    store.tidy()
    assert store.next_due() == 105.0, "somebody comes back to it, also when nothing else happens"

    desk.break_disk(broken=False)
    desk.now = 105.0
    store.tidy()

    assert (store.works, store.on_disk, desk.freed, is_on_disk(third)) == (True, 1, 2, True)
    assert desk.on_disk() == [b"3"]
    store.settled([third])
    store.close()
    assert files(tmp_path) == []
    assert not desk.said


def test_what_waits_behind_a_broken_disk_is_bounded_by_memory_and_keeps_its_order_when_it_is_written(tmp_path: Path):
    desk = Desk(tmp_path, max_bytes=10)
    assert desk.take(b"1", held_bytes=10) == []
    desk.break_disk()
    assert desk.take(b"22", b"333", b"4444", b"55555", held_bytes=2) == []
    assert desk.said == {"spool_full": 2}
    assert desk.store.waiting() == (3, 0)

    desk.break_disk(broken=False)
    desk.now += 10
    assert desk.take(b"6", held_bytes=10) == []

    assert desk.on_disk() == [b"1", b"22", b"333", b"6"]
    assert [item.body for item in desk.store.read_back(0)] == [b"1", b"22", b"333", b"6"]
    assert desk.store.waiting() == (0, 0)
    assert desk.freed == 4


def test_a_call_s_log_stays_until_its_event_is_in_the_file_or_settled(tmp_path: Path):
    desk = Desk(tmp_path, durability="call")
    [zero] = desk.take(b"0")
    logs = desk.store._own._open_logs()
    logged = [desk.store.log(Item("s", body, NOBODY)) for body in (b"1", b"2")]
    desk.break_disk()
    [one, two] = desk.store.take(logged, 0, 0)
    desk.store.settled([one])
    desk.store.tidy()
    assert len(list(tmp_path.glob("*.log"))) == 1, "all that is left of the second one, if the process is killed now"

    desk.break_disk(broken=False)
    desk.now += 10
    desk.store.tidy()

    assert desk.on_disk() == [b"0", b"2"]
    assert [log.read_bytes() for log in tmp_path.glob("*.log")] == [b""], "the one that is written next"
    desk.store.settled([zero])
    desk.store.settled([two])
    desk.store.close()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError, match="closed"):
        logs.write(b"late")


def test_what_the_logs_of_a_corrupt_file_hold_is_still_delivered_or_adopted(tmp_path: Path):
    desk = Desk(tmp_path, durability="call")
    desk.take(b"0")
    logged = desk.store.log(Item("s", b"1", NOBODY))
    desk.store._own.failed(sqlite3.DatabaseError("malformed"), ())
    desk.take(b"2")
    assert desk.store._own.file is not None
    logs = logs_of(desk.store._own.file.file.path)
    found = [found for log in logs for found in records(log.read_bytes())]
    assert found == [("s", b"1")], "whoever adopts the new file would find it"
    desk.store.take([logged], 0, 0)
    assert desk.on_disk() == [b"2", b"1"]
    desk.store.log(Item("s", b"3", NOBODY))
    desk.store.close()

    [left] = files(tmp_path)
    left.write_bytes(b"not a database " * 1000)
    assert [item.body for item in Desk(tmp_path).store.read_back(0)] == [b"3"]
    assert len(list(tmp_path.glob("*.corrupt"))) == 2
    assert list(tmp_path.glob("*.log")) == []


def test_events_that_waited_too_long_on_disk_are_dropped_as_expired(tmp_path: Path):
    left = Desk(tmp_path)
    left.take(b"old")
    left.store.close()
    desk = Desk(tmp_path)
    desk.take(b"own", held_bytes=desk.store._options.max_bytes)
    desk.wall += 7 * 86_400 + 1
    desk.take(b"new", held_bytes=desk.store._options.max_bytes)

    assert [item.body for item in desk.store.read_back(0)] == [b"new"]

    assert desk.said == {"expired": 2}
    assert desk.store.adopted_events == 1
    desk.store.tidy()
    assert desk.on_disk() == [b"new"]
    assert len(files(tmp_path)) == 1


def test_what_the_dead_left_is_read_a_batch_each_tenth_of_a_second_unless_somebody_waits(tmp_path: Path):
    left = Desk(tmp_path, batch_events=10)
    for number in range(60):
        left.take(b"%d" % number)
    left.store.close()
    desk = Desk(tmp_path, batch_events=10)

    read = [len(list(desk.store.read_back(0)))]
    assert desk.store.next_due() == pytest.approx(100.1)
    read.append(len(list(desk.store.read_back(0))))
    desk.now += 0.11
    read.append(len(list(desk.store.read_back(0))))
    desk.store.hurry()
    read.append(len(list(desk.store.read_back(0))))

    assert read == [10, 0, 10, 40]
    assert desk.store.next_due() == 160.0, "then it looks for others again, also while nothing else happens"


def test_what_a_process_leaves_while_another_one_is_idle_is_found_within_a_minute(tmp_path: Path):
    desk = Desk(tmp_path)
    assert list(desk.store.read_back(0)) == []
    left = Desk(tmp_path)
    left.take(b"left")
    left.store.close()
    assert list(desk.store.read_back(0)) == []

    desk.now = desk.store.next_due()

    assert desk.now <= 160
    assert [item.body for item in desk.store.read_back(0)] == [b"left"]


# The pure parts.

#: A busy machine is no reason to fail.
patiently = settings(deadline=None, suppress_health_check=list(HealthCheck))


@patiently
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.binary(max_size=20)), max_size=60),
    st.integers(1, 9),
    st.integers(1, 50),
)
def test_chunks_hold_every_event_once_in_order_and_within_bounds(pairs, most_events, most_bytes):
    found = list(chunked(pairs, most_events, most_bytes))

    assert sorted(place for places in found for place in places) == list(range(len(pairs)))
    for places in found:
        assert len({pairs[place][0] for place in places}) == 1
        assert len(places) <= most_events
        assert len(places) == 1 or sum(len(pairs[place][1]) for place in places) <= most_bytes
    for session in "abc":
        order = [place for places in found for place in places if pairs[place][0] == session]
        assert order == sorted(order)


@patiently
@given(st.text(max_size=10), st.lists(st.binary(min_size=1).filter(lambda body: b"\n" not in body), min_size=1))
def test_a_chunk_is_read_back_as_it_was_written_or_not_at_all(session, bodies):
    chunk = Chunk(session, bodies, 5.0)
    packed = chunk.packed()

    assert unpacked(session_bytes(session), len(bodies), checksum(session, packed), 5.0, packed) == chunk

    bent = bytes([packed[0] ^ 1]) + packed[1:]
    assert unpacked(session_bytes(session), len(bodies), checksum(session, packed), 5.0, bent) == Damaged(len(bodies))


@patiently
@given(st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=30)), max_size=20))
def test_a_log_is_read_back_as_it_was_written(pairs):
    assert list(records(b"".join(record(session, body) for session, body in pairs))) == pairs


def test_a_file_is_not_adopted_while_its_process_lives(tmp_path: Path):
    destination = Destination("http://127.0.0.1:1", "key", "p")
    own = SpoolFile.create(tmp_path, destination, max_bytes=2**20, survive_power_loss=True)
    own.commit([Chunk("s", [b"{}"], time.time())], ())
    code = f"""
    from pathlib import Path
    from mindlytics_core._spool import SpoolFile
    assert SpoolFile.adopt(Path({str(own.path)!r})) is None
    """

    finished = run(code, {})

    assert (finished.returncode, said(finished)) == (0, "")
    own.close()
    adopted = SpoolFile.adopt(own.path)
    assert adopted is not None
    with contextlib.closing(sqlite3.connect(own.path, timeout=0)) as third, pytest.raises(sqlite3.OperationalError):
        third.execute("SELECT * FROM chunk")
    assert Counter(adopted.holding()._asdict()) == Counter(
        endpoint="http://127.0.0.1:1", project_id="p", chunks=1, events=1
    )
    adopted.close()
