"""The session of the run that the app's own code, a tool or a node, is a part of."""

from mindlytics_core import Session, add_session_finder
from mindlytics_langchain._ambient import ambient_parent
from mindlytics_langchain._tables import find_run


def session_of_run() -> Session | None:
    """
    The session of the exchange in progress; None outside of any run that is recorded.

    LangChain's own context tells the run: nothing has to be set, and so nothing stays behind.
    """
    parent = ambient_parent()
    run = None if parent is None else find_run(parent)
    exchange = None if run is None else run.recording.exchange()
    return None if exchange is None else exchange.session


def show_current_session() -> None:
    """Let `mindlytics_core.current_session()` find it."""
    add_session_finder(session_of_run)
