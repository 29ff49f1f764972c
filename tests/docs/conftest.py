"""A provider for the pages that hold a conversation."""

from collections.abc import Iterator

import pytest
from provider import Provider


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    """A server that speaks as OpenAI does."""
    with Provider() as running:
        yield running
