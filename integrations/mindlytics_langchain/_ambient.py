"""What LangChain keeps in its context variable: the run around this one, and the whole configuration."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from mindlytics_langchain._langchain import var_child_runnable_config


def ambient_parent() -> UUID | None:
    """
    The run that a new one is made in.

    A run whose callbacks were given as a list says that it has no parent, and so do the tries of `with_fallbacks`.
    """
    callbacks = (var_child_runnable_config.get() or {}).get("callbacks")
    parent = getattr(callbacks, "parent_run_id", None)
    return parent if isinstance(parent, UUID) else None


def ambient_configurable() -> Mapping[str, Any] | None:
    """The `configurable` of the run that a new one is made in; a root's own hooks do not see it."""
    configurable = (var_child_runnable_config.get() or {}).get("configurable")
    return configurable if isinstance(configurable, Mapping) else None
