"""A wrapped client under LangChain's `ChatOpenAI`."""

from typing import Any

import pytest

from mindlytics_core import Client
from mindlytics_openai import wrap

langchain_openai = pytest.importorskip("langchain_openai")


def model(recording: Any):
    """Asks the given client and no other."""
    made = langchain_openai.ChatOpenAI(model="tiny", api_key="none", base_url="http://provider.test/v1")
    made.client = recording.chat.completions
    made.root_client = recording
    return made


def turns(found: Any):
    return [
        (event["user"], event["assistant"], event["prompt_tokens"])
        for event in found
        if event["event"] == "Conversation Turn"
    ]


def test_an_invocation_is_one_turn(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.completion())
    assert model(wrap(provider.client(), client=client)).invoke("Hello?").content == "Hi there"
    assert turns(arrived()) == [("Hello?", "Hi there", 7)]


def test_a_stream_is_one_turn(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.spoken("Hi ", "there"))
    chunks = list(model(wrap(provider.client(), client=client)).stream("Hello?"))
    assert "".join(chunk.content for chunk in chunks) == "Hi there"
    assert turns(arrived()) == [("Hello?", "Hi there", 7)]
