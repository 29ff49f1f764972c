"""Calls that are answered at once, outside of sessions."""

from collections.abc import Callable
from typing import Any

import pytest
from chaos import Chaos, Reply
from helpers import Service

from mindlytics_core import Client, ConfigurationError, Delivery, HTTPClient, InvalidArgument, RequestFailed


async def test_a_user_is_identified_and_given_back(client: Client):
    user = await client.user_identify(id="jjacob", device_id="phone", traits={"plan": "pro", "age": 33})

    assert (user["id"], user["aliases"], user["traits"]) == ("jjacob", ["jjacob"], {"plan": "pro", "age": 33})
    again = await client.user_identify(id="jjacob", traits={"age": 34})
    assert again["traits"] == {"plan": "pro", "age": 34}


async def test_two_ids_become_one_user(client: Client):
    await client.user_identify(id="jjacob")

    user = await client.user_alias(id="jane", previous_id="jjacob")

    assert (user["id"], set(user["aliases"])) == ("jane", {"jjacob", "jane"})


def test_the_blocking_twins_do_the_same_without_a_loop(client: Client):
    assert client.user_identify_sync(id="jjacob")["id"] == "jjacob"
    assert client.user_alias_sync(id="jane", previous_id="jjacob")["id"] == "jane"


async def test_the_blocking_twins_work_inside_a_running_loop(client: Client):
    assert client.user_identify_sync(device_id="phone")["id"].startswith("ml_")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"traits": {"plan": "pro"}},
        {"id": ""},
        {"id": "x" * 101},
        {"id": 7},
        {"id": "a", "traits": {"plan": ["pro"]}},
        {"device_id": "d", "traits": {"age": float("nan")}},
    ],
)
async def test_wrong_arguments_raise_before_anything_is_sent(chaos: Chaos, chaos_client: Client, wrong: Any):
    with pytest.raises(InvalidArgument):
        await chaos_client.user_identify(**wrong)
    with pytest.raises(InvalidArgument):
        chaos_client.user_alias_sync(id="jane", previous_id="")

    assert chaos.requests == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
async def test_a_refusal_is_our_error_with_the_service_s_answer(chaos: Chaos, chaos_client: Client, status: int):
    chaos.script(Reply(status, body="the reason"), Reply(status, body="the reason"))

    with pytest.raises(RequestFailed, match="the reason") as raised:
        await chaos_client.user_identify(id="jjacob")
    with pytest.raises(RequestFailed):
        chaos_client.user_identify_sync(id="jjacob")

    assert (raised.value.status, raised.value.message) == (status, "the reason")
    assert len(chaos.requests) == 2  # one attempt each: whoever waits for the answer decides about another


@pytest.mark.parametrize("fault", [Reply(then="reset"), Reply(then="reset", after=40), Reply(then="hang")])
async def test_no_answer_is_our_error_in_time(chaos: Chaos, new_client: Callable[..., Client], fault: Reply):
    chaos.decide = lambda _: fault
    client = new_client(server_endpoint=chaos.url, delivery=Delivery(attempt_timeout=0.2))

    with pytest.raises(RequestFailed, match="no answer") as raised:
        await client.user_identify(id="jjacob")

    assert raised.value.status == 0


@pytest.mark.parametrize("body", ["no JSON", "[1]", '"text"'])
async def test_an_answer_that_is_no_user_is_our_error(chaos: Chaos, chaos_client: Client, body: str):
    chaos.script(Reply(body=body))

    with pytest.raises(RequestFailed):
        await chaos_client.user_identify(id="jjacob")


async def test_words_that_no_json_can_carry_are_mended(client: Client):
    user = await client.user_identify(id="jjacob", traits={"name": "a\ud800b"})

    assert user["traits"] == {"name": "a\ufffdb"}


async def test_nothing_is_asked_where_everything_is_switched_off(
    monkeypatch: pytest.MonkeyPatch, chaos: Chaos, new_client: Callable[..., Client]
):
    monkeypatch.setenv("MLSDK_DISABLED", "1")

    assert await new_client(server_endpoint=chaos.url).user_identify(id="jjacob") == {}
    assert chaos.requests == []


async def test_any_endpoint_can_be_asked(service: Service, client: Client):
    client.create_session(id="jjacob").track_event(event="Opened")
    await client.flush()
    http = HTTPClient(api_key=service.api_key, project_id=service.project_id, server_endpoint=service.url)

    found = await http.send_request(method="GET", url="/bc/v1/db/events/find", data={"filter": '{"event": "Opened"}'})
    user = await http.send_request(method="POST", url="/bc/v1/user/identify", data={"id": "jane"})

    assert [event["event"] for event in found] == ["Opened"]
    assert user["id"] == "jane"


async def test_a_request_that_fails_is_told_by_the_answer(chaos: Chaos):
    http = HTTPClient("key", "project", chaos.url)
    chaos.script(Reply(418, body="a teapot"))
    refused = await http.send_request(method="POST", url="/bc/v1/user/identify", data={"id": "jane"})
    unknown = await http.send_request(method="BREW", url="/", data={})
    unwritable = await http.send_request(method="POST", url="/", data={"id": object()})
    odd: Any = ["id"]
    no_mapping = await http.send_request(method="POST", url="/", data=odd)
    no_path = await http.send_request(method="GET", url=odd)
    chaos.script(Reply(then="reset"))
    silent = await http.send_request(method="GET", url="/bc/v1/user/list", data={})

    assert refused == {"errored": True, "status": 418, "message": "a teapot"}
    assert (unknown["errored"], unknown["status"]) == (True, -1)
    assert (unwritable["errored"], unwritable["status"]) == (True, -1)
    assert no_mapping["message"] == "data must be a mapping of names to values, not a list"
    assert no_path["message"] == "url must be a text, not a list"
    assert (silent["errored"], silent["status"]) == (True, -1)
    assert "key" not in repr(http)


def test_without_keys_the_error_names_the_ways_out(monkeypatch: pytest.MonkeyPatch):
    for make in (Client, HTTPClient):
        with pytest.raises(ConfigurationError, match=r"api_key=.*MLSDK_API_KEY.*mindlytics local"):
            make()
        with pytest.raises(ConfigurationError, match=r"project_id=.*MLSDK_PROJECT_ID.*mindlytics local"):
            make(api_key="k")
    monkeypatch.setenv("MLSDK_API_KEY", "k")
    monkeypatch.setenv("MLSDK_PROJECT_ID", "p")
    assert HTTPClient().project_id == "p"
