"""An hour of everything that can go wrong, at once: sixty times as fast, and many times over in virtual time."""

import json
import random
import signal
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos import Chaos, Reply, Request
from programs import end, leading_to, start
from virtual import Rig

from mindlytics_core import Client, Delivery
from mindlytics_core._refused import refused_files, refused_lines
from mindlytics_core._retry import Answer

# In virtual time: the worker, its lanes, its gate and its spool.

REGIMES = ["fine", "fine", "503", "429", "nobody", "401", "413", "flaky"]


class Service:
    """Each minute it has another mood; it never takes a poisoned event."""

    def __init__(self, chance: random.Random, hours: float) -> None:
        self._chance = chance
        self._ends = hours * 3_600
        self._regimes = [chance.choice(REGIMES) for _ in range(int(hours * 60) + 1)]

    def judge(self, now: float, events: list[bytes]) -> Answer:
        regime = self._regimes[int(now // 60)] if now < self._ends else "fine"
        if regime == "flaky":
            regime = self._chance.choice(["fine", "503", "nobody", "fine"])
        refusal = {
            "503": Answer(503),
            "429": Answer(429, retry_after=self._chance.choice([0.0, 1.0, 90.0, 300.0])),
            "nobody": Answer(0, "ConnectError"),
            "401": Answer(401, "who?"),
            "413": Answer(413) if len(events) > 7 else None,
        }.get(regime)
        if refusal is not None:
            return refusal
        return Answer(400, "poison") if any(_is_poison(event) for event in events) else Answer(200)


def _is_poison(event: bytes) -> bool:
    return int(event[1:-1].partition(b":")[2]) % 101 == 0


@pytest.mark.parametrize("spool", [False, True], ids=["memory", "spool"])
@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(4, 60))])
def test_an_hour_of_faults_in_virtual_time_costs_the_poisoned_events_alone(tmp_path: Path, seed: int, *, spool: bool):
    chance = random.Random(seed)
    service = Service(chance, 1.0)
    rig = Rig(service.judge, spool_dir=tmp_path if spool else None)
    put = 0
    for minute in range(60):
        for _ in range(chance.randrange(4)):
            count = chance.choice([1, 20, 150])
            put += count
            rig.at(minute * 60 + chance.random() * 60, lambda count=count: rig.put(count, sessions=9))
        if spool and chance.random() < 0.2:
            broken = chance.random() * 50
            rig.at(minute * 60 + broken, lambda: _break_disk(rig, broken=True))
            rig.at(minute * 60 + broken + chance.random() * 9, lambda: _break_disk(rig, broken=False))
    rig.run_until(3_600)
    _break_disk(rig, broken=False)
    rig.run()

    stats = rig.worker.stats()
    delivered = rig.sender.delivered()
    assert stats.accepted == put == len(delivered) + sum(stats.dropped.values())
    assert set(stats.dropped) <= {"rejected_400"}
    assert sum(stats.dropped.values()) == put // 101
    by_session: dict[bytes, list[int]] = defaultdict(list)
    for event in delivered:
        session, _, number = event[1:-1].partition(b":")
        by_session[session].append(int(number))
    assert all(numbers == sorted(set(numbers)) for numbers in by_session.values())
    rig.stop()
    assert list(tmp_path.glob("*.spool")) == []


def _break_disk(rig: Rig, *, broken: bool) -> None:
    store = rig.worker._pending.store
    if store.is_spool and store._own.file is not None:
        store._own.file.file.connection.execute(f"PRAGMA query_only={broken}")


# In real time: processes, connections, signals, files.

#: The service's waits and ours, sixty times as short.
FAST = {
    "linger": 0.002,
    "connect_timeout": 0.1,
    "attempt_timeout": 0.3,
    "retry_base": 0.01,
    "retry_cap": 0.5,
    "retry_after_cap": 5.0,
    "pause_interval": 1.0,
}

WRITER = f"""
import os, sys, time
from mindlytics_core import Client, Delivery

client = Client(delivery=Delivery(durability="call", **{FAST}))
sessions = [client.create_session(session_id=f"{{os.environ['NAME']}}-{{n}}", id="ann") for n in range(3)]
said = os.open(os.environ["SAID"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
number = 0
while not os.path.exists(os.environ["STOP"]):
    for n, session in enumerate(sessions):
        session.track_event(event=str(number), properties={{"is": "poison"}} if number % 211 == 7 else {{}})
        os.write(said, f"{{os.environ['NAME']}}-{{n}} {{number}}\\n".encode())
    number += 1
    time.sleep(0.004)
client.close(1)
"""


