"""
Runs every Python block of one page, in order, in one namespace: `python page.py PAGE`.

A block that cannot run is marked in the page's source by `<!-- skip: next "reason" -->`. What a page
takes for granted, a chain or a question, is in `WORDS`.
"""

import ast
import asyncio
import inspect
import os
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import SkipTest

from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, SkipParser

from mindlytics_pytest import MindlyticsService


def chain() -> Any:
    """A chain with a model behind it."""
    from langchain_core.output_parsers import StrOutputParser  # noqa: PLC0415  # slow, and few pages need it
    from langchain_openai import ChatOpenAI  # noqa: PLC0415

    return ChatOpenAI(model="gpt-4o") | StrOutputParser()


def answer() -> str:
    return "On its way."


def question() -> str:
    return "Where is my order?"


def text_so_far() -> str:
    return "On its"


def messages() -> list[dict[str, str]]:
    return [{"role": "user", "content": question()}]


#: What pages take for granted, made when a block names it and no earlier one has.
WORDS: dict[str, Callable[[], Any]] = {made.__name__: made for made in (chain, answer, question, text_so_far, messages)}


def with_fixture(test: Callable[[MindlyticsService], None]) -> None:
    """Run a test that a page shows, with a project of its own, as the pytest plugin would."""
    os.environ["MLSDK_PROJECT_ID"] = f"test-{uuid.uuid4().hex}"
    test(MindlyticsService(os.environ["MLSDK_SERVER_BASE"], os.environ["MLSDK_PROJECT_ID"]))


class Evaluator:
    """Runs a block as a notebook's cell would: `await` is allowed at the top level, and all share one loop."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self.ran = 0

    def __call__(self, example: Example) -> None:
        # Its lines are numbered as in the page, for tracebacks.
        source = "\n" * (example.line + example.parsed.line_offset) + example.parsed
        code = compile(source, example.path, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        named = {node.id for node in ast.walk(ast.parse(example.parsed)) if isinstance(node, ast.Name)}
        for name in WORDS.keys() & named - example.namespace.keys():
            example.namespace[name] = WORDS[name]()
        if code.co_flags & inspect.CO_COROUTINE:
            self._runner.run(eval(code, example.namespace))  # noqa: S307  # the project's own page
        else:
            exec(code, example.namespace)  # noqa: S102
        self.ran += 1
        for name in [name for name in code.co_names if name.startswith("test_")]:
            with_fixture(example.namespace.pop(name))


def main(page: str) -> None:
    """Run a page's blocks, and say how many ran and why others did not."""
    with asyncio.Runner() as runner:
        evaluator = Evaluator(runner)
        sybil = Sybil(parsers=[CodeBlockParser("python", evaluator), SkipParser()])
        for example in sybil.parse(Path(page)).examples():
            try:
                example.evaluate()
            except SkipTest as skipped:
                sys.stdout.write(f"\nskipped: {skipped}\n")
    sys.stdout.write(f"\n{evaluator.ran} blocks ran\n")


if __name__ == "__main__":
    main(sys.argv[1])
