"""Outages of minutes, storms of refusals and waits of hours, through the whole worker in virtual time."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from virtual import WALL, Rig

from mindlytics_core._chunks import Chunk
from mindlytics_core._config import Destination
from mindlytics_core._retry import Answer
from mindlytics_core._spool import SpoolFile

FINE, NOBODY_THERE, DOWN = Answer(200), Answer(0, "ConnectError"), Answer(503, "down")


@pytest.fixture
def rig() -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def make(answer: Callable[[float], Answer], **options) -> Rig:
        made.append(Rig(lambda now, _: answer(now), **options))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def whole_and_in_order(rig: Rig, count: int) -> bool:
    """Whether everything arrived, once, each session's in order, and the books agree."""
    numbers: dict[bytes, list[int]] = defaultdict(list)
    for event in rig.sender.delivered():
        session, _, number = event[1:-1].partition(b":")
        numbers[session].append(int(number))
    stats = rig.worker.stats()
    return (
        all(mine == sorted(set(mine)) for mine in numbers.values())
        and sum(map(len, numbers.values())) == count == stats.accepted == stats.delivered
        and not stats.dropped
    )


@pytest.mark.parametrize("minutes", [1, 10])
def test_an_outage_loses_nothing_doubles_nothing_and_is_probed_by_one_request_at_a_time(rig, minutes: int):
    """First nobody is there, then 503, then all is well; events go on coming meanwhile."""
    end = minutes * 60
    made = rig(lambda now: NOBODY_THERE if now < end / 2 else DOWN if now < end else FINE)
    made.put(100, sessions=7)
    for second in range(0, end, 5):
        made.at(second, lambda: made.put(10, sessions=7))
    made.run_until(end)
    made.run()

    assert whole_and_in_order(made, 100 + 10 * (end // 5))
    first_success = next(attempt.at for attempt in made.sender.attempts if attempt.answer == FINE)
    failed = [attempt for attempt in made.sender.attempts if attempt.answer != FINE]
    assert [attempt.at_once for attempt in failed[4:]] == [1] * (len(failed) - 4)
    assert first_success - made.began - end <= 30, "the longest wait that is chosen here"
    waits = [later.at - earlier.at for earlier, later in pairwise(failed[4:])]
    assert all(wait <= 30.05 for wait in waits)
    assert len(failed) <= 4 + 12 + end / 15


@pytest.mark.parametrize(("asked", "waited"), [(7.0, 7.0), (0.0, 0.0), (300.0, 300.0)])
def test_a_storm_of_429_is_waited_out_each_time_as_long_as_was_asked(rig, asked: float, waited: float):
    refusals = [Answer(429, "slow down", asked)] * 20
    made = rig(lambda _: refusals.pop() if refusals else FINE, concurrency=1)
    made.put(500, sessions=5)
    made.run()

    assert whole_and_in_order(made, 500)
    storm = made.sender.attempts[:21]
    assert all(later.at - earlier.at >= waited for earlier, later in pairwise(storm))
    assert all(later.at - earlier.at <= max(waited, 30) + 1 for earlier, later in pairwise(storm))
    assert len({attempt.key for attempt in storm}) == 1


@pytest.mark.parametrize("answer", [Answer(401, "who?"), Answer(0, "certificate has expired", untrusted=True)])
def test_a_pause_asks_once_a_minute_tells_once_and_ends_within_one(rig, answer: Answer):
    mended = 3_600
    made = rig(lambda now: answer if now < mended else FINE)
    made.put(250)
    made.run()

    assert whole_and_in_order(made, 250)
    probes = [attempt for attempt in made.sender.attempts if attempt.answer == answer]
    assert 55 <= len(probes) <= 64
    assert made.seconds <= mended + 61
    assert [(type(error).__name__, str(error)) for error in made.told] == [
        ("DeliveryPaused", "HTTP 401: who?" if answer.status else "certificate has expired")
    ]


@pytest.mark.parametrize("days", [1, -1])
def test_a_wall_clock_that_jumps_a_day_drops_nothing_and_changes_no_wait(rig, tmp_path: Path, days: int):
    """Also with a spool, whose events have an age."""
    made = rig(lambda now: DOWN if now < 60 else FINE, spool_dir=tmp_path)

    def jump() -> None:
        made.time.set_ahead += days * 86_400

    made.put(100)
    for second in (10, 20, 30):
        made.at(second, jump)
    made.run()

    assert whole_and_in_order(made, 100)
    assert made.seconds <= 60 + 31
    assert len(made.sender.attempts) < 20, "no hot loop"


def test_a_freeze_of_an_hour_extends_no_wait_and_is_over_at_once(rig):
    """The process does not run for an hour while a batch waits for its next attempt."""
    made = rig(lambda now: DOWN if now < 5 else FINE)

    def freeze() -> None:
        made.time.now += 3_600

    made.put(100)
    made.at(3, freeze)
    made.run()

    assert whole_and_in_order(made, 100)
    assert made.seconds <= 3_603 + 5


def test_a_wait_that_ends_between_two_looks_at_the_clock_is_not_slept_over(rig):
    """Something else wakes the worker at about the time when a failed batch may leave again, and nothing later does."""
    for hundredth in range(120, 180, 3):
        answers = iter([Answer(503, retry_after=1.0)])
        made = rig(lambda _, answers=answers: next(answers, FINE))
        made.time.each_look = 0.05
        made.put(1)
        made.at(hundredth / 100, lambda: None)
        made.run_until(10)

        assert whole_and_in_order(made, 1)


@pytest.mark.parametrize("each_look", [0.0031, 0.0041, 0.0051, 0.0061])
def test_a_dead_process_s_events_go_on_though_a_pause_ends_between_two_looks(rig, tmp_path: Path, each_look: float):
    destination = Destination("http://127.0.0.1:1", "key", "project")
    left = SpoolFile.create(tmp_path, destination, max_bytes=2**20, survive_power_loss=False)
    for number in range(20):
        left.commit([Chunk("old", [b'{"old":%d}' % number], WALL)], ())
    left.close()
    made = rig(lambda _: FINE, spool_dir=tmp_path, batch_events=1)
    made.time.each_look = each_look
    made.put(1)
    made.run_until(20)

    assert whole_and_in_order(made, 21)


def test_a_dead_process_s_corrupt_file_says_nothing_about_the_disk(rig, tmp_path: Path):
    destination = Destination("http://127.0.0.1:1", "key", "project")
    left = SpoolFile.create(tmp_path, destination, max_bytes=2**20, survive_power_loss=False)
    left.commit([Chunk("old", [b"{}"], WALL)], ())
    left.close()
    bent = bytearray(left.path.read_bytes())
    bent[8192] = 0xFF
    left.path.write_bytes(bent)
    made = rig(lambda _: DOWN, spool_dir=tmp_path)
    for second in (1, 2):
        made.put(1)
        made.run_until(second)

    assert list(tmp_path.glob("*.corrupt"))
    assert made.worker.stats().spooled == 2


@pytest.mark.parametrize("bound", [{"max_events": 50}, {"max_bytes": 400}])
def test_what_fills_half_of_a_small_memory_does_not_linger(rig, bound: dict[str, int]):
    made = rig(lambda _: FINE, linger=10.0, **bound)
    # By the worker itself, so that it finds all of them at once.
    made.at(0.5, lambda: made.put(30))
    made.run_until(1)

    assert whole_and_in_order(made, 30)


def test_an_idle_worker_sleeps_and_one_with_a_spool_wakes_once_a_minute(rig, tmp_path: Path):
    for options, most in (({}, 5), ({"spool_dir": tmp_path}, 65)):
        made = rig(lambda _: FINE, **options)
        made.put(1)
        made.run()
        before = made.time.jumps
        made.run_until(3_600)
        made.put(1)
        made.run()

        assert whole_and_in_order(made, 2)
        assert made.time.jumps - before <= most
