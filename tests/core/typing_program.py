"""What an editor infers of the API by hand; checked by `test_typing.py` with mypy and pyright, never run."""

from datetime import datetime
from typing import Any, assert_type

from mindlytics_core import (
    APIResponse,
    Client,
    Cost,
    DeliveryError,
    Event,
    Exchange,
    FlushResult,
    HTTPClient,
    Ids,
    MLEvent,
    Receipt,
    Scope,
    Session,
    Stats,
    TokenBasedCost,
    conversation,
    current_session,
    redactors,
)


def on_event(event: MLEvent) -> None:
    assert_type(event.session_id, str)
    assert_type(event.conversation_id, str | None)


async def on_error(error: DeliveryError) -> None:
    assert_type(error.status, int)


def before_send(event: Event) -> Event | None:
    return event


def a_client() -> None:
    client = Client("key", "project", on_error=on_error, before_send=before_send, redact=redactors.ALL)
    assert_type(client, Client)
    assert_type(client.create_session(id="jjacob", on_event=on_event, on_error=on_error), Session)
    assert_type(client.stats(), Stats)
    assert_type(client.stats().dropped["closed"], int)
    assert_type(client.flush_sync(), FlushResult)
    assert_type(client.user_identify_sync(id="jjacob"), dict[str, Any])
    with client as entered:
        assert_type(entered, Client)


def a_session(session: Session) -> None:
    assert_type(session.track_event(event="Opened", timestamp=datetime.now()), Receipt)  # noqa: DTZ005  # its type counts
    assert_type(session.track_conversation_turn(user="a", assistant="b", usage=Cost(1)), Receipt)
    assert_type(session.track_conversation_usage(usage=TokenBasedCost("m", 1, 2)), Receipt)
    assert_type(session.get_errors(), list[APIResponse])
    assert_type(session.conversation_id, str | None)
    session.conversation_id = "talk"
    assert_type(current_session(), Session | None)
    with session as entered:
        assert_type(entered, Session)


async def awaited(client: Client, session: Session, http: HTTPClient) -> None:
    assert_type(await session.track_event(event="Opened"), Receipt)
    assert_type(await session.end_session(), Receipt)
    assert_type(await session.flush(), FlushResult)
    assert_type(await client.flush(timeout=3), FlushResult)
    assert_type(await client.user_alias(id="a", previous_id="b"), dict[str, Any])
    await client.start_listening(on_event=on_event, on_error=on_error)
    await client.stop_listening()
    await http.send_request(method="GET", url="/bc/v1/user/list", data={})
    async with session as entered:
        assert_type(entered, Session)
    async with conversation(user_id="jjacob") as scope:
        assert_type(scope, Scope)


@conversation(user_id="jjacob")
def plain(text: str, *, times: int = 1) -> list[str]:
    return [text] * times


@conversation(user_id="jjacob")
async def coroutine(text: str) -> int:
    return len(text)


async def decorated_functions_keep_their_types(scope: Scope) -> None:
    assert_type(plain("x", times=2), list[str])
    assert_type(await coroutine("x"), int)
    assert_type(scope.run(plain, "x", times=2), list[str])
    assert_type(conversation().as_default(), Scope)


def an_exchange(client: Client) -> None:
    with client.exchange("Hi", ids=Ids(user_id="jjacob")) as exchange:
        assert_type(exchange, Exchange)
        assert_type(exchange.turn_id, str)
        assert_type(exchange.session, Session)
        exchange.function_call("find", runtime=1.5, error=ValueError())
        exchange.finish("Hello", properties={"flag": True, "count": 1, "ratio": 0.5, "text": "x"})
