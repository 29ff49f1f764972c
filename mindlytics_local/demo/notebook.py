"""What a notebook needs to run top to bottom: a service, a model, and what arrived as rows for a table."""

import atexit
import os
import time
from collections.abc import Callable, MutableMapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from dotenv import dotenv_values, find_dotenv

from mindlytics_local import start
from mindlytics_local.demo._model import small_model

ENV_FILE = ".env.examples"
_OWN_MODEL = "gpt-4o-mini"
_PUBLIC_SERVICE = "https://app.mindlytics.ai"
#: The service may take events first and process them later, in seconds.
_MOST_WAIT = 30.0
_LOOK_AGAIN_AFTER = 0.2

#: What runs until the process ends: a local service, a local model.
_running = ExitStack()
atexit.register(_running.close)


class Setup:
    """
    Where a notebook's conversations go, and the model that it talks to. Made by `set_up`.

    Args:
        environment: The variables, complete.
    """

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        self._headers = {
            "Authorization": f"Bearer {environment['MLSDK_API_KEY']}",
            "X-App-ID": environment["MLSDK_PROJECT_ID"],
        }
        #: The service, and its page.
        self.url = environment.get("MLSDK_SERVER_BASE") or _PUBLIC_SERVICE
        #: The model's name.
        self.model = environment["OPENAI_MODEL"]
        self._since = datetime.now(UTC)

    def find(self, collection: str) -> list[dict[str, Any]]:
        """
        Everything that the service has of this project.

        Args:
            collection: `events`, `conversations`, `sessions` or `users`.
        """
        address = f"{self.url}/bc/v1/db/{collection}/find"
        answer = httpx.get(address, params={"filter": "{}"}, headers=self._headers).raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        return found

    def events(self, *, turns: int) -> list[dict[str, Any]]:
        """
        The events since `set_up`, as soon as so many turns are among them.

        Args:
            turns: How many turns there must be.

        Raises:
            TimeoutError: They are not there after half a minute.
        """
        deadline = time.monotonic() + _MOST_WAIT
        while True:
            recent = [
                event for event in self.find("events") if datetime.fromisoformat(event["timestamp"]) > self._since
            ]
            found = sum(event.get("event") == "Conversation Turn" for event in recent)
            if found >= turns:
                return recent
            if time.monotonic() > deadline:
                raise TimeoutError(f"{found} turns of {turns} have arrived at {self.url}")
            time.sleep(_LOOK_AGAIN_AFTER)


def set_up(
    *,
    say: Callable[[str], None] = print,
    environment: MutableMapping[str, str] = os.environ,
    folder: Path | None = None,
) -> Setup:
    """
    Read `.env.examples`, and start on this machine what it names no keys for: a service, a small real model.

    Args:
        say: Is told which service and which model it is.

        environment: Is completed, so that clients need no arguments; what it holds already stays.

        folder: Where the file is; without it the current one or the nearest above that has one.
    """
    file = str(folder / ENV_FILE) if folder else find_dotenv(ENV_FILE, usecwd=True)
    for name, value in dotenv_values(file).items() if file else ():
        if value:
            environment.setdefault(name, value)
    _have_service(environment)
    _have_model(environment)
    setup = Setup(environment)
    say(f"conversations go to {setup.url}; the model is {setup.model}")
    return setup


def _have_service(environment: MutableMapping[str, str]) -> None:
    if not environment.get("MLSDK_API_KEY"):
        service = _running.enter_context(start())
        mine = {"MLSDK_SERVER_BASE": service.url, "MLSDK_API_KEY": "notebook", "MLSDK_PROJECT_ID": "notebook"}
        environment.update(mine)


def _have_model(environment: MutableMapping[str, str]) -> None:
    if not environment.get("OPENAI_API_KEY"):
        model = _running.enter_context(small_model())
        mine = {"OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": model.api_key, "OPENAI_MODEL": model.name}
        environment.update(mine)
    environment.setdefault("OPENAI_MODEL", _OWN_MODEL)
