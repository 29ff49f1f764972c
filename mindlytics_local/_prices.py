"""What models cost: a table that the user gives, since prices change and differ."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Price:
    """
    What a model costs.

    Attributes:
        prompt: A million tokens read.

        completion: A million tokens written.
    """

    prompt: float
    completion: float

    def as_json(self) -> dict[str, float]:
        """The price as it stands in a file of prices."""
        return {"prompt": self.prompt, "completion": self.completion}


def read(path: Path) -> Mapping[str, Price]:
    """
    Read a file of prices: `{"gpt-4o": {"prompt": 2.5, "completion": 10}}`, for a million tokens each.

    Args:
        path: The file.

    Raises:
        OSError: It cannot be read.

        ValueError: It is no such table; the text says where.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(table, dict):
        raise ValueError(  # noqa: TRY004  # what is wrong is what stands in the file
            f'{path} must be a JSON object, such as {{"gpt-4o": {{"prompt": 2.5, "completion": 10}}}}'
        )
    return {model: _price(path, model, price) for model, price in table.items()}


def _price(path: Path, model: str, price: Any) -> Price:
    if not isinstance(price, dict) or set(price) != {"prompt", "completion"}:
        raise ValueError(f"{path}: {model} needs prompt and completion, each for a million tokens")
    if not all(type(part) in {int, float} and 0 <= part < float("inf") for part in price.values()):
        raise ValueError(f"{path}: the prices of {model} must be numbers of at least 0")
    return Price(float(price["prompt"]), float(price["completion"]))
