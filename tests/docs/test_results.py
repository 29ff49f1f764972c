"""What the examples that end by themselves leave at the service."""

import os
import re
import subprocess
import sys
from pathlib import Path

from helpers import Service, events, shape

ROOT = Path(__file__).parents[2]
WITH_A_FUNCTION = [
    "start_session",
    "Conversation Started",
    "Conversation Function",
    "Conversation Turn",
    "Conversation Ended",
    "end_session",
]


def blocks(page: str) -> list[str]:
    """The Python examples of a page, in order."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def run(code: str, service: Service) -> subprocess.CompletedProcess[str]:
    """Run an example the way a reader would: as a script of its own, with the three variables set."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **service.environment()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def is_quiet(finished: subprocess.CompletedProcess[str]) -> bool:
    """Whether it ended well without a word; on a busy machine the exit may say that it is still delivering."""
    said = [line for line in finished.stderr.splitlines() if not re.match("mindlytics: .*deliver", line)]
    return (finished.returncode, finished.stdout, said) == (0, "", [])


def test_the_readme_s_session_by_hand_leaves_a_whole_conversation_without_any_flush(service: Service):
    example = next(block for block in blocks("README.md") if "create_session" in block)
    assert len([line for line in example.splitlines() if line]) <= 3

    finished = run(example, service)

    assert is_quiet(finished)
    found = events(service)
    assert shape(found) == [
        "start_session",
        "Conversation Started",
        "Conversation Turn",
        "Conversation Ended",
        "end_session",
    ]
    assert found[2]["properties"] == {
        "user": "Hi",
        "assistant": "Hello!",
        "model": "gpt-4o",
        "prompt_tokens": 3,
        "completion_tokens": 2,
    }


def test_the_page_on_sessions_runs_as_it_stands(service: Service):
    finished = run(blocks("docs/sessions.md")[0], service)

    assert is_quiet(finished)
    assert shape(events(service)) == WITH_A_FUNCTION


def test_the_example_of_an_integration_records_one_turn(service: Service):
    example = next(block for block in blocks("docs/sessions.md") if "exchange.model_call" in block)

    finished = run(f'question, answer = "Where is it?", "On its way."\n{example}', service)

    assert is_quiet(finished)
    assert shape(events(service)) == WITH_A_FUNCTION
