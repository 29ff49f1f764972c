"""A program that uses the vendor's own client; run by its own Python, see test_vendor.py."""

import asyncio
import json
import sys

from mlsdk import Client, TokenBasedCost


async def main(url: str, wss: str) -> None:
    heard: list[str] = []
    faults: list[str] = []

    async def on_event(event: object) -> None:
        heard.append(event.event)  # type: ignore[attr-defined]

    async def on_error(error: Exception) -> None:
        faults.append(str(error))

    client = Client(api_key="any", project_id="vendor", server_endpoint=url, wss_endpoint=wss)
    await client.user_identify(id="ann", traits={"plan": "pro"})
    await client.user_alias(id="ann2", previous_id="ann")
    session = client.create_session(
        session_id="s1", conversation_id="c1", device_id="d1", on_event=on_event, on_error=on_error
    )
    await session.user_identify(id="bob", traits={"age": 5})
    await session.track_event(event="Opened", properties={"from": "mail"})
    await session.track_conversation_turn(
        user="Hi", assistant="Hello", usage=TokenBasedCost(model="m", prompt_tokens=3, completion_tokens=2)
    )
    await session.track_function_call(name="find", args="{}", result="1", runtime=3)
    await session.end_conversation()
    await session.end_session(attributes={"mood": "glad"})
    await session.flush()
    errors = [str(error) for error in session.get_errors()]
    sys.stdout.write(json.dumps({"heard": heard, "faults": faults, "errors": errors}))


asyncio.run(main(*sys.argv[1:]))
