"""Random sequences of calls, scopes, ends and jumps of the clock: the rules hold after every one of them."""

import contextvars
import itertools
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from desk import Desk
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from mindlytics_core import Ids, InvalidArgument, Message, Session, SessionClosed, conversation
from mindlytics_core._clock import iso
from mindlytics_core.exchange import Exchange

USERS = st.sampled_from(["ann", "bob", None])
SESSIONS = st.sampled_from(["s1", "s2", None])
CONVERSATIONS = st.sampled_from(["c1", "c2", None])
WAITS = st.sampled_from([0.0, 50.0, 500.0])


class Rules(RuleBasedStateMachine):
    """An app that does everything in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(idle_timeout=300)
        self.sessions: list[Session] = []
        self.exchanges: list[tuple[Exchange, list[Message], dict[str, str]]] = []
        self.histories: list[list[Message]] = [[]]
        self.scopes: list[tuple[ExitStack, Ids]] = []
        #: By turn, the ids that were given with the call or by the scopes around it.
        self.expected: dict[str, dict[str, str]] = {}
        self.numbers = itertools.count()
        #: When the app itself ended a conversation.
        self.asked_at: set[str] = set()

    # What the app does.

    @rule(user=USERS, session_id=SESSIONS, conversation_id=CONVERSATIONS, attributes=st.booleans())
    def make_a_session(self, user: Any, session_id: Any, conversation_id: Any, attributes: Any) -> None:
        given = {"attributes": {"a": 1}} if attributes else {}
        self.sessions.append(
            self.desk.session(id=user, session_id=session_id, conversation_id=conversation_id, **given)
        )

    @precondition(lambda self: self.sessions)
    @rule(which=st.integers(0, 100), conversation_id=CONVERSATIONS, event=st.booleans())
    def track(self, which: int, conversation_id: Any, event: Any) -> None:
        session = self.sessions[which % len(self.sessions)]
        if event:
            session.track_event(event="Opened", conversation_id=conversation_id)
        else:
            session.track_conversation_turn(user="a", assistant="b", conversation_id=conversation_id)

    @precondition(lambda self: self.sessions)
    @rule(which=st.integers(0, 100), conversation_id=CONVERSATIONS)
    def end_a_conversation(self, which: int, conversation_id: Any) -> None:
        session = self.sessions[which % len(self.sessions)]
        named = conversation_id or session.conversation_id
        # One that is not open here would be ended for the process that opened it.
        if named is None or session._lifecycle.is_open(named):
            try:
                self.asked_at.add(iso(self.desk.wall))
                session.end_conversation(conversation_id=conversation_id)
            except InvalidArgument:
                assert len(session._lifecycle.open_conversations()) > 1

    @precondition(lambda self: self.sessions)
    @rule(which=st.integers(0, 100))
    def end_a_session(self, which: int) -> None:
        session = self.sessions.pop(which % len(self.sessions))
        session.end_session()
        assert not session.end_session()

    @precondition(lambda self: self.sessions)
    @rule(which=st.integers(0, 100))
    def leave_a_session_s_block(self, which: int) -> None:
        session = self.sessions.pop(which % len(self.sessions))
        session._enter()
        session._leave()
        try:
            session.track_event(event="late")
        except SessionClosed:
            return
        raise AssertionError("a session that was left takes nothing more")

    @precondition(lambda self: len(self.scopes) < 3)
    @rule(user=USERS, session_id=SESSIONS, conversation_id=CONVERSATIONS)
    def enter_a_scope(self, user: Any, session_id: Any, conversation_id: Any) -> None:
        stack = ExitStack()
        scope = stack.enter_context(conversation(user_id=user, session_id=session_id, conversation_id=conversation_id))
        self.scopes.append((stack, scope.ids))

    @precondition(lambda self: self.scopes)
    @rule()
    def leave_the_scope(self) -> None:
        self.scopes.pop()[0].close()

    @precondition(lambda self: len(self.exchanges) < 4)
    @rule(user=USERS, session_id=SESSIONS, conversation_id=CONVERSATIONS, history=st.integers(0, 100), wait=WAITS)
    def open_an_exchange(self, user: Any, session_id: Any, conversation_id: Any, history: int, wait: float) -> None:
        messages = [*self.histories[history % len(self.histories)], Message("user", "Hi")]
        ids = Ids(user_id=user, session_id=session_id, conversation_id=conversation_id)
        exchange = self.desk.exchange(ids, messages, continue_within=wait)
        around = self.scopes[-1][1] if self.scopes else Ids()
        known = ids.or_else(around)
        names = ("user_id", "session_id", "conversation_id")
        expected = {name: value for name in names if (value := getattr(known, name)) is not None}
        self.expected[exchange.turn_id] = expected
        self.exchanges.append((exchange, messages, expected))

    @precondition(lambda self: self.exchanges)
    @rule(which=st.integers(0, 100), how=st.sampled_from(["finish", "fail", "interrupt", "function"]))
    def go_on_with_an_exchange(self, which: int, how: str) -> None:
        at = which % len(self.exchanges)
        exchange, messages, _ = self.exchanges[at]
        if how == "function":
            exchange.function_call("find")
            return
        del self.exchanges[at]
        answer = f"answer {next(self.numbers)}"
        if how == "fail":
            exchange.fail("Oops")
            return
        exchange.finish(answer) if how == "finish" else exchange.interrupt(answer)
        self.histories = [*self.histories[-5:], [*messages, Message("assistant", answer)]]

    @rule(
        seconds=st.sampled_from([0.0, 1.0, 49.0, 299.0, 301.0, 10_000.0]),
        wall=st.sampled_from([None, -3600.0, 86_400.0]),
    )
    def pass_time(self, seconds: float, wall: float | None) -> None:
        self.desk.pass_time(seconds, wall=wall)

    # What always holds.

    @invariant()
    def no_conversation_speaks_outside_of_its_start_and_its_end(self) -> None:
        for events in self.by_conversation().values():
            names = [event["event"] for event in events]
            assert names[0] == "Conversation Started", names
            for before, after in itertools.pairwise(names):
                assert (before == "Conversation Ended") == (after == "Conversation Started"), names

    @invariant()
    def no_session_ends_before_its_conversations(self) -> None:
        open_ones: dict[str, set[str]] = defaultdict(set)
        for event in self.desk.events:
            inside = open_ones[event["session_id"]]
            if event.get("event") == "Conversation Started":
                inside.add(event["conversation_id"])
            elif event.get("event") == "Conversation Ended":
                inside.discard(event["conversation_id"])
            assert event["type"] != "end_session" or not inside

    @invariant()
    def no_session_that_was_announced_speaks_outside_of_its_start_and_its_end(self) -> None:
        for events in self.by(lambda event: event["session_id"]).values():
            if events[0]["type"] == "start_session" and events[0]["session_id"] not in {"s1", "s2"}:
                for before, after in itertools.pairwise(event["type"] for event in events):
                    assert (before == "end_session") == (after == "start_session")

    @invariant()
    def no_event_carries_another_scope_s_ids(self) -> None:
        for event in self.desk.events:
            expected = self.expected.get(event.get("properties", {}).get("turn_id"), {})
            for name, value in expected.items():
                assert event.get(name) == value, (event, expected)

    @invariant()
    def an_end_that_goes_out_by_itself_has_the_latest_time_of_what_it_ends(self) -> None:
        for events in self.by_conversation().values():
            latest = ""
            for event in events:
                if event["event"] == "Conversation Started":
                    latest = event["timestamp"]
                elif event["event"] == "Conversation Ended":
                    assert event["timestamp"] == latest or event["timestamp"] in self.asked_at
                else:
                    latest = max(latest, event["timestamp"])

    def teardown(self) -> None:
        for stack, _ in reversed(self.scopes):
            stack.close()
        self.desk.book.end_at_exit()
        for events in self.by_conversation().values():
            names = [event["event"] for event in events]
            assert names.count("Conversation Started") == names.count("Conversation Ended"), names
        self.no_conversation_speaks_outside_of_its_start_and_its_end()
        self.no_session_ends_before_its_conversations()

    # How it is asked.

    def by_conversation(self) -> dict[Any, list[dict[str, Any]]]:
        found = self.by(lambda event: (event["session_id"], event.get("conversation_id")))
        return {key: events for key, events in found.items() if key[1] is not None}

    def by(self, key: Callable[[dict[str, Any]], Any]) -> dict[Any, list[dict[str, Any]]]:
        found: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for event in self.desk.events:
            found[key(event)].append(event)
        return found


EASY = settings(max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))


def held_for(how: settings) -> None:
    # In a context of its own: exchanges that were never closed stay the current ones there.
    contextvars.copy_context().run(run_state_machine_as_test, Rules, settings=how)


def test_the_rules_hold_whatever_the_app_does():
    held_for(EASY)


@pytest.mark.soak
def test_the_rules_hold_for_long():
    held_for(settings(EASY, max_examples=2_000))
