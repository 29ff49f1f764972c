"""The whole way: a script of a few lines, without any flush, leaves a whole conversation at the service."""

import subprocess
import sys
from typing import Any

from helpers import Service
from programs import run, said

SCRIPT = """
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from mindlytics_langchain import MindlyticsHandler

chain = ChatPromptTemplate.from_template("{question}") | FakeListChatModel(responses=["Hello"])
chain.invoke({"question": "Hi"}, config={"callbacks": [MindlyticsHandler()]})
"""


def test_a_script_without_any_flush_leaves_a_whole_conversation(service: Service, lab: Any):
    finished = run(SCRIPT, service.environment())

    assert (finished.returncode, finished.stdout, said(finished)) == (0, "", "")
    nothing = {"prompt_tokens": None, "completion_tokens": None, "model": "unknown"}
    assert lab.arrived() == lab.whole(1, lab.turn(1, "Hi", "Hello", **nothing))


def test_without_langchain_the_import_names_the_extra():
    script = "import sys; sys.modules['langchain_core'] = None; import mindlytics_langchain"

    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert "pip install 'mindlytics[langchain]'" in finished.stderr
