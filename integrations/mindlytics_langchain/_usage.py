"""What a model's result says of its cost, its name and its text. No state."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from mindlytics_langchain._langchain import AIMessage, LLMResult
from mindlytics_langchain._messages import text_of
from mindlytics_langchain._question_answer import MAPPINGS


class Result(NamedTuple):
    """
    One model call's outcome.

    Attributes:
        model: The model, as the answer names it.

        text: What it said.

        message: Its message, where it is a chat model.

        prompt_tokens: Tokens read; None when nobody said.

        completion_tokens: Tokens written; None when nobody said.

        cached_tokens: Those of the tokens read that came from a cache.

        reasoning_tokens: Those of the tokens written that were reasoning.

        choices: Answers that were made.
    """

    model: str | None = None
    text: str = ""
    message: AIMessage | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    choices: int = 1


_NOTHING: Mapping[str, Any] = {}
_MODEL_NAMES = ("model_name", "model", "model_id")


def read_result(response: LLMResult | None) -> Result:
    """What is known of a model call, from a whole result or from what there was of one."""
    generations = response.generations[0] if response is not None and response.generations else []
    if response is None or not generations:
        return Result()
    first = generations[0]
    message = getattr(first, "message", None)
    message = message if isinstance(message, AIMessage) else None
    output = _mapping(response.llm_output)
    named = _mapping(message.response_metadata if message else first.generation_info)
    prompt, completion, cached, reasoning = _tokens(message, output)
    return Result(
        model=model_name(named) or model_name(output),
        text=text_of(message) if message else first.text,
        message=message,
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=cached,
        reasoning_tokens=reasoning,
        choices=len(generations),
    )


def model_name(said: Mapping[str, Any]) -> str | None:
    """The model's name under one of its usual keys."""
    for key in _MODEL_NAMES if said else ():
        name = said.get(key)
        if name and isinstance(name, str):
            return name
    return None


def asked_model(metadata: Mapping[str, Any] | None, params: Any) -> str | None:
    """The model that was asked for."""
    name = (metadata or {}).get("ls_model_name")
    return name if isinstance(name, str) and name else model_name(_mapping(params))


def wants_call(params: Any) -> bool:
    """Whether the model was made to call a tool: then the call's arguments are its answer."""
    choice = _mapping(params).get("tool_choice")
    if choice is None:
        return False
    return choice not in (False, "auto", "none") and _mapping(choice).get("type") not in ("auto", "none")


def _tokens(message: AIMessage | None, output: Mapping[str, Any]) -> tuple[Any, Any, Any, Any]:
    usage = _mapping(message.usage_metadata if message else None)
    if not usage:
        old = _mapping(output.get("token_usage") or output.get("usage"))
        return old.get("prompt_tokens"), old.get("completion_tokens"), None, None
    if usage.get("total_cost") == 0:
        # From LangChain's cache: it cost nothing, whatever it cost when it was made.
        return 0, 0, None, None
    cached = _mapping(usage.get("input_token_details")).get("cache_read")
    reasoning = _mapping(usage.get("output_token_details")).get("reasoning")
    return usage.get("input_tokens"), usage.get("output_tokens"), cached, reasoning


def _mapping(value: Any) -> Mapping[str, Any]:
    # (To ask of None whether it is a mapping takes longer than all else here.)
    return value if value is not None and isinstance(value, MAPPINGS) else _NOTHING
