"""A Ctrl-C between any two steps of ours: nobody waits for ever afterwards, and the books are right."""

import dis
import functools
import itertools
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from types import CodeType, FrameType
from typing import Any

from chaos import Chaos

from mindlytics_core import Client, Event, Ids, Session, _line, _outbox, _stats


class CtrlC:
    """
    Raises `KeyboardInterrupt` once where Python looks for signals: at a function's begin, after a call, in a loop.

    Args:
        number: At which of these places, counted over all functions of the modules.

        modules: Whose functions.

        spared: Functions whose begin is left out.
    """

    def __init__(self, number: int, *modules: Any, spared: tuple[CodeType, ...] = ()) -> None:
        self.left = number
        self.raised = False
        self._files = {module.__file__ for module in modules}
        self._spared = spared
        self._before: dict[FrameType, int] = {}

    def run(self, task: Callable[[], Any]) -> None:
        sys.settrace(self._trace)
        try:
            task()
        except KeyboardInterrupt:
            assert self.raised
        finally:
            sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in self._files:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "call" and frame.f_code not in self._spared:
            self._maybe()
        elif event == "opcode":
            before, self._before[frame] = self._before.get(frame), frame.f_lasti
            if before is not None and before in after_which_signals_are_looked_for(frame.f_code):
                self._maybe()
        return self._trace

    def _maybe(self) -> None:
        self.left -= 1
        if self.left < 0 and not self.raised:
            self.raised = True
            raise KeyboardInterrupt


@functools.cache
def after_which_signals_are_looked_for(code: CodeType) -> set[int]:
    return {step.offset for step in dis.get_instructions(code) if step.opname.startswith(("CALL", "JUMP_BACKWARD"))}


def at_every_place(*modules: Any, spared: tuple[CodeType, ...] = ()) -> Iterator[CtrlC]:
    for number in itertools.count():
        ctrl_c = CtrlC(number, *modules, spared=spared)
        yield ctrl_c
        if not ctrl_c.raised:
            assert number > 3
            return


def test_a_sum_that_is_broken_off_anywhere_is_right_with_the_next_amount():
    for ctrl_c in at_every_place(_stats):
        total = _stats.Sum()
        total.add(1)
        ctrl_c.run(lambda total=total: [total.add(10) for _ in range(2)])
        begun = total.add(100)

        assert begun in ({121} if not ctrl_c.raised else {101, 111, 121})
        assert begun == total.total == total.add(0)


#: Where a lock is still held because what would release it has not begun. No lock written in Python can mend that.
LEAVING = (_outbox._Lock.__exit__.__code__,)


class AfterCtrlC:
    """
    One client whose calls are broken off; what is tracked afterwards, by another thread, arrives after it.

    Args:
        chaos: The service.

        client: The client.
    """

    def __init__(self, chaos: Chaos, client: Client) -> None:
        self.chaos = chaos
        self.client = client
        self.times = 0

    def go_on(self, session: Session) -> None:
        def track() -> None:
            session.track_event(event="last")

        other = threading.Thread(target=track)
        other.start()
        other.join(10)
        assert not other.is_alive(), self.times
        assert self.client.flush_sync(10).ok, self.times

        self.times += 1
        stats = self.client.stats()
        assert stats.accepted == stats.delivered + stats.pending + sum(stats.dropped.values())
        # One that was broken off between its count and its place stays pending.
        assert 0 <= stats.pending <= self.times

    def names(self) -> list[tuple[str, ...]]:
        """What has arrived of each session."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for event in self.chaos.events():
            found[event["session_id"]].append(event["event"])
        return list(map(tuple, found.values()))


def test_a_look_that_is_broken_off_anywhere_holds_nobody_up(chaos: Chaos, hasty):
    sessions: list[Session] = []

    def before_send(event: Event) -> Event:
        if getattr(event, "name", "") == "outer":
            sessions[-1].track_event(event="inner")
        return event

    for number, ctrl_c in enumerate(at_every_place(_line, _outbox, spared=LEAVING)):
        ids = Ids(session_id=f"s{number}", conversation_id="c", user_id="ann")
        if number % 10 == 0:
            # A thread that is broken off time and again remembers more and more locks that it may hold still.
            after = AfterCtrlC(chaos, hasty(on={"before_send": before_send}))
        # Its lock is taken around the session's.
        exchange = after.client.exchange(ids=ids)
        sessions.append(exchange.session)
        ctrl_c.run(lambda exchange=exchange: exchange.function_call("outer"))
        after.go_on(sessions[-1])

    # What was not looked at yet when it was broken off is when the flush comes, and tracks then.
    names = {tuple(name for name in found if name != "inner") for found in after.names()}
    whole = ("Conversation Started", "Conversation Function", "last")
    assert names == {whole, (whole[0], whole[2])}


def test_what_is_held_back_and_broken_off_anywhere_holds_nobody_up(chaos: Chaos, hasty):
    after = AfterCtrlC(chaos, hasty())
    for number, ctrl_c in enumerate(at_every_place(_line, _outbox)):
        session = after.client.create_session(session_id=f"s{number}", id="ann")
        stands: Future[None] = Future()

        def task(session: Session = session, stands: Future[None] = stands) -> None:
            session._lifecycle.hold(stands)
            session.track_event(event="first")
            stands.set_result(None)

        ctrl_c.run(task)
        after.go_on(session)

    assert set(after.names()) == {("last",), ("first", "last")}
