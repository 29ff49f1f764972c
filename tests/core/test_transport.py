"""One request, whatever becomes of it, through each of the HTTP libraries that may be installed."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import trustme
from certificates import CERTIFICATES, serving
from chaos import Chaos, Reply

from mindlytics_core import Delivery, _transport
from mindlytics_core._config import Destination
from mindlytics_core._retry import Answer
from mindlytics_core._transport import HTTPTransport

pytestmark = pytest.mark.usefixtures("library")


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    module = pytest.importorskip(request.param)
    monkeypatch.setattr(_transport, "http_library", lambda: module)


def at(chaos: Chaos, **options: float) -> HTTPTransport:
    url = chaos.url.replace("http", "https") if chaos.tls is not None else chaos.url
    return HTTPTransport(Destination(url, "key", "project"), Delivery(**options))


@pytest.fixture
async def transport(chaos: Chaos) -> AsyncIterator[HTTPTransport]:
    made = at(chaos)
    yield made
    await made.aclose()


async def test_a_batch_arrives_as_it_was_made_with_all_that_the_service_asks_for(chaos: Chaos, transport):
    assert await transport.send(b'[{"n":1}]', "a-key") == Answer(200)

    [request] = chaos.requests
    assert (request.path, request.raw) == ("/bc/v1/events/queue", b'[{"n":1}]')
    assert {name: request.headers[name] for name in ("authorization", "x-app-id", "idempotency-key")} == {
        "authorization": "Bearer key",
        "x-app-id": "project",
        "idempotency-key": "a-key",
    }


@pytest.mark.parametrize("status", [201, 302, 400, 401, 413, 429, 500, 529])
async def test_a_status_is_an_answer_and_its_text_is_kept_where_it_explains(chaos: Chaos, transport, status: int):
    chaos.script(Reply(status, body="why" * 1000))

    answer = await transport.send(b"[]", "key")

    assert (answer.status, answer.untrusted) == (status, False)
    assert answer.message == ("" if status == 201 else ("why" * 1000)[:500])


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("0.5", 0.5), ("86400", 300), ("inf", 300), ("0", 0), ("-1", 0), ("nan", 0), ("soon", 0), ("", 0)],
)
async def test_the_wait_that_the_service_asks_for_is_read(chaos: Chaos, transport, value: str, seconds: float):
    chaos.script(Reply(429, {"Retry-After": value}))

    assert (await transport.send(b"[]", "key")).retry_after == seconds


@pytest.mark.parametrize(("ahead", "least", "most"), [(90, 60, 90), (86_400, 300, 300), (-60, 0, 0)])
async def test_a_wait_until_a_date_is_read_too(chaos: Chaos, transport, ahead: int, least: float, most: float):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)
    chaos.script(Reply(503, {"Retry-After": date}))

    assert least <= (await transport.send(b"[]", "key")).retry_after <= most


@pytest.mark.parametrize("after", [0, 40])
async def test_a_fresh_connection_that_breaks_is_no_answer(chaos: Chaos, transport, after: int):
    chaos.script(Reply(then="reset", after=after))

    answer = await transport.send(b"[]", "key")

    assert (answer.status, answer.untrusted, answer.retry_after) == (0, False, 0)
    assert answer.message
    assert len(chaos.requests) == 1
    assert (await transport.send(b"[]", "key")).status == 200


@pytest.mark.parametrize("then", ["hang", "drip"])
async def test_a_server_that_stalls_or_drips_is_left_at_the_end_of_the_attempt(chaos: Chaos, then: str):
    chaos.decide = lambda _: Reply(then=then)
    transport = at(chaos, attempt_timeout=0.3)

    assert await transport.send(b"[]", "key") == Answer(0, "no answer within 0.3 s")

    await transport.aclose()


@pytest.mark.parametrize("then", ["close", "reset"])
async def test_a_kept_connection_that_went_stale_is_replaced_at_once(chaos: Chaos, transport, then: str):
    chaos.script(Reply(), *([Reply(then="close")] if then == "close" else [Reply(), Reply(then="reset")]))

    for _ in range(4):
        assert (await transport.send(b"[]", "key")).status == 200

    assert chaos.connections == 2


async def test_nobody_there_and_no_such_name_are_no_answers(chaos: Chaos, transport):
    chaos.refuse()
    assert (await transport.send(b"[]", "key")).status == 0
    chaos.listen()
    nowhere = HTTPTransport(Destination("http://nowhere.invalid:1", "key", "project"), Delivery())
    assert (await nowhere.send(b"[]", "key")).status == 0
    await nowhere.aclose()


@pytest.mark.parametrize("wrong", CERTIFICATES)
async def test_a_certificate_that_is_not_trusted_is_told_from_other_faults(
    chaos: Chaos, trusted: trustme.CA, wrong: str
):
    chaos.tls = CERTIFICATES[wrong](trusted)
    transport = at(chaos)

    answer = await transport.send(b"[]", "key")

    assert (answer.status, answer.untrusted) == (0, True)
    assert wrong in answer.message
    chaos.tls = serving(trusted.issue_cert("127.0.0.1"))
    assert await transport.send(b"[]", "key") == Answer(200)
    await transport.aclose()
