"""Every call by hand, against the live local service, with the result read back from it."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from desk import Desk
from helpers import Service, events, get, of_session, shape

from mindlytics_core import (
    Client,
    Cost,
    DeliveryError,
    Event,
    Ids,
    InvalidArgument,
    Session,
    SessionClosed,
    TokenBasedCost,
    current_session,
)
from mindlytics_core._model import Turn

ASKED = {"user": "Where is my order?", "assistant": "On its way."}


def arrived(client: Client, service: Service) -> list[dict[str, Any]]:
    assert client.flush_sync()
    return events(service)


def test_every_kind_of_call_arrives_as_the_service_documents_it(client: Client, service: Service):
    session = client.create_session(id="jjacob", device_id="phone", attributes={"channel": "web"})
    session.track_event(event="Opened", properties={"page": 3, "beta": True, "ratio": 0.5, "name": "x"})
    session.start_conversation(properties={"topic": "orders"})
    session.track_function_call(
        name="find", args='{"id": 7}', result="shipped", runtime=12, properties={"cached": False}
    )
    session.track_conversation_turn(
        **ASKED, assistant_id="bot", usage=TokenBasedCost("gpt-4o", 42, 11), properties={"mood": "calm"}
    )
    session.track_conversation_usage(usage=TokenBasedCost("small", 1, 2))
    session.track_conversation_usage(cost=Cost(0.25))
    session.user_identify(id="jane", traits={"plan": "pro"})
    session.user_alias(id="jane@example.org", previous_id="jane")
    session.end_conversation(properties={"solved": True})
    session.end_session(attributes={"rating": 5})

    found = arrived(client, service)

    assert shape(found) == [
        "start_session",
        "Opened",
        "Conversation Started",
        "Conversation Function",
        "Conversation Turn",
        "Conversation Usage",
        "Conversation Usage",
        "identify",
        "alias",
        "Conversation Ended",
        "end_session",
    ]
    start, opened, started, function, turn, usage, cost, identify, alias, ended, end = found
    assert {event["session_id"] for event in found} == {session.session_id}
    assert (start["id"], start["device_id"], start["attributes"]) == ("jjacob", "phone", {"channel": "web"})
    assert opened["properties"] == {"page": 3, "beta": True, "ratio": 0.5, "name": "x"}
    assert "conversation_id" not in opened
    assert started["properties"] == {"topic": "orders"}
    conversation_ids = {event["conversation_id"] for event in (started, function, turn, usage, cost, ended)}
    assert len(conversation_ids) == 1
    assert function["properties"] == {
        "name": "find",
        "args": '{"id": 7}',
        "result": "shipped",
        "runtime": 12,
        "cached": False,
    }
    assert turn["properties"] == {
        **ASKED,
        "assistant_id": "bot",
        "model": "gpt-4o",
        "prompt_tokens": 42,
        "completion_tokens": 11,
        "mood": "calm",
    }
    assert usage["properties"] == {"model": "small", "prompt_tokens": 1, "completion_tokens": 2}
    assert cost["properties"] == {"cost": 0.25}
    assert (identify["id"], identify["user_id"], identify["traits"]) == ("jane", "jjacob", {"plan": "pro"})
    assert (alias["id"], alias["previous_id"]) == ("jane@example.org", "jane")
    assert ended["properties"] == {"solved": True}
    assert end["attributes"] == {"rating": 5}
    assert end["user_id"] == "jane@example.org"


async def test_each_call_can_be_awaited_as_well(client: Client, service: Service):
    session = client.create_session(id="jjacob")
    assert await session.track_event(event="Opened")
    assert await session.track_conversation_turn(**ASKED)
    assert await session.track_conversation_usage(usage=Cost(1))
    assert await session.track_function_call(name="find")
    assert await session.user_identify(traits={"plan": "pro"})
    assert await session.user_alias(id="jane", previous_id="jjacob")
    assert await session.end_conversation()
    assert await session.end_session()
    assert await session.flush_and_continue()

    assert len(of_session(events(service), session.session_id)) == 10


def test_calls_before_during_and_after_a_loop_and_from_threads_all_arrive_in_the_order_of_each(
    client: Client, service: Service
):
    session = client.create_session(id="jjacob")
    session.track_event(event="before")

    async def during() -> None:
        session.track_event(event="during")
        await asyncio.to_thread(session.track_event, event="to_thread")

    asyncio.run(during())
    asyncio.run(during())
    thread = threading.Thread(target=session.track_event, kwargs={"event": "thread"})
    thread.start()
    thread.join()
    session.track_event(event="after")

    assert shape(arrived(client, service)) == [
        "start_session",
        "before",
        "during",
        "to_thread",
        "during",
        "to_thread",
        "thread",
        "after",
    ]


def test_many_threads_start_the_session_and_the_conversation_once(client: Client, service: Service):
    session = client.create_session(id="jjacob")
    together = threading.Barrier(8)

    def work(number: int) -> None:
        together.wait()
        for turn in range(20):
            session.track_conversation_turn(user=f"{number}/{turn}", assistant="ok")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = arrived(client, service)

    names = shape(found)
    assert (names.count("start_session"), names.count("Conversation Started")) == (1, 1)
    said = [event["properties"]["user"] for event in found if event.get("event") == "Conversation Turn"]
    for number in range(8):
        assert [text for text in said if text.startswith(f"{number}/")] == [f"{number}/{turn}" for turn in range(20)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (datetime(2020, 2, 29, 12, tzinfo=UTC), "2020-02-29T12:00:00.000000+00:00"),
        ("2020-02-29T12:00:00+02:00", "2020-02-29T10:00:00.000000+00:00"),
        ("2020-02-29T12:00:00Z", "2020-02-29T12:00:00.000000+00:00"),
    ],
)
def test_a_time_of_the_past_arrives_as_the_same_instant(client: Client, service: Service, given: Any, expected: str):
    client.create_session(session_id="s", id="jjacob").track_event(event="Opened", timestamp=given)

    assert arrived(client, service)[0]["timestamp"] == expected


def test_a_time_without_a_zone_is_local(client: Client, service: Service):
    naive = datetime(2020, 1, 1, 12)  # noqa: DTZ001  # what this is about
    client.create_session(session_id="s", id="jjacob").track_event(event="Opened", timestamp=naive)

    assert datetime.fromisoformat(arrived(client, service)[0]["timestamp"]) == naive.astimezone()


def test_an_imported_past_keeps_its_order_and_ends_with_its_last_event(client: Client, service: Service):
    start = datetime(2020, 1, 1, tzinfo=UTC)
    session = client.create_session(id="jjacob")
    for minute in (0, 2, 1):
        session.track_conversation_turn(**ASKED, timestamp=start + timedelta(minutes=minute))
    session.track_event(event="Left", timestamp=start + timedelta(minutes=9))
    client.close()

    found = events(service)

    minutes = [(datetime.fromisoformat(event["timestamp"]) - start).total_seconds() / 60 for event in found]
    assert list(zip(shape(found), minutes, strict=True)) == [
        ("start_session", 0),
        ("Conversation Started", 0),
        ("Conversation Turn", 0),
        ("Conversation Turn", 2),
        ("Conversation Turn", 1),
        ("Left", 9),
        ("Conversation Ended", 9),
        ("end_session", 9),
    ]


def test_a_session_that_the_app_names_is_opened_by_its_first_event(client: Client, service: Service):
    client.create_session(session_id="visit-7", id="jjacob").track_event(event="Opened")

    assert shape(arrived(client, service)) == ["Opened"]
    (session,) = get(service, "/bc/v1/db/sessions/find", filter='{"session_id": "visit-7"}')
    assert session["session_id"] == "visit-7"


def test_attributes_are_sent_with_a_start_also_of_a_named_session(client: Client, service: Service):
    client.create_session(session_id="visit-7", id="jjacob", attributes={"channel": "web"}).track_event(event="Opened")

    assert shape(arrived(client, service)) == ["start_session", "Opened"]


def test_an_id_that_is_too_long_for_a_start_is_left_to_the_events(client: Client, service: Service):
    client.exchange("Hi", ids=Ids(user_id="u" * 101)).finish("Hello")
    client.close()

    assert client.stats().dropped == {}
    assert {event["user_id"] for event in events(service)} == {"u" * 101}


def test_a_session_without_identity_is_its_own_anonymous_device(client: Client, service: Service):
    one, two = client.create_session(), client.create_session()
    one.track_event(event="Opened")
    two.track_event(event="Opened")

    found = arrived(client, service)

    assert one.session_id != two.session_id
    assert {event["device_id"] for event in of_session(found, one.session_id)} == {one.session_id}
    assert {event["device_id"] for event in of_session(found, two.session_id)} == {two.session_id}


def test_nothing_is_sent_of_a_session_without_events(client: Client, service: Service):
    client.create_session(id="jjacob")
    client.close()

    assert events(service) == []


def test_another_object_of_a_session_says_whose_later_events_are(client: Client, service: Service):
    client.create_session(session_id="visit", device_id="phone").track_event(event="Looked")
    known = client.create_session(session_id="visit", id="jjacob")
    known.track_event(event="Signed in")
    assert (known.id, known.device_id) == ("jjacob", "phone")
    # A session stays its first user's; what is given with a call, or with an object, wins.
    other = client.create_session(session_id="visit", id="jane")
    other.track_conversation_turn(**ASKED)
    other.user_identify(id="jane.doe")
    other.track_event(event="Signed out")
    known.track_event(event="Looked again")
    assert client.flush_sync()

    assert [(event.get("user_id"), event["device_id"]) for event in events(service)] == [
        (None, "phone"),
        ("jjacob", "phone"),
        *[("jane", "phone")] * 3,
        ("jane.doe", "phone"),
        ("jjacob", "phone"),
    ]


def test_a_session_that_several_blocks_share_ends_with_the_last_of_them(client: Client, service: Service):
    one = client.create_session(session_id="visit", id="jjacob")
    other = client.create_session(session_id="visit", id="jjacob")
    with one:
        with other:
            other.track_event(event="Asked")
        with pytest.raises(SessionClosed):
            other.track_event(event="late")
        one.track_event(event="Answered")

    assert shape(events(service)) == ["Asked", "Answered", "end_session"]


def test_threads_in_blocks_of_one_object_leave_each_their_own(client: Client):
    session = client.create_session(session_id="visit", id="jjacob")
    entered, may_leave = threading.Event(), threading.Event()

    def other() -> None:
        with session:
            entered.set()
            may_leave.wait(10)

    thread = threading.Thread(target=other)
    with session:
        thread.start()
        entered.wait(10)
    assert current_session() is None
    assert session.track_event(event="Opened")
    may_leave.set()
    thread.join()
    with pytest.raises(SessionClosed):
        session.track_event(event="late")


@pytest.mark.usefixtures("quick_switches")
def test_threads_that_name_one_session_get_one(client: Client):
    def make(session_id: str, ready: threading.Barrier, made: list[Session]) -> None:
        ready.wait(10)
        made.append(client.create_session(session_id=session_id, id="jjacob"))

    for number in range(50):
        ready, made = threading.Barrier(4), list[Session]()
        threads = [threading.Thread(target=make, args=(f"visit-{number}", ready, made)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for session in made:
            session.end_conversation(conversation_id="talk")
    assert client.stats().accepted == 50  # each is ended once


def test_several_conversations_are_open_at_once_and_the_one_named_in_the_call_wins(client: Client, service: Service):
    session = client.create_session(id="jjacob", conversation_id="own")
    session.track_conversation_turn(**ASKED)
    session.track_conversation_turn(**ASKED, conversation_id="other")
    session.track_function_call(name="find", conversation_id="other")
    session.track_event(event="Opened")
    session.end_conversation(conversation_id="other")
    session.track_conversation_turn(**ASKED)
    session.end_session()

    found = arrived(client, service)

    assert [(name, event.get("conversation_id")) for name, event in zip(shape(found), found, strict=True)] == [
        ("start_session", None),
        ("Conversation Started", "own"),
        ("Conversation Turn", "own"),
        ("Conversation Started", "other"),
        ("Conversation Turn", "other"),
        ("Conversation Function", "other"),
        ("Opened", "own"),
        ("Conversation Ended", "other"),
        ("Conversation Turn", "own"),
        ("Conversation Ended", "own"),
        ("end_session", None),
    ]


def test_an_event_belongs_to_the_conversation_that_is_open_and_to_none_before(client: Client, service: Service):
    session = client.create_session(id="jjacob")
    session.track_event(event="before")
    session.track_conversation_turn(**ASKED)
    session.track_event(event="during")
    session.end_conversation()
    session.track_event(event="after")

    found = {event.get("event"): event.get("conversation_id") for event in arrived(client, service)}

    assert (found["before"], found["after"]) == (None, None)
    assert found["during"] == found["Conversation Turn"]


def test_after_its_end_the_next_turn_starts_another_conversation(client: Client, service: Service):
    session = client.create_session(id="jjacob")
    session.track_conversation_turn(**ASKED)
    first = session.conversation_id
    session.end_conversation()
    assert session.conversation_id is None
    session.track_conversation_turn(**ASKED)

    assert session.conversation_id not in {first, None}
    started = [e for e in arrived(client, service) if e.get("event") == "Conversation Started"]
    assert [event["conversation_id"] for event in started] == [first, session.conversation_id]


def test_the_session_s_conversation_can_be_set(client: Client, service: Service):
    session = client.create_session(id="jjacob")
    session.conversation_id = "chosen"
    session.track_conversation_turn(**ASKED)

    assert arrived(client, service)[-1]["conversation_id"] == "chosen"
    with pytest.raises(InvalidArgument):
        session.conversation_id = ""


def test_each_end_goes_out_once(client: Client, service: Service):
    session = client.create_session(id="jjacob")
    session.track_conversation_turn(**ASKED, conversation_id="one")
    assert session.end_conversation(conversation_id="one")
    assert not session.end_conversation(conversation_id="one")
    assert session.end_session()
    assert not session.end_session()
    client.close()

    assert shape(events(service))[-2:] == ["Conversation Ended", "end_session"]
    assert len(events(service)) == 5


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda client: client.create_session(on_event="heard"), "on_event"),
        (lambda client: client.create_session(on_error=7), "on_error"),
        (lambda client: client.create_session(listen_timeout="long"), "listen_timeout"),
        (lambda client: client.exchange("Hi", ids={"user_id": "ann"}), "ids"),
        (lambda client: client.record({"type": "track"}), "event"),
    ],
)
def test_what_is_no_argument_is_refused_at_the_call(client: Client, call: Any, named: str):
    with pytest.raises(InvalidArgument, match=named):
        call(client)


def test_a_second_end_is_none_also_after_thousands_of_others():
    desk = Desk()
    session = desk.session(id="jjacob")
    for number in range(2_000):
        session.track_event(event="Opened", conversation_id=f"talk {number}")
        session.end_conversation(conversation_id=f"talk {number}")
    session.end_conversation(conversation_id="talk 0")

    ends = [event["conversation_id"] for event in desk.events if event.get("event") == "Conversation Ended"]
    assert len(ends) == len(set(ends)) == 2_000


def test_a_conversation_that_another_process_opened_can_be_ended_here(client: Client, service: Service):
    client.create_session(session_id="visit-7", id="jjacob").end_conversation(conversation_id="elsewhere")
    client.create_session(session_id="visit-8", id="jjacob").end_session()

    assert shape(arrived(client, service)) == ["Conversation Ended", "end_session"]


def test_which_of_several_conversations_is_to_end_must_be_said(client: Client):
    session = client.create_session(id="jjacob")
    session.track_conversation_turn(**ASKED, conversation_id="one")
    assert session.end_conversation()
    session.track_conversation_turn(**ASKED, conversation_id="two")
    session.track_conversation_turn(**ASKED, conversation_id="three")

    with pytest.raises(InvalidArgument, match=r"2 conversations are open .*conversation_id"):
        session.end_conversation()


def test_ending_a_conversation_where_none_was_opened_does_nothing(client: Client, service: Service):
    session = client.create_session(id="jjacob")
    assert not session.end_conversation()
    session.track_event(event="Opened")
    assert not session.end_conversation()

    assert shape(arrived(client, service)) == ["start_session", "Opened"]


def test_identify_changes_whose_later_events_are_and_never_erases_anybody(client: Client, service: Service):
    session = client.create_session(device_id="phone")
    session.user_identify(id="jane")
    session.user_identify(traits={"plan": "pro"})
    session.user_identify(device_id="tablet")
    session.track_event(event="Opened")

    found = arrived(client, service)

    assert [(event.get("id"), event["device_id"]) for event in found] == [
        (None, "phone"),
        ("jane", "phone"),
        ("jane", "phone"),
        (None, "tablet"),
        (None, "tablet"),
    ]
    assert found[-1]["user_id"] == "jane"
    assert (session.id, session.device_id) == ("jane", "tablet")
    (recorded,) = get(service, "/bc/v1/db/sessions/find", filter="{}", include='["user"]')
    assert (recorded["user"]["id"], recorded["user"]["traits"]) == ("jane", {"plan": "pro"})
    assert [alias.startswith("ml_") for alias in recorded["user"]["aliases"]] == [True, False]


def test_alias_changes_whose_later_events_are(client: Client, service: Service):
    session = client.create_session(id="jjacob")
    session.user_alias(id="jane", previous_id="jjacob")
    session.track_event(event="Opened")

    assert [event["user_id"] for event in arrived(client, service)] == ["jjacob", "jjacob", "jane"]
    (session_record,) = get(service, "/bc/v1/db/sessions/find", filter="{}", include='["user"]')
    assert set(session_record["user"]["aliases"]) == {"jjacob", "jane"}


def test_a_with_block_ends_and_delivers(client: Client, service: Service):
    with client.create_session(id="jjacob") as session:
        session.track_conversation_turn(**ASKED)

    assert shape(events(service)) == [
        "start_session",
        "Conversation Started",
        "Conversation Turn",
        "Conversation Ended",
        "end_session",
    ]


async def test_an_async_with_block_ends_and_delivers_whatever_is_raised_in_it(client: Client, service: Service):
    async def visit() -> None:
        async with client.create_session(id="jjacob") as session:
            session.track_conversation_turn(**ASKED)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await visit()

    assert shape(events(service))[-1] == "end_session"


def test_a_client_is_a_block_too(new_client: Callable[..., Client], service: Service):
    with new_client() as client:
        client.create_session(id="jjacob").track_conversation_turn(**ASKED)

    assert shape(events(service))[-2:] == ["Conversation Ended", "end_session"]
    assert client.is_closed


@pytest.mark.parametrize("blocking", [False, True])
async def test_flush_closes_a_session_and_says_what_to_do_instead(client: Client, service: Service, blocking: bool):
    session = client.create_session(id="jjacob")
    session.track_conversation_turn(**ASKED)
    assert session.flush_and_continue_sync() if blocking else await session.flush_and_continue()
    session.track_event(event="Opened")
    assert session.flush_sync() if blocking else await session.flush()

    assert shape(events(service))[-2:] == ["Conversation Ended", "end_session"]
    for late in (
        lambda: session.track_event(event="late"),
        lambda: session.track_conversation_turn(**ASKED),
        lambda: session.user_identify(id="jane"),
        lambda: session.end_conversation(conversation_id="other"),
    ):
        with pytest.raises(SessionClosed, match="flush_and_continue"):
            late()
    assert not session.end_session()
    assert await session.flush()


async def test_a_named_session_goes_on_after_flush_with_another_object(client: Client, service: Service):
    for request in range(3):
        session = client.create_session(session_id="visit-7", conversation_id="talk", id="jjacob")
        await session.track_conversation_turn(user=f"question {request}", assistant="ok")
        await session.flush()
    last = client.create_session(session_id="visit-7", conversation_id="talk", id="jjacob")
    await last.end_session()
    await last.flush()

    assert shape(events(service)) == [
        "Conversation Started",
        "Conversation Turn",
        "Conversation Turn",
        "Conversation Turn",
        "Conversation Ended",
        "end_session",
    ]


def test_what_comes_after_end_session_is_counted_and_raises_nothing(client: Client):
    session = client.create_session(id="jjacob")
    session.track_event(event="Opened")
    session.end_session()

    assert not session.track_event(event="late")
    assert client.stats().dropped["closed"] == 1


def test_what_the_service_refused_is_known_to_the_session(new_client: Any, service: Service):
    errors: list[DeliveryError] = []
    told = threading.Event()

    def on_error(error: DeliveryError) -> None:
        errors.append(error)
        told.set()

    client = new_client(before_send=without_the_user_s_words)
    session = client.create_session(id="jjacob", on_error=on_error)
    another_object = client.create_session(session_id=session.session_id)
    session.track_conversation_turn(**ASKED)
    client.flush_sync()

    assert session.has_errors()
    assert another_object.get_errors() == session.get_errors()
    (answer,) = session.get_errors()
    assert (answer.errored, answer.status) == (True, 400)
    assert told.wait(10)
    assert shape(events(service)) == ["start_session", "Conversation Started"]


def without_the_user_s_words(event: Event) -> Event:
    """Make a turn that the service refuses."""
    return event.replace(user=None) if isinstance(event, Turn) else event


def test_repr_names_the_session_and_no_key(client: Client):
    session = client.create_session(session_id="visit-7", id="jjacob")

    assert "visit-7" in repr(session)
    assert client.api_key not in repr(client) + repr(session) + repr(client.config)
    assert (session.project_id, session.id, session.device_id) == (client.project_id, "jjacob", None)
