"""The delivery logic, played against a made-up server by hypothesis: no thread, no clock, no socket."""

import itertools
import math
from collections import defaultdict

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mindlytics_core._batch import Batch
from mindlytics_core._config import Delivery
from mindlytics_core._lanes import Lanes
from mindlytics_core._queue import Item
from mindlytics_core._retry import Answer

FINE, POISON = b'{"n":%d}', b'{"n":%d,"poison":1}'


class Nobody:
    def dropped(self, session_id, reason, error): ...

    def noticed(self, error): ...


NOBODY = Nobody()


def item(session: str, number: int, *, poison: bool = False) -> Item:
    return Item(session, (POISON if poison else FINE) % number, NOBODY)


class Delivering(RuleBasedStateMachine):
    """Whatever is added, answered and waited for: order, bounds and the books hold."""

    @initialize(concurrency=st.integers(1, 3), batch_events=st.integers(1, 7), limit=st.integers(1, 8))
    def begin(self, concurrency: int, batch_events: int, limit: int) -> None:
        self.options = Delivery(concurrency=concurrency, batch_events=batch_events, batch_bytes=90, linger=0.1)
        keys = itertools.count()
        self.lanes = Lanes(self.options, lambda: 0.5, lambda: str(next(keys)))
        self.limit = limit
        self.now = 100.0
        self.added: dict[str, list[bytes]] = defaultdict(list)
        self.taken: dict[str, list[bytes]] = defaultdict(list)
        self.refused: list[bytes] = []
        self.on_their_way: list[Batch] = []
        self.not_before = 0.0
        self.closed = False
        self.keys: dict[str, tuple] = {}
        self.number = 0

    # The app's side.

    @rule(session=st.sampled_from("abcd"), poison=st.sampled_from([False] * 9 + [True]))
    def add(self, session: str, poison: bool) -> None:
        self.number += 1
        new = item(session, self.number, poison=poison)
        self.added[session].append(new.body)
        self.lanes.add(new, self.now)
        self.send()

    @rule(session=st.sampled_from("abcd"), count=st.integers(5, 20))
    def add_many(self, session: str, count: int) -> None:
        for _ in range(count):
            self.add(session, poison=False)

    @rule(last_chance=st.booleans())
    def hurry(self, last_chance: bool) -> None:
        self.lanes.hurry(last_chance=last_chance)
        self.send()

    @rule()
    def evict(self) -> None:
        on_their_way = {entry.number for batch in self.on_their_way for entry in batch.entries}
        evicted = self.lanes.evict_oldest_session()
        assert len({entry.item.session_id for entry in evicted}) <= 1
        for entry in evicted:
            assert entry.number not in on_their_way
            self.added[entry.item.session_id].remove(entry.item.body)

    # Time.

    @rule(seconds=st.sampled_from([0.01, 0.1, 1.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.send()

    @rule()
    def wait_until_due(self) -> None:
        due = self.lanes.next_due(self.now)
        if due < math.inf:
            self.now = max(self.now, due)
            self.send()

    # The server's side.

    @precondition(lambda self: self.on_their_way)
    @rule(which=st.integers(0, 2), status=st.sampled_from([200, 200, 200, 204, 401, 403, 404, 408, 500, 503, 302, 0]))
    def answer(self, which: int, status: int) -> None:
        self.settle(which, Answer(status))

    @precondition(lambda self: self.on_their_way)
    @rule(which=st.integers(0, 2), status=st.sampled_from([429, 503]), seconds=st.sampled_from([0.5, 60.0]))
    def answer_later_please(self, which: int, status: int, seconds: float) -> None:
        self.not_before = max(self.not_before, self.now + seconds)
        self.settle(which, Answer(status, retry_after=seconds))

    @precondition(lambda self: self.on_their_way)
    @rule(which=st.integers(0, 2))
    def answer_by_content(self, which: int) -> None:
        batch = self.on_their_way[which % len(self.on_their_way)]
        self.settle(which, Answer(self.judged(batch)))

    def judged(self, batch: Batch) -> int:
        if len(batch.entries) > self.limit:
            return 413
        return 400 if b"poison" in batch.body() else 200

    def settle(self, which: int, answer: Answer) -> None:
        batch = self.on_their_way.pop(which % len(self.on_their_way))
        if 200 <= answer.status < 300:
            if b"poison" in batch.body():
                answer = Answer(400)
            for entry in batch.entries if answer.status != 400 else ():
                self.taken[entry.item.session_id].append(entry.item.body)
        settled = self.lanes.settle(batch, answer, self.now)
        assert [e.number for e in settled.delivered] == (
            [e.number for e in batch.entries] if answer.status < 300 and answer.status else []
        )
        if settled.refused is not None:
            assert answer.status in {400, 413}
            assert len(batch.entries) == 1
            self.refused.append(settled.refused.item.body)
        self.send()

    def send(self) -> None:
        while (batch := self.lanes.next_batch(self.now)) is not None:
            assert self.now >= self.not_before, "a request before the time that the service asked for"
            assert batch.entries
            assert len(batch.entries) <= self.options.batch_events
            events = tuple(entry.number for entry in batch.entries)
            assert self.keys.setdefault(batch.key, events) == events, "a key names one set of events"
            self.on_their_way.append(batch)
            assert len(self.on_their_way) <= self.options.concurrency
            if self.lanes.gate.closed_until is not None:
                assert self.lanes.gate.probe is batch

    # What always holds.

    @invariant()
    def at_most_one_batch_of_a_session_is_on_its_way(self) -> None:
        sessions = [session for batch in getattr(self, "on_their_way", ()) for session in batch.sessions]
        assert len(sessions) == len(set(sessions))

    @invariant()
    def each_session_is_delivered_in_order(self) -> None:
        for session, bodies in getattr(self, "taken", {}).items():
            gone = set(bodies) | set(self.refused)
            assert bodies == [body for body in self.added[session] if body in set(bodies)]
            # Nothing overtakes: what is settled is a beginning of what was added.
            assert [body in gone for body in self.added[session]] == sorted(
                (body in gone for body in self.added[session]), reverse=True
            )

    @invariant()
    def the_books_agree(self) -> None:
        if not hasattr(self, "lanes"):
            return
        settled = {body for bodies in self.taken.values() for body in bodies} | set(self.refused)
        left = [body for bodies in self.added.values() for body in bodies if body not in settled]
        assert self.lanes.events == len(left)
        assert self.lanes.bytes == sum(map(len, left))

    @invariant()
    def it_neither_stalls_nor_spins(self) -> None:
        if not hasattr(self, "lanes"):
            return
        due = self.lanes.next_due(self.now)
        if self.lanes.events and not self.on_their_way:
            assert due < math.inf, "events wait, and nobody will come back to them"
        assert due > self.now, "due already, yet nothing to send"

    def teardown(self) -> None:
        """The server is well again: everything innocent arrives, each poison event is refused."""
        if not hasattr(self, "lanes"):
            return
        steps = 0
        while self.lanes.events:
            steps += 1
            assert steps < 5_000, "no end in sight"
            if self.on_their_way:
                self.settle(0, Answer(self.judged(self.on_their_way[0])))
            else:
                self.wait_until_due()
        everything = [body for bodies in self.added.values() for body in bodies]
        assert sorted(self.refused) == sorted(body for body in everything if b"poison" in body)
        taken = sorted(body for bodies in self.taken.values() for body in bodies)
        assert taken == sorted(body for body in everything if b"poison" not in body)


TestDelivering = Delivering.TestCase
TestDelivering.settings = settings(
    max_examples=120, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)


# Single cases, each with a story.


def lanes(**options) -> Lanes:
    keys = itertools.count()
    return Lanes(Delivery(**options), lambda: 0.5, lambda: str(next(keys)))


def test_a_probes_success_does_not_cut_short_a_later_wish_of_the_service():
    made = lanes(linger=0)
    for session in "ab":
        made.add(item(session, 1), 0.0)
    early = made.next_batch(0.0)
    made.add(item("c", 2), 0.0)
    probe = made.next_batch(0.0)
    made.settle(probe, Answer(503), 0.0)
    assert made.next_due(0.0) == 0.375
    probe = made.next_batch(1.0)
    made.settle(early, Answer(429, retry_after=60), 1.0)

    made.settle(probe, Answer(200), 1.0)

    assert made.next_batch(2.0) is None
    assert made.next_due(2.0) == 61.0
    assert made.next_batch(61.0) is not None


def test_one_oversized_event_does_not_leave_every_later_batch_tiny():
    made = lanes(linger=0, batch_events=8)
    for number in range(8):
        made.add(item("a", number), 0.0)
    while made.events:
        batch = made.next_batch(0.0)
        oversized = any(entry.number == 1 for entry in batch.entries)
        made.settle(batch, Answer(413 if oversized else 200), 0.0)

    for number in range(8):
        made.add(item("a", number), 0.0)

    assert len(made.next_batch(0.0).entries) == 8


def test_a_learned_limit_is_kept():
    made = lanes(linger=0, batch_events=8)
    sizes = []
    for _ in range(3):
        for number in range(8):
            made.add(item("a", number), 0.0)
        while made.events:
            batch = made.next_batch(0.0)
            sizes.append(len(batch.entries))
            made.settle(batch, Answer(413 if len(batch.entries) > 3 else 200), 0.0)

    assert [size for size in sizes if size > 3] == [8, 4, 4], "refused while learning, never again"


def test_a_busy_session_does_not_starve_the_others():
    made = lanes(linger=0, batch_events=2, concurrency=1)
    for number in range(6):
        made.add(item("loud", number), 0.0)
    made.add(item("quiet", 9), 0.0)

    first = made.next_batch(0.0)
    made.settle(first, Answer(200), 0.0)

    assert "quiet" in made.next_batch(0.0).sessions


def test_halves_that_mix_sessions_keep_each_session_in_order():
    made = lanes(linger=0, batch_events=4, concurrency=1)
    for session in "aaaaabc":
        made.add(item(session, 1), 0.0)
    made.settle(made.next_batch(0.0), Answer(200), 0.0)
    mixed = made.next_batch(0.0)
    assert [entry.item.session_id for entry in mixed.entries] == ["b", "c", "a"]
    sent = []
    made.settle(mixed, Answer(413), 0.0)
    while (batch := made.next_batch(0.0)) is not None:
        sent += [entry.number for entry in batch.entries]
        made.settle(batch, Answer(200), 0.0)

    assert sent == [6, 7, 5]


def test_the_session_that_came_first_makes_room_whole_but_for_its_batch_and_the_last_one_never_does():
    made = lanes(linger=0, batch_events=2, concurrency=1)
    for session in "aaabb":
        made.add(item(session, 1), 0.0)
    on_its_way = made.next_batch(0.0)
    made.add(item("c", 1), 0.0)

    assert [entry.number for entry in made.evict_oldest_session()] == [3]
    assert [entry.number for entry in made.evict_oldest_session()] == [4, 5]
    assert made.evict_oldest_session() == ()

    assert [entry.number for entry in on_its_way.entries] == [1, 2]
    assert made.events == 3
    made.settle(on_its_way, Answer(200), 0.0)
    assert [entry.number for entry in made.next_batch(0.0).entries] == [6]


def test_a_full_batch_does_not_linger_and_a_lone_event_does():
    made = lanes(linger=5.0, batch_events=2)
    made.add(item("a", 1), 0.0)
    assert made.next_batch(0.0) is None
    assert made.next_due(0.0) == 5.0
    made.add(item("a", 2), 0.0)
    assert len(made.next_batch(0.0).entries) == 2


def test_a_flush_during_a_pause_sends_one_probe_and_the_pause_is_told_once():
    made = lanes(linger=0, pause_interval=60)
    made.add(item("a", 1), 0.0)
    assert made.settle(made.next_batch(0.0), Answer(401), 0.0).paused
    assert made.next_batch(1.0) is None

    made.hurry()

    assert not made.settle(made.next_batch(1.0), Answer(401), 1.0).paused
    assert made.next_batch(2.0) is None
    assert made.next_due(2.0) == 61.0


def test_few_requests_find_one_poison_event_among_a_hundred():
    made = lanes(linger=0)
    for number in range(100):
        made.add(item("a", number, poison=number == 37), 0.0)
    requests, refused = 0, []
    while made.events:
        batch = made.next_batch(0.0)
        requests += 1
        settled = made.settle(batch, Answer(400 if b"poison" in batch.body() else 200), 0.0)
        refused += [settled.refused] if settled.refused else []

    assert [entry.number for entry in refused] == [38]
    assert requests <= 15
