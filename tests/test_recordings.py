"""What stands in the project's own recordings."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from recorded import KEPT_HEADERS, PLAYED

RECORDINGS = sorted(Path(__file__).parent.rglob("cassettes/**/*.yaml"))
MOST_BYTES = 64 * 1024
SECRET = re.compile(r"\b(sk|pk|rk)-[\w-]{8,}|bearer |authorization|api[-_]key|organization|cookie", re.IGNORECASE)


def test_there_are_recordings():
    assert RECORDINGS


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_a_recording_holds_no_key_and_nothing_of_the_machine(path: Path):
    written = path.read_text(encoding="utf-8")

    assert not SECRET.search(written)
    assert len(written) < MOST_BYTES
    for interaction in yaml.safe_load(written)["interactions"]:
        assert interaction["request"]["uri"].startswith(PLAYED.base_url)
        assert names(interaction["request"]) | names(interaction["response"]) <= KEPT_HEADERS


def names(message: Any) -> set[str]:
    return {name.lower() for name in message["headers"]}
