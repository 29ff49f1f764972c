"""Mindlytics: conversations of LLM apps, recorded without the app noticing."""

import importlib
from typing import TYPE_CHECKING, Any

from mindlytics_core._all_clients import default_client, flush, flush_sync
from mindlytics_core._answers import APIResponse
from mindlytics_core._claims import claim_model_call, model_call_is_claimed
from mindlytics_core._config import Delivery
from mindlytics_core._fork import FORKS
from mindlytics_core._guard import call_guarded, guarded, guarding
from mindlytics_core._history import Message
from mindlytics_core._model import Cost, Event, Identity, TokenBasedCost, check_count, check_name
from mindlytics_core._receipt import Receipt
from mindlytics_core._scope import Ids, Scope, conversation, current_scope
from mindlytics_core._stats import FlushResult, Stats
from mindlytics_core._version import __version__
from mindlytics_core.client import Client
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
from mindlytics_core.exchange import Exchange
from mindlytics_core.session import Session, add_session_finder, current_session

if TYPE_CHECKING:
    from mindlytics_core._decode import event_from_json
    from mindlytics_core._live_event import MLEvent
    from mindlytics_core._requests import HTTPClient
    from mindlytics_core._serverless import flush_at_end
    from mindlytics_core._signals import install_signal_handlers

__all__ = [
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

#: What few programs need is imported with its first use.
_LATE = {
    "HTTPClient": "_requests",
    "MLEvent": "_live_event",
    "event_from_json": "_decode",
    "flush_at_end": "_serverless",
    "install_signal_handlers": "_signals",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with FORKS.no_fork():
        found = getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)
    globals()[name] = found
    return found
