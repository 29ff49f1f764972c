"""However many calls a client makes, what is kept of them is bounded."""

import gc
from typing import Any

import pytest

from mindlytics_core import Client, _conversations, _lifecycle, _open_sessions
from mindlytics_openai import wrap

BOUND = 50


def test_what_is_kept_does_not_grow_with_the_calls(provider: Any, say: Any, monkeypatch: pytest.MonkeyPatch):
    for module in (_conversations, _lifecycle, _open_sessions):
        monkeypatch.setattr(module, "MOST_OPEN", BOUND)
    monkeypatch.setattr(_conversations, "MOST_DIGESTS", 5 * BOUND)
    with Client("key", "project", "http://127.0.0.1:9", before_send=lambda _: None) as client:
        recording = wrap(provider.client(), client=client)
        call(recording, provider, say, range(4 * BOUND))
        before = objects()
        call(recording, provider, say, range(4 * BOUND, 12 * BOUND))

        assert objects() - before < 2 * BOUND


def call(recording: Any, provider: Any, say: Any, numbers: range) -> None:
    """Answers, streams read and left, and tools that nobody runs: each a conversation of its own."""
    for number in numbers:
        ask = {"model": "tiny", "messages": [{"role": "user", "content": f"Question {number}?"}]}
        asking = say.completion(None, tool_calls=[say.tool_call(f"c{number}", "clock", "{}")])
        provider.answers([say.completion(), say.spoken("Hi"), say.spoken("Hi"), asking][number % 4])
        if number % 4 in {1, 2}:
            with recording.chat.completions.create(**ask, stream=True) as stream:
                list(stream) if number % 4 == 1 else next(stream)
        else:
            recording.chat.completions.create(**ask)
        provider.requests.clear()


def objects() -> int:
    gc.collect()
    return len(gc.get_objects())
