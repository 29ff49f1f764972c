"""Fixtures for the tests of every package: a live local service, a client of it, and no leaks between tests."""

import contextlib
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos import Chaos
from helpers import Service
from provider import Provider
from recorded import PLAYED, VCR_CONFIG

from mindlytics_core import Client, Delivery
from mindlytics_core.testing import close_clients
from mindlytics_local import LocalService
from mindlytics_local.demo._model import Model, ModelUnavailable, small_model

# Whoever runs the tests in the background may have had Ctrl-C ignored; for them and their programs it is the usual.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is marked `recorded` is recorded, and played, by vcr."""
    for item in items:
        if item.get_closest_marker("recorded"):
            item.add_marker("vcr")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's own configuration reaches a test."""
    for name in list(os.environ):
        if name.startswith(("MLSDK_", "OPENAI_")) or name.lower() in {"http_proxy", "https_proxy", "all_proxy"}:
            monkeypatch.delenv(name)


@pytest.fixture
def service(mindlytics_server: LocalService) -> Iterator[Service]:
    """A running local service, with a project of the test's own that holds nothing yet."""
    project = Service(mindlytics_server.url, f"test-{uuid.uuid4().hex}")
    yield project
    close_clients(project.url, project.project_id)


@pytest.fixture
def service_environment(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """The environment from which a default client finds the service."""
    for name, value in service.environment().items():
        monkeypatch.setenv(name, value)
    return service


@pytest.fixture
def new_client(service: Service) -> Iterator[Callable[..., Client]]:
    """Makes clients of the service, with options; they are closed after the test."""
    made: list[Client] = []

    def make(**options: Any) -> Client:
        options.setdefault("delivery", Delivery(linger=0.01))
        server_endpoint = options.pop("server_endpoint", service.url)
        project_id = options.pop("project_id", service.project_id)
        made.append(Client(service.api_key, project_id, server_endpoint, **options))
        return made[-1]

    yield make
    for client in made:
        client.close(5)


@pytest.fixture
def client(new_client: Callable[..., Client]) -> Client:
    """A client of the service."""
    return new_client()


@pytest.fixture
def chaos() -> Iterator[Chaos]:
    """A server that answers by a script."""
    with Chaos() as server:
        yield server


@pytest.fixture
def chaos_client(chaos: Chaos, new_client: Callable[..., Client]) -> Client:
    """A client of the scripted server, whose waits are short."""
    delivery = Delivery(linger=0.01, retry_base=0.01, retry_cap=0.02)
    return new_client(server_endpoint=chaos.url, delivery=delivery)


@pytest.fixture
def vcr_config() -> dict[str, Any]:
    """How recordings are made and played."""
    return VCR_CONFIG


@pytest.fixture(scope="session")
def live_model() -> Iterator[Model]:
    """The small real model, running on this machine."""
    with contextlib.ExitStack() as running:
        try:
            yield running.enter_context(small_model())
        except ModelUnavailable as error:
            pytest.skip(str(error))


@pytest.fixture
def model(request: pytest.FixtureRequest, record_mode: str) -> Model:
    """The small real model: as it was recorded, or itself while it is being recorded."""
    return PLAYED if record_mode == "none" else request.getfixturevalue("live_model")


@pytest.fixture(scope="session")
def vendor_python() -> Path:
    """A Python that has the public SDK; not this one, since its packages are not the project's."""
    python = Path(__file__).parents[1] / ".vendor" / "bin" / "python"
    if not python.exists() or not (python.parents[1] / ".ready").exists():
        pytest.skip("`make .vendor/.ready` installs the public SDK, which this runs")
    return python


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    """A loopback server that speaks as OpenAI does, for programs of their own."""
    with Provider() as running:
        yield running
