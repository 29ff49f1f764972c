"""One service for the tests of a module; each test is a project of its own in it."""

import json
import ssl
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from mindlytics_local import LocalService, start

QUEUE = "/bc/v1/events/queue"
#: Made once and empty: reading the machine's certificates for each client takes longer than the test.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def http_client(url: str, **headers: str | bytes) -> httpx.Client:
    """A client of a service."""
    sent = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in headers.items()]
    return httpx.Client(base_url=url, headers=sent, timeout=10, trust_env=False, verify=NO_TLS)


class Project:
    """One project at a service, over HTTP."""

    def __init__(self, url: str, **headers: str) -> None:
        self.id = f"project-{uuid.uuid4().hex}"
        self.http = http_client(url, **{"X-App-ID": self.id, **headers})

    def send(self, *events: dict[str, Any], key: str | None = None) -> httpx.Response:
        """Post events as one array."""
        return self.http.post(QUEUE, json=list(events), headers={"Idempotency-Key": key} if key else {})

    def take(self, *events: dict[str, Any]) -> None:
        """Post events that must be taken."""
        answer = self.send(*events)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"}), answer.text

    def ask(self, collection: str, op: str = "find", **parameters: Any) -> Any:
        """Ask a question that must be answered."""
        answer = self.question(collection, op, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def question(self, collection: str, op: str = "find", **parameters: Any) -> httpx.Response:
        """Ask a question."""
        params = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
        return self.http.get(f"/bc/v1/db/{collection}/{op}", params=params)

    def only(self, collection: str, **parameters: Any) -> Any:
        """The one record there is."""
        records = self.ask(collection, **parameters)
        assert len(records) == 1, records
        return records[0]


@pytest.fixture(scope="module")
def running() -> Iterator[LocalService]:
    """A service with no keys."""
    with start() as service:
        yield service


@pytest.fixture
def project(running: LocalService) -> Iterator[Project]:
    """A new project in it."""
    made = Project(running.url)
    with made.http:
        yield made