class Weather:
    """What the service does with each request: a mood that the driver changes, and dice."""

    def __init__(self, chance: random.Random) -> None:
        self.mood = "fine"
        self.stored: dict[str, list[int]] = defaultdict(list)
        self._chance = chance

    def decide(self, request: Request) -> Reply:
        reply = self._mood(request)
        if reply is None:
            reply = Reply(400, body="poison") if b"poison" in request.raw else Reply()
        if (reply.status == 200 and reply.then in {"answer", "close"}) or reply.body == "stored":
            for event in request.json if isinstance(request.json, list) else [request.json]:
                if "event" in event:
                    self.stored[event["session_id"]].append(int(event["event"]))
        return reply

    def _mood(self, request: Request) -> Reply | None:
        poisoned, dice = b"poison" in request.raw, self._chance.random()
        always = {
            "down": Reply(self._chance.choice([500, 502, 503, 504])),
            "busy": Reply(429, {"Retry-After": self._chance.choice(["0.2", "0", "-1", "soon", "0.5"])}),
            "locked": Reply(self._chance.choice([401, 403, 404])),
            "small": Reply(413) if len(request.json) > 5 and isinstance(request.json, list) else None,
        }
        if self.mood in always:
            return always[self.mood]
        if self.mood == "broken" and dice < 0.5:
            then = self._chance.choice(["reset", "hang", "drip", "close"])
            return Reply(503) if poisoned else Reply(then=then, after=self._chance.randrange(60))
        return Reply(500, body="stored") if dice < 0.05 and not poisoned else None


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
def test_an_hour_of_faults_sixty_times_as_fast_loses_nothing(chaos: Chaos, tmp_path: Path, seed: int):
    chance = random.Random(seed)
    weather = Weather(random.Random(seed))
    chaos.decide = weather.decide
    spool, words, stop = tmp_path / "spool", tmp_path / "said", tmp_path / "stop"
    variables = leading_to(chaos) | {"MLSDK_SPOOL_DIR": str(spool), "SAID": str(words), "STOP": str(stop)}
    names = (f"w{number}" for number in range(10_000))
    writers = [start(WRITER, variables | {"NAME": next(names)}) for _ in range(3)]
    moods = ["fine", "down", "busy", "locked", "small", "broken"]
    over = time.monotonic() + 60
    while time.monotonic() < over:
        act = chance.random()
        at = chance.randrange(len(writers))
        if act < 0.2:
            writers[at].kill()
            end(writers[at])
            writers[at] = start(WRITER, variables | {"NAME": next(names)})
        elif act < 0.3:
            writers[at].send_signal(signal.SIGSTOP)
            _pause(1.0)
            writers[at].send_signal(signal.SIGCONT)
        elif act < 0.4:
            chaos.refuse()
            _pause(1.0)
            chaos.listen()
        else:
            weather.mood = chance.choice(moods)
        _pause(chance.random())
    weather.mood = "fine"
    stop.touch()
    for writer in writers:
        assert "Traceback" not in end(writer).stderr
    client = Client("key", "project", chaos.url, spool_dir=spool, delivery=Delivery(linger=0.01))
    while not client.replay_spool(60):
        assert client.stats().pending
    client.close(5)

    told: dict[str, set[int]] = defaultdict(set)
    for line in words.read_text().splitlines():
        session, number = line.split()
        told[session].add(int(number))
    refused = {
        (event["event"]["session_id"], int(event["event"]["event"]))
        for path in refused_files(spool)
        for event in map(json.loads, refused_lines(path))
    }
    assert sum(map(len, told.values())) > 10_000
    for session, numbers in told.items():
        stored = weather.stored[session]
        poisoned = {number for number in numbers if number % 211 == 7}
        assert numbers - set(stored) == poisoned
        assert {(session, number) for number in poisoned} <= refused
        first = list(dict.fromkeys(stored))
        assert first == sorted(first)
    assert list(spool.glob("*.spool")) == []


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


# A burst of a million.

BURST = """
import os, resource, sys, threading
from mindlytics_core import Client, Delivery

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

spooled = "MLSDK_SPOOL_DIR" in os.environ
client = Client(delivery=Delivery(spool_max_bytes=2**31))
# Without a spool, ten thousand events fill all that memory may hold.
text = "x" * (600 if spooled else 3_000)
first = client.create_session(id="ann")
first.track_event(event="warm")
assert client.flush_sync(30)
threads, total = int(os.environ["THREADS"]), int(os.environ["TOTAL"])
before = resident()

def burst(n):
    session = client.create_session(session_id=f"s{n}", id="ann")
    for number in range(total // threads):
        session.track_event(event=str(number), properties={"text": text})

workers = [threading.Thread(target=burst, args=(n,)) for n in range(threads)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
rise = (resident() - before) / 2**20
stats = client.stats()
print(f"{threads} threads: RSS rose by {rise:.1f} MiB; {stats}", file=sys.stderr)
assert rise <= 32 * 1.2, rise
result = client.flush_sync(600)
stats = client.stats()
assert stats.accepted == stats.delivered + sum(stats.dropped.values()) == total + 2, stats
assert set(stats.dropped) <= ({"queue_overflow"} if not spooled else set()), stats
os._exit(0)
"""


@pytest.fixture
def quick_disk(tmp_path: Path) -> Iterator[Path]:
    memory = Path("/dev/shm")  # noqa: S108
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as directory:
        yield Path(directory)


@pytest.mark.soak
@pytest.mark.parametrize("spool", [False, True], ids=["memory", "spool"])
@pytest.mark.parametrize("threads", [1, 8])
def test_a_burst_of_a_million_stays_within_its_memory_and_is_delivered_or_counted(
    chaos: Chaos, quick_disk: Path, threads: int, *, spool: bool
):
    """On a disk that keeps up: a disk that hangs for a second costs events, as it is said."""
    chaos.forgets = True
    # What glibc keeps for each thread beside what it was asked for is not ours to bound.
    variables = leading_to(chaos) | {"THREADS": str(threads), "TOTAL": "1000000", "MALLOC_ARENA_MAX": "1"}
    if spool:
        variables["MLSDK_SPOOL_DIR"] = str(quick_disk)

    finished = end(start(BURST, variables), given_up_after=600)

    assert finished.returncode == 0, finished.stderr
