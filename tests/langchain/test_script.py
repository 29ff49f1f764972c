"""The whole way: a script of a few lines, without any flush, leaves a whole conversation at the service."""

import os
import subprocess
import sys
from typing import Any

from helpers import Service, events, shape

SCRIPT = """
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from mindlytics_langchain import MindlyticsHandler

chain = ChatPromptTemplate.from_template("{question}") | FakeListChatModel(responses=["Hello"])
chain.invoke({"question": "Hi"}, config={"callbacks": [MindlyticsHandler()]})
"""


def test_a_script_without_any_flush_leaves_a_whole_conversation(service: Service):
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        env={**os.environ, **service.environment()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
    found: list[dict[str, Any]] = events(service)
    assert shape(found) == [
        "start_session",
        "Conversation Started",
        "Conversation Turn",
        "Conversation Ended",
        "end_session",
    ]
    assert (found[2]["properties"]["user"], found[2]["properties"]["assistant"]) == ("Hi", "Hello")


def test_without_langchain_the_import_names_the_extra():
    script = "import sys; sys.modules['langchain_core'] = None; import mindlytics_langchain"

    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert "pip install 'mindlytics[langchain]'" in finished.stderr
