"""A test conversation, sent as an app would send it, and what became of it."""

import json
import threading
import time
from collections.abc import Callable

from mindlytics_cli.doctor import _probe
from mindlytics_cli.doctor._answers import Answer, Sent
from mindlytics_core import Client, Delivery, DeliveryError, DeliveryPaused

#: A fixed device, so that a hundred runs make one user on the service's pages.
DEVICE = "mindlytics-doctor"
#: Its events: session and conversation with start and end, a function call, and a turn.
EVENTS = 6
_LOOK = 0.1


def send(new_client: Callable[..., Client], timeout: float) -> tuple[Sent, str]:
    """
    Send it, and say what became of it, with the session's id.

    Args:
        new_client: Makes the client, with the options given to it.

        timeout: Most seconds to wait.
    """
    errors: list[DeliveryError] = []
    paused, told = threading.Event(), threading.Semaphore(0)

    def note(error: DeliveryError) -> None:
        errors.append(error)
        if isinstance(error, DeliveryPaused):
            paused.set()
        told.release()

    delivery = Delivery(linger=0.0, attempt_timeout=timeout, connect_timeout=timeout, exit_timeout=0.0)
    client = new_client(on_error=note, delivery=delivery)
    session_id = _hold(client)
    deadline = time.monotonic() + timeout
    while client.flush_sync(_LOOK).pending and not paused.is_set() and time.monotonic() < deadline:
        pass
    stats = client.stats()
    for _ in range(sum(stats.dropped.values())):
        # Callbacks come a moment later than the counts.
        told.acquire(timeout=max(deadline - time.monotonic(), 0.0))
    client.close(0.0)
    return Sent(EVENTS, stats.delivered, stats.dropped, [str(error) for error in errors]), session_id


def read_back(client: Client, session_id: str, timeout: float) -> Answer:
    """
    Ask for its events until all are there, or the service cannot be asked.

    Args:
        client: The client.

        session_id: Its session.

        timeout: Most seconds to wait.
    """
    deadline = time.monotonic() + timeout
    query = {"filter": json.dumps({"session_id": session_id})}
    while True:
        answer = _probe.asked(client, "/bc/v1/db/events/find", query, timeout)
        found = answer.json()
        left = deadline - time.monotonic()
        if not isinstance(found, list) or len(found) >= EVENTS or left <= 0:
            return answer
        # The service says itself that it processes events later than it takes them.
        time.sleep(min(_LOOK, left))


def _hold(client: Client) -> str:
    session = client.create_session(device_id=DEVICE, attributes={"purpose": "mindlytics doctor"})
    session.track_function_call(name="doctor_check", args="{}", result="ok", runtime=1)
    session.track_conversation_turn(user="Does this arrive?", assistant="If you can read this, it does.")
    session.end_conversation()
    session.end_session()
    return session.session_id
