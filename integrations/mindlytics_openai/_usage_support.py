"""Which servers take `stream_options`: the ones that refuse it are asked once."""

from typing import Any

from mindlytics_openai._openai import openai

#: Servers remembered at most.
_MOST = 1_000
#: What servers answer when a request names a field that they do not know.
_REFUSALS = {400, 422}
_FIELDS = ("stream_options", "include_usage")


class UsageSupport:
    """What the answers of each server, known by its base URL, have shown."""

    def __init__(self) -> None:
        self._takes: dict[str, bool] = {}

    def may_ask(self, server: str) -> bool:
        """Whether asking is worth a try."""
        return self._takes.get(server, True)

    def learn(self, server: str, *, takes: bool) -> None:
        """An answer has shown it."""
        if len(self._takes) >= _MOST:
            self._takes.clear()
        self._takes[server] = takes

    def may_be_refused(self, server: str, error: Any) -> bool:
        """Whether an error may be the answer to our asking, and not to what the app sent."""
        if not isinstance(error, openai.APIStatusError) or error.status_code not in _REFUSALS:
            return False
        said = f"{error.message} {error.body}"
        if any(field in said for field in _FIELDS):
            return True
        return server not in self._takes and error.param is None


#: Shared by all clients: what one has learnt of a server need not cost another a request.
USAGE_SUPPORT = UsageSupport()
