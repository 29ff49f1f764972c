"""Everything that leaves is what the service's API document takes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from chaos import Chaos
from helpers import Service, events
from hypothesis import given, settings
from hypothesis import strategies as st

from mindlytics_core import Client, Cost, Ids, TokenBasedCost, _wire
from mindlytics_core import _model as model

DOCUMENT = Path(__file__).parents[3] / "shared/openapi.json"
ASKED = {"user": "Where is my order?", "assistant": "On its way."}
KINDS = {
    "start_session": "start-session",
    "end_session": "end-session",
    "identify": "identify",
    "alias": "alias",
    "Conversation Started": "start-conversation",
    "Conversation Ended": "end-conversation",
    "Conversation Turn": "conversation-turn",
    "Conversation Usage": "conversation-usage",
    "Conversation Function": "conversation-function",
}


@pytest.fixture(scope="module")
def paths() -> dict[str, Any]:
    """The document's paths; where it is absent, or the judge is, there is nobody to ask."""
    pytest.importorskip("jsonschema")
    if not DOCUMENT.exists():
        pytest.skip("the API document is not here")
    found: dict[str, Any] = json.loads(DOCUMENT.read_text())["paths"]
    return found


def judged(paths: dict[str, Any], path: str, body: Any) -> None:
    import jsonschema  # noqa: PLC0415  # not where it is absent

    jsonschema.Draft202012Validator(schema(paths, path)).validate(body)


def schema(paths: dict[str, Any], path: str) -> Any:
    return paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"]


def path_of(event: dict[str, Any]) -> str:
    """Where the document describes one event of this kind."""
    kind = KINDS.get(event.get("event") or event["type"], "track")
    return f"/bc/v1/events/event/{kind}"


def everything(client: Client) -> None:
    """One of each call, with all arguments and with as few as possible."""
    full = client.create_session(session_id="s", conversation_id="c", id="u", device_id="d", attributes={"a": 1})
    bare = client.create_session()
    for session in (full, bare):
        session.start_conversation()
        session.track_event(event="Opened")
        session.track_event(event="Opened", properties={"text": "x", "flag": True, "count": 1, "ratio": 0.5})
        session.track_conversation_turn(**ASKED)
        session.track_conversation_turn(
            **ASKED, assistant_id="bot", usage=TokenBasedCost("m", 1, 2), properties={"mood": "calm"}
        )
        session.track_conversation_turn(**ASKED, usage=Cost(0.1), conversation_id="other")
        session.track_conversation_usage(usage=TokenBasedCost("m", 1, 2), properties={"mood": "calm"})
        session.track_conversation_usage(cost=Cost(1))
        session.track_function_call(name="find")
        session.track_function_call(name="find", args="{}", result="x", runtime=3, properties={"cached": False})
        session.user_identify(traits={"plan": "pro"})
        session.user_identify(id="jane", device_id="d2", traits={"age": 3})
        session.user_alias(id="jane2", previous_id="jane")
        session.end_conversation(conversation_id="other", properties={"solved": True})
        session.end_session(attributes={"rating": 5})
    for ids in (Ids(), Ids(user_id="u"), Ids(device_id="d", conversation_id="named")):
        exchange = client.exchange("Hi", ids=ids, assistant_id="bot", properties={"n": 1})
        exchange.model_call("m", prompt_tokens=1, completion_tokens=2, cached_tokens=1)
        exchange.model_call("other", prompt_tokens=1)
        exchange.function_call("find", args="{}", result="x", runtime=3, error=ValueError())
        exchange.finish("Hello")
        client.exchange("Hi", ids=ids).fail(ValueError("no"))
        client.exchange("Hi", ids=ids).interrupt("Hel")
    client.close()


def sent(chaos: Chaos) -> Iterator[dict[str, Any]]:
    for request in chaos.requests:
        assert request.path == "/bc/v1/events/queue"
        yield from request.json


def test_every_event_is_what_the_document_says_of_its_kind(paths: dict[str, Any], chaos: Chaos, chaos_client: Client):
    everything(chaos_client)

    found = list(sent(chaos))
    for event in found:
        judged(paths, path_of(event), event)
    assert {path_of(event).split("/")[-1] for event in found} == {*KINDS.values(), "track"}


def test_every_request_s_body_is_an_array_of_them(paths: dict[str, Any], chaos: Chaos, chaos_client: Client):
    everything(chaos_client)

    for request in chaos.requests:
        # The document's own item forbids properties, so no turn could pass it: the single events are the truth.
        one_of = {"anyOf": [schema(paths, f"/bc/v1/events/event/{kind}") for kind in {*KINDS.values(), "track"}]}
        import jsonschema  # noqa: PLC0415  # not where it is absent

        jsonschema.Draft202012Validator({"type": "array", "minItems": 1, "items": one_of}).validate(request.json)
        assert request.headers["content-type"] == "application/json"
        assert request.headers["authorization"].startswith("Bearer ")
        assert request.headers["x-app-id"]


def test_the_judge_refuses_what_is_wrong(paths: dict[str, Any]):
    import jsonschema  # noqa: PLC0415  # not where it is absent

    with pytest.raises(jsonschema.ValidationError):
        judged(paths, "/bc/v1/events/event/conversation-turn", {"type": "track", "session_id": "s"})


