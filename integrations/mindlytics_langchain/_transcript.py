"""What is known of one run's words: its input, its first model call, what its models said, what was seen of it."""

import asyncio
from collections import deque
from typing import Any, NamedTuple

from mindlytics_langchain import _question_answer
from mindlytics_langchain._langchain import BaseMessage, HumanMessage
from mindlytics_langchain._messages import last_of, text_of
from mindlytics_langchain._usage import Result

#: Under which a stream shows an empty text at its start, in the place of its input.
_NOT_YET = "input"
#: Model calls that the author of the answer is looked for among.
_MOST_RESULTS = 50

#: What stops a run from outside; everything else that is raised is its failure.
STOPS = (GeneratorExit, KeyboardInterrupt, SystemExit, asyncio.CancelledError)


class Prompt(NamedTuple):
    """
    A model call's input.

    Attributes:
        messages: Its messages, where it is a chat model.

        text: Its text, where it is not.

        wants_call: Whether the model was made to call a tool.
    """

    messages: tuple[BaseMessage, ...] = ()
    text: str = ""
    wants_call: bool = False

    def question(self) -> str | None:
        """The last human message."""
        if not self.messages:
            return self.text or None
        at = last_of(self.messages, HumanMessage)
        return None if at is None else text_of(self.messages[at])


class Transcript:
    """
    The words of one root run.

    Args:
        given: Its input, as far as it is known at the start.
    """

    def __init__(self, given: Any) -> None:
        #: The run's input; None while a stream hides it.
        self.given = None if _is_hidden(given) else given
        #: The state of the graph that goes on, where the input only says that it does.
        self.state: Any = None
        #: Whether documents were fetched before the first model call: its prompt is stuffed with them.
        self.retrieved = False
        #: The first model call's input.
        self.first: Prompt | None = None
        #: Whether that is no question of the user's.
        self._made_inside = False
        #: Whether the arguments of the last model call's tools are its answer.
        self.wants_call = False
        #: The user's words, and what they were read from.
        self._read: tuple[Any, Prompt | None, str] | None = None
        self._results: deque[Result] = deque(maxlen=_MOST_RESULTS)
        #: What has reached the user of the model call that streams now.
        self._seen: list[str] = []

    def note_prompt(self, prompt: Prompt, *, made_inside: bool) -> None:
        """
        A model call begins.

        Args:
            prompt: Its input.

            made_inside: Whether a graph's node or a middleware wrote it, not the app's own template.
        """
        self.wants_call = prompt.wants_call
        if self.first is None:
            self.first = prompt
            self._made_inside = made_inside or self.retrieved

    def note_result(self, result: Result) -> None:
        """A model call has ended."""
        self._results.append(result)

    def note_token(self, text: str, *, is_first: bool) -> None:
        """The user sees a piece of text."""
        if is_first:
            self._seen = []
        self._seen.append(text)

    def user(self) -> str:
        """What the user said, as far as it is known by now."""
        read = self._read
        given = self.state if self.state is not None and _question_answer.is_resume(self.given) else self.given
        if read is None or read[0] is not given or read[1] is not self.first:
            read = self._read = (given, self.first, self._user(given))
        return read[2]

    def _user(self, given: Any) -> str:
        text = _question_answer.asked(given)
        if text is not None or self.first is None:
            return _question_answer.whole_input(given) if text is None else text
        if not self._made_inside and (question := self.first.question()) is not None:
            return question
        return _question_answer.whole_input(given) or self.first.question() or ""

    def last_text(self) -> str:
        """What a model said last."""
        return next((result.text for result in reversed(self._results) if result.text), "")

    def author(self, text: str) -> Result | None:
        """The model call whose text an answer is; without one, the last."""
        for result in reversed(self._results):
            if result.text and _alike(result.text, text):
                return result
        return self._results[-1] if self._results else None

    def seen(self) -> str:
        """What the user has seen of the answer."""
        return "".join(self._seen)

    def seen_at_stop(self, error: BaseException) -> str:
        """What the user has seen when a run was stopped; the parts of a graph's stream arrive without tokens."""
        return self.seen() or (self.last_text() if isinstance(error, GeneratorExit) else "")

    def seen_when_left(self, output: Any) -> str:
        """What was delivered of a sync stream; its last chunk is missing in its output."""
        seen = self.seen()
        text = _question_answer.answered(output, self.given)
        return seen if text is None or seen.startswith(text) else text


def _is_hidden(given: Any) -> bool:
    # The app's own values are not compared: `==` of an array or of a table gives no truth value.
    return type(given) is dict and len(given) == 1 and type(given.get(_NOT_YET)) is str and not given[_NOT_YET]


def _alike(one: str, other: str) -> bool:
    return one in other or other in one
