"""The fixtures. Loaded by every run of pytest where the bundle is installed, so nothing heavy is imported here."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from mindlytics_pytest._service import MindlyticsService

_CLOSE_TIMEOUT = 5.0


@pytest.fixture(scope="session")
def mindlytics_server() -> Iterator[Any]:
    """The one local service of the whole run; tests want `mindlytics_service`."""
    from mindlytics_local import start  # noqa: PLC0415  # only a run that asks for it needs the extra

    with start() as server:
        yield server


@pytest.fixture
def mindlytics_service(mindlytics_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[MindlyticsService]:
    """
    A running local service that is empty, and that the app under test finds through the environment.

    After the test everything that the app has left open there is ended, and its clients are closed.
    """
    from mindlytics_core.testing import close_clients  # noqa: PLC0415  # as above

    service = MindlyticsService(mindlytics_server.url, f"test-{uuid.uuid4().hex}")
    for name, value in service.environment().items():
        monkeypatch.setenv(name, value)
    # A developer may have switched recording off, or keep a spool.
    for name in ("MLSDK_DISABLED", "MLSDK_SPOOL_DIR"):
        monkeypatch.delenv(name, raising=False)
    yield service
    close_clients(service.url, service.project_id, timeout=_CLOSE_TIMEOUT)
