"""Threads that do everything in the same sessions at once: each start and each end goes out once, and in order."""

import itertools
import random
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from helpers import Service, events

from mindlytics_core import Client, Event, Ids, InvalidArgument, conversation

SESSIONS = ["one", "other", None]
CONVERSATIONS = ["talk", "aside", None]


def looked_at(event: Event) -> Event:
    return event


def an_exchange(client: Client, chance: random.Random, session_id: Any, conversation_id: Any) -> None:
    ids = Ids(session_id=session_id, conversation_id=conversation_id, user_id=chance.choice(["ann", None]))
    exchange = client.exchange("Hi", ids=ids, continue_within=chance.choice([0, 0.05, 100]))
    exchange.function_call("find")
    chance.choice([lambda: exchange.finish("Hello"), lambda: exchange.fail("Oops"), lambda: exchange.interrupt("")])()


def a_turn(client: Client, chance: random.Random, session_id: Any, conversation_id: Any) -> None:
    session = client.create_session(session_id=session_id, id="ann")
    session.track_conversation_turn(user="Hi", assistant="Hello", conversation_id=conversation_id)
    if chance.random() < 0.3:
        try:
            session.end_conversation(conversation_id=conversation_id)
        except InvalidArgument:  # others have opened more of them meanwhile
            session.end_session()


def a_scope(client: Client, _: random.Random, session_id: Any, conversation_id: Any) -> None:
    with conversation(session_id=session_id, conversation_id=conversation_id):
        client.exchange("Hi").finish("Hello")


def a_block(client: Client, _: random.Random, session_id: Any, conversation_id: Any) -> None:
    with client.create_session(session_id=session_id, id="bob") as session:
        session.track_event(event="Opened", conversation_id=conversation_id)


STEPS = [an_exchange, an_exchange, a_turn, a_turn, a_scope, a_block]


@pytest.mark.usefixtures("quick_switches")
@pytest.mark.parametrize("before_send", [None, looked_at])
@pytest.mark.parametrize("seed", range(2))
def test_starts_and_ends_go_out_once_and_in_order(
    new_client: Callable[..., Client], service: Service, before_send: Any, seed: int
):
    client = new_client(before_send=before_send)

    def work(number: int) -> None:
        chance = random.Random(10 * seed + number)
        for _ in range(30):
            chance.choice(STEPS)(client, chance, chance.choice(SESSIONS), chance.choice(CONVERSATIONS))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.close()

    arrived = events(service)
    assert len(arrived) == client.stats().delivered
    no_session_ends_before_its_conversations(arrived)
    no_conversation_speaks_outside_of_its_start_and_its_end(arrived)


def no_session_ends_before_its_conversations(arrived: list[dict[str, Any]]) -> None:
    open_ones: dict[str, set[str]] = defaultdict(set)
    for event in arrived:
        inside = open_ones[event["session_id"]]
        if event.get("event") == "Conversation Started":
            inside.add(event["conversation_id"])
        elif event.get("event") == "Conversation Ended":
            inside.discard(event["conversation_id"])
        assert event["type"] != "end_session" or not inside


def no_conversation_speaks_outside_of_its_start_and_its_end(arrived: list[dict[str, Any]]) -> None:
    by_conversation: dict[Any, list[str]] = defaultdict(list)
    for event in arrived:
        if "conversation_id" in event:
            by_conversation[event["session_id"], event["conversation_id"]].append(event["event"])
    for names in by_conversation.values():
        assert (names[0], names[-1]) == ("Conversation Started", "Conversation Ended")
        for before, after in itertools.pairwise(names):
            assert (before == "Conversation Ended") == (after == "Conversation Started"), names
