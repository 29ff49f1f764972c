"""Hours in no time: an event loop whose clock jumps to whatever is due next, when nobody has anything to do."""

import asyncio
import concurrent.futures
import selectors
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mindlytics_core import Delivery
from mindlytics_core._clock import Clock
from mindlytics_core._config import Destination
from mindlytics_core._queue import Item
from mindlytics_core._reports import Reports
from mindlytics_core._retry import Answer
from mindlytics_core._worker import Worker

#: Some moment in 2026, in seconds since 1970.
WALL = 1_790_000_000.0


class Time:
    """What both clocks show. It stands still while anybody works, and jumps over every wait once it passes."""

    def __init__(self) -> None:
        self.now = 1_000.0
        #: How far the wall clock has been set ahead.
        self.set_ahead = 0.0
        #: Whether it passes at all: not while a test prepares what is to happen.
        self.passes = False
        #: How often it has jumped.
        self.jumps = 0
        #: How much passes with each look at the monotonic clock, as on a machine that is busy with others.
        self.each_look = 0.0
        self.clock = Clock(monotonic=self._look, wall=lambda: WALL + self.now + self.set_ahead)

    def _look(self) -> float:
        self.now += self.each_look
        return self.now

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """A loop that lives in this time."""
        return _Loop(self)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, time: Time) -> None:
        self._virtual = time
        super().__init__(_Jumping(time))

    def time(self) -> float:
        return self._virtual.now


class _Jumping(selectors.DefaultSelector):
    def __init__(self, time: Time) -> None:
        super().__init__()
        self._time = time

    def select(self, timeout: float | None = None) -> Any:
        waits = timeout is None or (timeout > 0 and not self._time.passes)
        ready = super().select(None if waits else 0)
        if not ready and timeout and self._time.passes:
            self._time.now += timeout
            self._time.jumps += 1
        return ready


@dataclass
class Attempt:
    """One request: when it left, under which key, which events, and how it was answered."""

    at: float
    key: str
    body: bytes
    answer: Answer
    at_once: int

    @property
    def events(self) -> list[bytes]:
        return events_of(self.body)


def events_of(body: bytes) -> list[bytes]:
    """The events of a body; those that a rig makes have no comma."""
    return body.strip(b"[]").split(b",")


@dataclass
class Sender:
    """A transport in virtual time: what is answered is judged by the moment, and takes a while."""

    time: Time
    judge: Callable[[float, list[bytes]], Answer]
    takes: float = 0.05
    attempts: list[Attempt] = field(default_factory=list)
    _under_way: int = 0

    def __call__(self, *_: object) -> "Sender":
        return self

    async def send(self, body: bytes, key: str) -> Answer:
        answer = self.judge(self.time.now, events_of(body))
        self._under_way += 1
        self.attempts.append(Attempt(self.time.now, key, body, answer, self._under_way))
        await asyncio.sleep(self.takes)
        self._under_way -= 1
        return answer

    async def aclose(self) -> None: ...

    def delivered(self) -> list[bytes]:
        """The events of all attempts that were taken, in order."""
        return [event for attempt in self.attempts if attempt.answer.status == 200 for event in attempt.events]


class Rig:
    """
    A worker in virtual time. Times are seconds since its first moment.

    Args:
        judge: Gives the answer to a request of a time with some events.

        spool_dir: Where events wait on disk.

        delivery: Options.
    """

    def __init__(
        self, judge: Callable[[float, list[bytes]], Answer], *, spool_dir: Path | None = None, **delivery: Any
    ) -> None:
        self.time = Time()
        self.began = self.time.now
        self.told: list[Exception] = []
        self.sender = Sender(self.time, lambda now, events: judge(now - self.began, events))
        self.worker = Worker(
            Destination("http://127.0.0.1:1", "key", "project"),
            Delivery(**delivery),
            spool_dir=spool_dir,
            new_transport=self.sender,
            clock=self.time.clock,
            new_loop=self.time.new_loop,
        )
        self._owner = Reports(None, None)
        self._owner.noticed = self.told.append  # type: ignore[method-assign]
        self._number = 0

    def put(self, count: int, *, sessions: int = 1) -> None:
        """Have some events recorded now."""
        for _ in range(count):
            self._number += 1
            session = f"s{self._number % sessions}"
            self.worker.queue.put(Item(session, b'{"%s":%d}' % (session.encode(), self._number), self._owner))

    def at(self, seconds: float, task: Callable[[], None]) -> None:
        """Do something at a time."""
        self.worker.call_at(self.began + seconds, task)

    def run(self) -> None:
        """Let time pass until everything that was put so far is delivered or dropped."""
        ticket = self.worker.flush()
        ticket.done.add_done_callback(lambda _: self._stand_still())
        self._pass_until(ticket.done)

    def run_until(self, seconds: float) -> None:
        """Let time pass until then."""
        done: concurrent.futures.Future[None] = concurrent.futures.Future()
        self.at(seconds, self._stand_still)
        self.at(seconds, lambda: done.set_result(None))
        self._pass_until(done)

    def _pass_until(self, done: "concurrent.futures.Future[None]") -> None:
        self._wait_for_the_transport()
        self.time.passes = not done.done()
        self.worker._runner.ring()
        done.result(timeout=30)

    def _wait_for_the_transport(self) -> None:
        """With a spool it is made beside the worker's thread, in real time."""
        has_come = threading.Event()
        self.worker.queue.put_task(has_come.set)
        assert has_come.wait(30)
        for thread in threading.enumerate():
            if thread.name == "mindlytics-import":
                thread.join(30)

    def _stand_still(self) -> None:
        self.time.passes = False

    def stop(self) -> None:
        self.worker.stop(wait=True)

    @property
    def seconds(self) -> float:
        """The time now."""
        return self.time.now - self.began