async def test_what_is_answered_at_once_is_what_the_document_says(
    paths: dict[str, Any], chaos: Chaos, chaos_client: Client
):
    await chaos_client.user_identify(id="u", device_id="d", traits={"plan": "pro", "age": 3, "vip": True})
    await chaos_client.user_identify(device_id="d")
    await chaos_client.user_alias(id="u", previous_id="v")

    assert [request.path for request in chaos.requests] == ["/bc/v1/user/identify"] * 2 + ["/bc/v1/user/alias"]
    for request in chaos.requests:
        judged(paths, request.path, request.json)


TEXTS = st.text(st.characters(exclude_categories=()), max_size=20)
SCALARS = st.one_of(TEXTS, st.booleans(), st.integers(), st.floats())


@settings(deadline=None)
@given(user=TEXTS, assistant=TEXTS, properties=st.dictionaries(TEXTS, SCALARS, max_size=4))
def test_whatever_an_event_holds_is_written_as_json_that_everybody_reads(
    user: str, assistant: str, properties: dict[str, Any]
):
    event = model.Turn(
        session_id="s", timestamp="t", conversation_id="c", user=user, assistant=assistant, properties=properties
    )

    body = _wire.encode(event)

    read = json.loads(body, parse_constant=pytest.fail)
    assert body.decode() == body.decode("utf-8", "strict")
    assert b"\\u0000" not in body
    written = user.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")
    assert read["properties"]["user"] == written


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, -(10**400)])
def test_a_number_that_is_none_is_refused_at_the_call(client: Client, value: Any):
    session = client.create_session(id="u")
    with pytest.raises(ValueError, match=r"properties\['x'\]"):
        session.track_event(event="Opened", properties={"x": value})


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, object(), b"x", 1j])
def test_what_is_no_scalar_is_refused_at_the_call_and_not_repeated(client: Client, value: Any):
    session = client.create_session(id="u")
    with pytest.raises(ValueError, match=r"must be a text, a boolean or a finite number, not") as raised:
        session.track_event(event="Opened", properties={"x": value})
    assert "object at" not in str(raised.value)
    exchange = client.exchange("Hi")
    with pytest.raises(ValueError, match="properties"):
        exchange.finish("Hello", properties={"x": value})
    assert exchange.is_open


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("track_event", {"event": ""}),
        ("track_event", {"event": "x" * 101}),
        ("track_event", {"event": 7}),
        ("track_event", {"event": "x", "properties": [("a", 1)]}),
        ("track_event", {"event": "x", "properties": {1: 1}}),
        ("track_event", {"event": "x", "conversation_id": ""}),
        ("track_event", {"event": "x", "timestamp": "yesterday"}),
        ("track_event", {"event": "x", "timestamp": 12345}),
        ("track_conversation_turn", {"user": None, "assistant": "x"}),
        ("track_conversation_turn", {"user": "x", "assistant": 7}),
        ("track_conversation_turn", {"user": "x", "assistant": "x", "usage": {"model": "m"}}),
        ("track_conversation_usage", {}),
        ("track_conversation_usage", {"usage": Cost(1), "cost": Cost(1)}),
        ("track_function_call", {"name": ""}),
        ("track_function_call", {"name": "x", "args": {"id": 7}}),
        ("track_function_call", {"name": "x", "runtime": -1}),
        ("user_identify", {}),
        ("user_identify", {"id": "x" * 101}),
        ("user_alias", {"id": "x", "previous_id": ""}),
        ("end_conversation", {"conversation_id": 7}),
        ("end_session", {"attributes": {"x": None}}),
    ],
)
def test_a_wrong_argument_raises_at_the_call_and_records_nothing(client: Client, call: str, arguments: Any):
    session = client.create_session(id="u")
    with pytest.raises(ValueError, match=r"\w"):
        getattr(session, call)(**arguments)
    assert client.stats().accepted == 0


@pytest.mark.parametrize("wrong", [{"id": ""}, {"session_id": 7}, {"device_id": "x" * 101}, {"attributes": {"a": []}}])
def test_a_session_is_not_made_of_wrong_arguments(client: Client, wrong: Any):
    with pytest.raises(ValueError, match=r"\w"):
        client.create_session(**wrong)


@pytest.mark.parametrize("wrong", [("", 1, 1), ("m", -1, 1), ("m", 1, float("nan")), ("m", True, 1), ("m", "1", 1)])
def test_usage_is_not_made_of_wrong_figures(wrong: Any):
    with pytest.raises(ValueError, match=r"\w"):
        TokenBasedCost(*wrong)
    with pytest.raises(ValueError, match="cost"):
        Cost(float("inf"))


def test_whatever_mapping_before_send_gives_is_written_and_repaired_where_it_must_be(
    new_client: Callable[..., Client], service: Service
):
    client = new_client(
        before_send=lambda event: event.replace(properties=MappingProxyType({"half a pair": "\ud83d", "whole": 1}))
    )
    client.create_session(session_id="visit", id="jjacob").track_event(event="said")

    assert client.flush_sync()
    assert events(service)[0]["properties"] == {"half a pair": "\ufffd", "whole": 1}


def test_a_wrong_event_spoils_no_neighbour(client: Client):
    session = client.create_session(id="u\ud800")
    session.track_event(event="before")
    session.track_conversation_turn(user="lone \udfff surrogate \0", assistant="ok")
    session.track_event(event="after")

    assert client.flush_sync()
    assert client.stats().dropped == {}
