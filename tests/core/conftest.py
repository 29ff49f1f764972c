"""Fixtures for the tests of the core."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from chaos import Chaos, Reply

from mindlytics_core import Client, Delivery

QUICK: dict[str, Any] = {"linger": 0.01, "retry_base": 0.01, "retry_cap": 0.02, "pause_interval": 0.05}


@pytest.fixture
def hasty(chaos: Chaos) -> Iterator[Callable[..., Client]]:
    """Makes clients of the scripted server whose waits are short; what they hold at the end is thrown away."""
    made: list[Client] = []

    def make(on: dict[str, Any] | None = None, url: str | None = None, **delivery: Any) -> Client:
        options = Delivery(**(QUICK | delivery))
        made.append(Client("key", f"project-{len(made)}", url or chaos.url, delivery=options, **(on or {})))
        return made[-1]

    yield make
    # What hangs is let go, and what waits is refused, so that nothing is left for the exit of the test run.
    chaos.decide = lambda _: Reply(400)
    chaos.refuse()
    chaos.listen()
    for client in made:
        client.close(1)


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> trustme.CA:
    """The one authority whose certificates are trusted."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return authority


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Threads take turns as often as they can, so that what may come between two steps of ours does."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
