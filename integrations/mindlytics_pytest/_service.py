"""The service as a test sees it: one project of its own, and what has arrived there."""

import time
from collections.abc import Callable
from typing import Any

from mindlytics_pytest import _recorded
from mindlytics_pytest._recorded import Conversation, Turn

#: What a test's app uses; the service takes any.
API_KEY = "test-key"
_FLUSH_TIMEOUT = 5.0
_LOOK_AGAIN_AFTER = 0.02


class MindlyticsService:
    """
    A running local service with a project that belongs to one test.

    Args:
        url: The service's address.

        project_id: The project.
    """

    api_key = API_KEY

    def __init__(self, url: str, project_id: str) -> None:
        self.url = url
        self.project_id = project_id

    def environment(self) -> dict[str, str]:
        """The variables that lead an app to it, for one that runs in a process of its own."""
        return {
            "MLSDK_SERVER_BASE": self.url,
            "MLSDK_API_KEY": self.api_key,
            "MLSDK_PROJECT_ID": self.project_id,
        }

    def events(self) -> list[dict[str, Any]]:
        """Every event that has arrived, as it was on the wire, in the order of arrival."""
        import httpx  # noqa: PLC0415  # the plugin is loaded by every run of pytest

        from mindlytics_core import flush_sync  # noqa: PLC0415  # the same

        # What this process has recorded is sent first, so that a test need not wait for it.
        flush_sync(_FLUSH_TIMEOUT)
        answer = httpx.get(
            f"{self.url}/bc/v1/db/events/find",
            headers={"Authorization": f"Bearer {self.api_key}", "X-App-ID": self.project_id},
            trust_env=False,
        )
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        return found

    def conversations(self) -> list[Conversation]:
        """The conversations, with their turns, in the order in which they began."""
        return _recorded.conversations(self.events())

    def turns(self) -> list[Turn]:
        """The turns, conversation by conversation."""
        return [turn for conversation in self.conversations() for turn in conversation.turns]

    def wait_for(
        self,
        condition: Callable[[], object] | None = None,
        *,
        turns: int = 0,
        ended_conversations: int = 0,
        timeout: float = 5.0,
    ) -> None:
        """
        Wait until it is there: for an app that records in another process, or in the background.

        Args:
            condition: Asked again and again; holds when it gives something true.

            turns: So many turns, at least.

            ended_conversations: So many conversations that have ended, at least.

            timeout: Most seconds to wait.

        Raises:
            AssertionError: It did not come; the message says what did.
        """
        deadline = time.monotonic() + timeout
        while not self._holds(condition, turns, ended_conversations):
            if time.monotonic() > deadline:
                raise AssertionError(f"not there after {timeout:g} s; what is there: {self.conversations()}")
            time.sleep(_LOOK_AGAIN_AFTER)

    def _holds(self, condition: Callable[[], object] | None, turns: int, ended: int) -> bool:
        found = self.conversations()
        return (
            sum(len(conversation.turns) for conversation in found) >= turns
            and sum(conversation.is_ended for conversation in found) >= ended
            and (condition is None or bool(condition()))
        )
