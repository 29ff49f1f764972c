"""What the handlers of one client share, so that two of them that see the same run record it once."""

import threading
import weakref
from uuid import UUID

from mindlytics_core import Client
from mindlytics_langchain._ambient import ambient_parent
from mindlytics_langchain._runs import Run, RunTable
from mindlytics_langchain._waiting import Waiting


class Tables:
    """One client's runs, and its exchanges that wait."""

    def __init__(self) -> None:
        self.runs = RunTable(ambient_parent)
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


def find_run(run_id: UUID) -> Run | None:
    """A run that has not ended, whichever client records it."""
    with _lock:
        tables = list(_by_client.values())
    return next((run for table in tables if (run := table.runs.find(run_id))), None)
