"""Options that make no sense are refused where they are given."""

from typing import Any

import pytest

from mindlytics_core import ConfigurationError, Delivery


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"overflow": "drop_everything"}, "drop_oldest_session"),
        ({"durability": "maybe"}, "power"),
        ({"mode": "desktop"}, "serverless"),
        ({"max_events": 0}, "max_events"),
        ({"linger": -1}, "linger"),
        ({"attempt_timeout": float("nan")}, "attempt_timeout"),
    ],
)
def test_a_wrong_option_is_named_at_construction(wrong: dict[str, Any], named: str):
    with pytest.raises(ConfigurationError, match=named):
        Delivery(**wrong)
