"""Mindlytics: conversations of LLM apps, recorded without the app noticing."""

import importlib
from typing import TYPE_CHECKING, Any

from mindlytics_core import _process  # noqa: F401  # hooks the exit, before the app has handlers of its own
from mindlytics_core._config import Delivery
from mindlytics_core._fork import FORKS
from mindlytics_core._guard import call_guarded, guarded, guarding
from mindlytics_core._model import Cost, Event, Identity, TokenBasedCost, check_count, check_name
from mindlytics_core._receipt import Receipt
from mindlytics_core._stats import FlushResult, Stats
from mindlytics_core._version import __version__
from mindlytics_core.exceptions import (
    ConfigurationError,
    DeliveryError,
    DeliveryPaused,
    EventRefused,
    InvalidArgument,
    MindlyticsError,
    RequestFailed,
    SessionClosed,
    SpoolFailed,
)

if TYPE_CHECKING:
    from mindlytics_core._all_clients import default_client, flush, flush_sync
    from mindlytics_core._answers import APIResponse
    from mindlytics_core._claims import claim_model_call, model_call_is_claimed
    from mindlytics_core._decode import event_from_json
    from mindlytics_core._history import Message
    from mindlytics_core._live_event import MLEvent
    from mindlytics_core._requests import HTTPClient
    from mindlytics_core._scope import Ids, Scope, conversation, current_scope
    from mindlytics_core._serverless import flush_at_end
    from mindlytics_core._signals import install_signal_handlers
    from mindlytics_core.client import Client
    from mindlytics_core.exchange import Exchange
    from mindlytics_core.session import Session, add_session_finder, current_session

__all__ = [
    "FORKS",
    "APIResponse",
    "Client",
    "ConfigurationError",
    "Cost",
    "Delivery",
    "DeliveryError",
    "DeliveryPaused",
    "Event",
    "EventRefused",
    "Exchange",
    "FlushResult",
    "HTTPClient",
    "Identity",
    "Ids",
    "InvalidArgument",
    "MLEvent",
    "Message",
    "MindlyticsError",
    "Receipt",
    "RequestFailed",
    "Scope",
    "Session",
    "SessionClosed",
    "SpoolFailed",
    "Stats",
    "TokenBasedCost",
    "__version__",
    "add_session_finder",
    "call_guarded",
    "check_count",
    "check_name",
    "claim_model_call",
    "conversation",
    "current_scope",
    "current_session",
    "default_client",
    "event_from_json",
    "flush",
    "flush_at_end",
    "flush_sync",
    "guarded",
    "guarding",
    "install_signal_handlers",
    "model_call_is_claimed",
]

#: What the exit's handler does not need is imported with its first use: who imports this may never record anything.
_LATE = {
    "APIResponse": "_answers",
    "Client": "client",
    "Exchange": "exchange",
    "HTTPClient": "_requests",
    "Ids": "_scope",
    "MLEvent": "_live_event",
    "Message": "_history",
    "Scope": "_scope",
    "Session": "session",
    "add_session_finder": "session",
    "claim_model_call": "_claims",
    "conversation": "_scope",
    "current_scope": "_scope",
    "current_session": "session",
    "default_client": "_all_clients",
    "event_from_json": "_decode",
    "flush": "_all_clients",
    "flush_at_end": "_serverless",
    "flush_sync": "_all_clients",
    "install_signal_handlers": "_signals",
    "model_call_is_claimed": "_claims",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with FORKS.no_fork():
        found = getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)
    globals()[name] = found
    return found
