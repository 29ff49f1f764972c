"""What the models used within one exchange, by model."""

from collections.abc import Iterator
from typing import Any

import msgspec

from mindlytics_core import _lenient
from mindlytics_core._model import Scalar, TokenBasedCost


class _Tokens(msgspec.Struct):
    """What one model used, over all its calls; None where no call said."""

    prompt: int | None = None
    completion: int | None = None
    cached: int = 0
    reasoning: int = 0

    def add(self, prompt: int | None, completion: int | None, cached: int | None, reasoning: int | None) -> None:
        if prompt is not None:
            self.prompt = (self.prompt or 0) + prompt
        if completion is not None:
            self.completion = (self.completion or 0) + completion
        self.cached += cached or 0
        self.reasoning += reasoning or 0

    def usage(self, model: str) -> TokenBasedCost | None:
        if self.prompt is None and self.completion is None:
            return None
        return TokenBasedCost(model, self.prompt or 0, self.completion or 0)

    def properties(self) -> dict[str, Scalar]:
        named = {"cached_tokens": self.cached, "reasoning_tokens": self.reasoning}
        return {name: number for name, number in named.items() if number} if self.cached or self.reasoning else {}


class ModelUsage:
    """The sum of each model's calls."""

    def __init__(self) -> None:
        self._by_model: dict[str, _Tokens] = {}
        #: The model that was called last; empty before the first call.
        self.last_model = ""

    def add(self, model: Any, *tokens: Any) -> None:
        """
        Add one call's.

        Args:
            model: The model; without it the one called last.

            tokens: Those read, written, cached and of reasoning, as the framework gives them.
        """
        self.last_model = _lenient.name(model) or self.last_model or _lenient.UNKNOWN
        self._by_model.setdefault(self.last_model, _Tokens()).add(*map(_lenient.count, tokens))

    def take(self, model: str) -> tuple[TokenBasedCost | None, dict[str, Scalar]]:
        """One model's usage, if any call said, and the properties beside it; it is no rest any more."""
        tokens = self._by_model.pop(model, None) or _Tokens()
        usage = tokens.usage(model)
        named: dict[str, Scalar] = {"model": model} if model and usage is None else {}
        return usage, {**tokens.properties(), **named}

    def rest(self) -> Iterator[tuple[TokenBasedCost, dict[str, Scalar]]]:
        """The usage of each model that was not taken, and the properties beside it."""
        for model, tokens in self._by_model.items():
            if usage := tokens.usage(model):
                yield usage, tokens.properties()
