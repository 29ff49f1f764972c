"""What the handlers of one client share, so that two of them that see the same run record it once."""

import threading
import weakref

from mindlytics_core import Client
from mindlytics_langchain._runs import RunTable
from mindlytics_langchain._waiting import Waiting


class Tables:
    """One client's runs, and its exchanges that wait."""

    def __init__(self) -> None:
        self.runs = RunTable()
        self.waiting = Waiting()


_lock = threading.Lock()
_by_client: "weakref.WeakKeyDictionary[Client, Tables]" = weakref.WeakKeyDictionary()


def tables_of(client: Client) -> Tables:
    """A client's tables."""
    with _lock:
        found = _by_client.get(client)
        if found is None:
            found = _by_client[client] = Tables()
        return found
