"""Whatever a tool takes or a chain gives, as JSON text: nothing raises, and no code of the app runs for it."""

import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import pathlib
import uuid
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from pydantic import BaseModel

from mindlytics_langchain._content import is_data, without_data
from mindlytics_langchain._langchain import BaseMessage

#: Levels that are written out; what lies deeper is named only. Cycles end there too.
_DEEPEST = 12
_AS_TEXT = (dt.date, dt.time, dt.timedelta, decimal.Decimal, uuid.UUID, pathlib.PurePath)


def as_json(value: Any) -> str:
    """A value as JSON text; what JSON cannot hold is named by its class."""
    return json.dumps(_plain(value, _DEEPEST), ensure_ascii=False)


def _plain(value: Any, levels: int) -> Any:  # noqa: PLR0911  # one line a kind
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return _plain(value.value, levels)
    if isinstance(value, str):
        return without_data(str(value))
    if isinstance(value, int | float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, _AS_TEXT):
        return str(value)
    if levels == 0:
        return _name(value)
    return _plain_container(value, levels - 1)


def _plain_container(value: Any, levels: int) -> Any:
    if isinstance(value, BaseMessage):
        return _plain(value.content, levels)
    if isinstance(value, Mapping):
        return {_key(key): _plain("[data]" if is_data(key, value) else item, levels) for key, item in value.items()}
    if isinstance(value, list | tuple | AbstractSet):
        return [_plain(item, levels) for item in value]
    if isinstance(value, BaseModel):
        # Its fields as they are: `model_dump` would run the app's serializers.
        return {key: _plain(item, levels) for key, item in value.__iter__()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: _plain(getattr(value, name, None), levels) for name in names}
    return _name(value)


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(_plain(key, 0))


def _name(value: Any) -> str:
    return f"[{type(value).__name__}]"
