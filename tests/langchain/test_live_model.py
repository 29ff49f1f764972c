"""The demo's LangChain scenes, played against the small real model where it is installed."""

from typing import Any

import pytest
from helpers import Service, events

from mindlytics_core import flush_sync
from mindlytics_local.demo._model import Model
from mindlytics_local.demo._scenes import langchain_agent, langchain_chain


@pytest.mark.parametrize("scene", [langchain_chain, langchain_agent])
async def test_a_scene_arrives_as_it_was_played(scene: Any, live_model: Model, service_environment: Service):
    seen = await scene(live_model)

    assert flush_sync()
    found = events(service_environment)
    turns = [event["properties"] for event in found if event.get("event") == "Conversation Turn"]
    said = [turn for conversation in seen.conversations for turn in conversation]
    assert [(turn["user"], turn["assistant"]) for turn in turns] == [(one.user, one.assistant) for one in said]
    assert all(turn["model"] == live_model.name and turn["completion_tokens"] > 0 for turn in turns)
    called = [event["properties"]["name"] for event in found if event.get("event") == "Conversation Function"]
    assert called == [name for one in said for name in one.functions]
    ends = [event for event in found if event.get("event") == "Conversation Ended"]
    assert len(ends) == len(seen.conversations)
