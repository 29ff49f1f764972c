"""The service's documented JSON as events: the way back from `_wire.encode`, for whoever forwards or imports."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from mindlytics_core import _model as model
from mindlytics_core import _shapes, _wire
from mindlytics_core._model import Identity
from mindlytics_core.exceptions import InvalidArgument


def event_from_json(data: object) -> model.Event:
    """
    Read one event in the form that the service documents.

    Args:
        data: The event as `json.loads` gives it. Fields that the document does not name are left out.

    Raises:
        InvalidArgument: It is no such event, or has no timestamp with an offset.
    """
    wire: dict[str, Any] = dict(_shapes.check(data))
    common = {
        "session_id": wire["session_id"],
        "timestamp": _checked_time(wire.get("timestamp")),
        "identity": Identity(wire.get("user_id"), wire.get("device_id")),
    }
    if wire["type"] == "track":
        return _tracked(wire, common)
    return _READERS[wire["type"]](wire, common)


def _checked_time(text: str | None) -> str:
    try:
        if text is not None and datetime.fromisoformat(text).tzinfo is not None:
            return text
    except ValueError:
        pass
    raise InvalidArgument("timestamp must be ISO 8601 with an offset, such as 2025-01-31T12:00:00+00:00 or …Z")


def _started(wire: dict[str, Any], common: dict[str, Any]) -> model.Event:
    common["identity"] = Identity(wire.get("id") or wire.get("user_id"), wire.get("device_id"))
    return model.SessionStarted(**common, attributes=_flat("attributes", wire))


def _ended(wire: dict[str, Any], common: dict[str, Any]) -> model.Event:
    return model.SessionEnded(**common, attributes=_flat("attributes", wire))


def _identified(wire: dict[str, Any], common: dict[str, Any]) -> model.Event:
    return model.UserIdentified(**common, id=wire.get("id"), traits=_flat("traits", wire))


def _aliased(wire: dict[str, Any], common: dict[str, Any]) -> model.Event:
    return model.UserAliased(**common, id=wire["id"], previous_id=wire["previous_id"])


_READERS: dict[str, Callable[[dict[str, Any], dict[str, Any]], model.Event]] = {
    "start_session": _started,
    "end_session": _ended,
    "identify": _identified,
    "alias": _aliased,
}


def _tracked(wire: dict[str, Any], common: dict[str, Any]) -> model.Event:
    properties = _flat("properties", wire)
    inside = {**common, "conversation_id": wire.get("conversation_id")}
    reader = _CONVERSATION_READERS.get(wire["event"])
    if reader is None:
        return model.Tracked(**inside, name=wire["event"], properties=properties)
    return reader(properties, inside)


def _turn(properties: dict[str, Any], inside: dict[str, Any]) -> model.Event:
    own = {name: properties.pop(name) for name in ("user", "assistant")}
    if isinstance(properties.get("assistant_id"), str):
        own["assistant_id"] = properties.pop("assistant_id")
    return model.Turn(**inside, **own, usage=_usage(properties), properties=properties)


def _reported(properties: dict[str, Any], inside: dict[str, Any]) -> model.Event:
    usage = _usage(properties)
    if usage is None:
        raise InvalidArgument("properties: usage needs model, prompt_tokens and completion_tokens, or cost")
    return model.UsageReported(**inside, usage=usage, properties=properties)


def _called(properties: dict[str, Any], inside: dict[str, Any]) -> model.Event:
    # What is of another kind than documented stays a property: it goes out again as it came in.
    kinds = {"name": str, "args": str, "result": str, "runtime": int}
    own = {name: properties.pop(name) for name, kind in kinds.items() if isinstance(properties.get(name), kind)}
    return model.FunctionCalled(**inside, **own, properties=properties)


_CONVERSATION_READERS: dict[str, Callable[[dict[str, Any], dict[str, Any]], model.Event]] = {
    _wire.CONVERSATION_STARTED: lambda properties, inside: model.ConversationStarted(**inside, properties=properties),
    _wire.CONVERSATION_ENDED: lambda properties, inside: model.ConversationEnded(**inside, properties=properties),
    _wire.CONVERSATION_TURN: _turn,
    _wire.CONVERSATION_USAGE: _reported,
    _wire.CONVERSATION_FUNCTION: _called,
}


def _usage(properties: dict[str, Any]) -> model.Usage | None:
    """Take the usage out of the properties, if it is there whole."""
    tokens = ("model", "prompt_tokens", "completion_tokens")
    if all(name in properties for name in tokens):
        return model.TokenBasedCost(*(properties.pop(name) for name in tokens))
    return model.Cost(properties.pop("cost")) if "cost" in properties else None


def _flat(what: str, wire: dict[str, Any]) -> dict[str, Any]:
    return model.check_properties(what, wire.get(what))
