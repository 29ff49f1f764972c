"""
A program as users of the public SDK have written it; `test_public_sdk.py` runs it with that SDK and with ours.

The only difference between the two runs is the name of the module, given as the first argument.
"""

import asyncio
import importlib
import json
import sys
from datetime import UTC, datetime, timedelta

sdk = importlib.import_module(sys.argv[1])
START = datetime(2024, 5, 1, 9, tzinfo=UTC)


def at(minutes: int) -> str:
    return (START + timedelta(minutes=minutes)).isoformat()


async def support(client):
    """A whole visit, with a conversation that was named beforehand."""
    session = client.create_session(session_id="support", conversation_id="order", id="jjacob", device_id="phone")
    await session.track_event(timestamp=at(0), event="Opened", properties={"page": "cart", "items": 3, "vip": True})
    await session.track_conversation_turn(
        timestamp=at(1),
        user="Where is my order?",
        assistant="On its way.",
        assistant_id="bot",
        usage=sdk.TokenBasedCost(model="gpt-4o", prompt_tokens=42, completion_tokens=11),
        properties={"mood": "calm"},
    )
    await session.track_function_call(
        timestamp=at(2), name="find", args='{"id": 7}', result="shipped", runtime=12, properties={"cached": False}
    )
    await session.track_conversation_usage(timestamp=at(3), usage=sdk.Cost(cost=0.25))
    await session.end_conversation(timestamp=at(4), properties={"solved": True})
    await session.end_session(timestamp=at(5), attributes={"rating": 5})
    await session.flush()
    assert not session.has_errors(), session.get_errors()


async def two_at_once(client):
    """Several conversations in one session; what the call names wins, and the session's end ends them."""
    session = client.create_session(session_id="several", id="ann")
    await session.track_conversation_turn(timestamp=at(10), conversation_id="one", user="1a", assistant="ok")
    await session.track_conversation_turn(timestamp=at(11), conversation_id="two", user="2a", assistant="ok")
    await session.track_conversation_turn(timestamp=at(12), conversation_id="one", user="1b", assistant="ok")
    await session.flush_and_continue()
    await session.end_conversation(timestamp=at(13), conversation_id="two")
    await session.end_session(timestamp=at(14))
    await session.flush()


async def becoming_known(client):
    """Somebody unknown turns out to be a user, who gets another id."""
    session = client.create_session(session_id="anonymous", device_id="kiosk")
    await session.track_event(timestamp=at(20), event="Looked", properties={})
    await session.user_identify(timestamp=at(21), id="jane", traits={"plan": "pro", "age": 33})
    await session.user_alias(timestamp=at(22), id="jane@example.org", previous_id="jane")
    await session.track_event(timestamp=at(23), event="Bought", properties={"price": 9.5})
    await session.end_session(timestamp=at(24))
    await session.flush()


async def request_by_request(client):
    """A web app that makes a session object for each request and flushes it."""
    for number in range(3):
        session = client.create_session(session_id="web", conversation_id="chat", id="bob")
        await session.track_conversation_turn(timestamp=at(30 + number), user=f"question {number}", assistant="ok")
        await session.flush()
    session = client.create_session(session_id="web", conversation_id="chat", id="bob")
    await session.end_session(timestamp=at(39))
    await session.flush()


async def watched(client):
    """A session whose live events are listened to until it has ended."""
    heard = []

    async def on_event(event):
        assert isinstance(event, sdk.MLEvent)
        heard.append(event.event)

    async def on_error(error):
        heard.append(str(error))

    session = client.create_session(session_id="watched", id="cleo", on_event=on_event, on_error=on_error)
    await session.start_listening(session_id="watched", on_event=on_event, on_error=on_error)
    await session.track_event(timestamp=at(40), event="Opened", properties={})
    await session.end_session(timestamp=at(41))
    await session.flush()
    return heard


async def outside_sessions(client):
    """Users by themselves, and any other request."""
    await client.user_identify(id="dora", device_id="tablet", traits={"city": "Ulm"})
    await client.user_identify(id="dora", traits={"plan": "free"})
    await client.user_alias(id="dora@example.org", previous_id="dora")
    refusals = []
    try:
        await client.user_alias(id="", previous_id="nobody")
    except Exception as error:  # noqa: BLE001  # the public SDK raises nothing more exact
        refusals.append(isinstance(error, Exception))
    http = sdk.HTTPClient()
    answer = await http.send_request(method="GET", url="/bc/v1/no/such/path", data={})
    refusals.append((answer["errored"], answer["status"]))
    refusals.append(sdk.APIResponse(errored=True, status=400, message="m").status)
    return refusals


async def main():
    client = sdk.Client()
    await support(client)
    await two_at_once(client)
    await becoming_known(client)
    await request_by_request(client)
    heard = await watched(client)
    refusals = await outside_sessions(client)
    sys.stdout.write(json.dumps({"heard": heard, "refusals": refusals}))


asyncio.run(main())
