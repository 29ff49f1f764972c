"""What is read from a request and from its answer: the same few facts, whichever surface was called."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from mindlytics_core import Ids, Message

ASSISTANT = "assistant"
#: The error of an answer in which there is none, such as the report of an error that a server calls a success.
NO_ANSWER = "NoAnswer"
NO_IDS = Ids()
#: Ids of calls that are as long are no other call's; small servers just count.
_TELLING_CHARS = 12


class ToolCall(msgspec.Struct, frozen=True):
    """
    One tool that the model asked for.

    Attributes:
        id: What its result will refer to; empty where the surface has no such ids.

        name: The tool.

        args: Its arguments, as the model wrote them.
    """

    id: str
    name: str
    args: str


class ToolResult(msgspec.Struct, frozen=True):
    """
    What a tool gave back, as the app sends it to the model.

    Attributes:
        call_id: The call that it belongs to.

        call: That call, where the request repeats it.

        result: Its result as text.
    """

    call_id: str
    call: ToolCall | None
    result: str


class Usage(msgspec.Struct, frozen=True):
    """What one model call used, in tokens; None where the server did not say."""

    prompt: int | None = None
    completion: int | None = None
    cached: int | None = None
    reasoning: int | None = None


class Question(msgspec.Struct, frozen=True):
    """
    What a request says.

    Attributes:
        messages: The model's input, oldest first.

        user: What the user said last.

        results: Results of the tools that the model asked for last.

        calls: The ids of all that the model asked for last, and that this request answers.

        ids: Ids that the app gives OpenAI anyway.

        model: The model asked for.

        choices: How many answers were asked for.

        wants_call: Whether the only tool offered is forced, so that the call of it is the answer: structured output.

        continues: The answer that it goes on from, where the server keeps the messages.

        is_background: Whether the answer is made in the background, and may be fetched by another request.
    """

    messages: tuple[Message, ...] = ()
    user: str | None = None
    results: tuple[ToolResult, ...] = ()
    calls: tuple[str, ...] = ()
    ids: Ids = NO_IDS
    model: str | None = None
    choices: int = 1
    wants_call: bool = False
    continues: str | None = None
    is_background: bool = False


class Answer(msgspec.Struct, frozen=True):
    """
    What came back, or what has come back so far.

    Attributes:
        text: What the user sees.

        model: The model that answered, as the answer names it.

        usage: What it used.

        calls: The tools that the model asks for.

        is_complete: Whether the model said all that it was going to say.

        error: The class of what went wrong on the server, where the answer itself says so.

        id: What a later request calls it by, where the server keeps the messages.

        is_pending: Whether the answer is still being made in the background.
    """

    text: str = ""
    model: str | None = None
    usage: Usage | None = None
    calls: tuple[ToolCall, ...] = ()
    is_complete: bool = True
    error: str | None = None
    id: str | None = None
    is_pending: bool = False


class Collector(Protocol):
    """Puts an answer together from the parts of a stream."""

    def add(self, part: Any) -> bool:
        """Take one part in; say whether the user sees something by it."""
        ...

    def answer(self) -> Answer:
        """What has come so far."""
        ...


class Surface(msgspec.Struct, frozen=True):
    """
    One kind of request that is recorded.

    Attributes:
        question: Reads the request's body.

        answer: Reads the answer.

        collector: Makes what reads a streamed answer.

        reports_usage_on_demand: Whether a stream tells its usage only when `stream_options` asks for it.
    """

    question: Callable[[Mapping[str, Any]], Question]
    answer: Callable[[Any], Answer]
    collector: Callable[[], Collector]
    reports_usage_on_demand: bool = False


def asking_for(calls: Sequence[ToolCall]) -> Message:
    """
    The assistant's message that asks for tools, as it is recognised again in the next request.

    The ids are enough: apps and frameworks write the arguments anew, with other spaces and another order.
    """
    return Message(ASSISTANT, "\0".join(call.id or f"{call.name}\0{call.args}" for call in calls))


def telling(call_ids: Iterable[str]) -> tuple[str, ...]:
    """Those ids by which a call can be told from the calls of every other chat."""
    return tuple(call_id for call_id in call_ids if len(call_id) >= _TELLING_CHARS)
