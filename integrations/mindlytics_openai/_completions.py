"""Legacy completions: a prompt is what the user said."""

from collections.abc import Mapping
from typing import Any

from mindlytics_core import Message
from mindlytics_openai._body import choices_of, ids_of
from mindlytics_openai._chat import usage
from mindlytics_openai._fields import as_list, as_text, read, text_or_none
from mindlytics_openai._surface import NO_ANSWER, Answer, Question, Surface


def question(body: Mapping[str, Any]) -> Question:
    """What a request says; of several prompts the first."""
    prompt = body.get("prompt")
    first = prompt if isinstance(prompt, str) else next(iter(as_list(prompt)), None)
    return Question(
        messages=(Message("user", as_text(first)),),
        # A prompt may also be a list of tokens, which are nobody's words.
        user=first if isinstance(first, str) else "[tokens]",
        ids=ids_of(body),
        model=text_or_none(body.get("model")),
        choices=choices_of(body),
    )


def answer(completion: Any) -> Answer:
    """What a completion says; of several choices the first."""
    choices = as_list(read(completion, "choices"))
    return Answer(
        text=as_text(read(choices[0], "text")) if choices else "",
        model=text_or_none(read(completion, "model")),
        usage=usage(read(completion, "usage")),
        error=None if choices else NO_ANSWER,
    )


class Chunks:
    """Puts the first choice together from chunks."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._model: str | None = None
        self._usage: Any = None
        self._is_complete = False

    def add(self, part: Any) -> bool:
        """Take one chunk in; say whether the user sees something by it."""
        self._model = self._model or text_or_none(read(part, "model"))
        self._usage = read(part, "usage") or self._usage
        text = ""
        for choice in read(part, "choices") or ():
            if not read(choice, "index"):
                text += as_text(read(choice, "text"))
                self._is_complete = self._is_complete or bool(read(choice, "finish_reason"))
        self._texts.append(text)
        return bool(text)

    def answer(self) -> Answer:
        """What has come so far."""
        text = "".join(self._texts)
        return Answer(text=text, model=self._model, usage=usage(self._usage), is_complete=self._is_complete)


COMPLETIONS = Surface(question, answer, Chunks, reports_usage_on_demand=True)
