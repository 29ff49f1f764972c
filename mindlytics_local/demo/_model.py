"""The model that the demo talks to: the user's own where they have a key, else a small real one on this machine."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

_OWN_MODEL = "gpt-4o-mini"
_OWN_ENDPOINT = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class Model:
    """
    An OpenAI-compatible model.

    Attributes:
        name: What to ask for.

        base_url: Where.

        api_key: As whom; in no repr.
    """

    name: str
    base_url: str
    api_key: str = field(repr=False)


@contextmanager
def the_model(say: Callable[[str], None], environment: Mapping[str, str] = os.environ) -> Iterator[Model]:
    """
    The model to talk to, for as long as the block lasts.

    Args:
        say: Is told which one it is.

        environment: Where `OPENAI_API_KEY`, `OPENAI_BASE_URL` and `OPENAI_MODEL` are looked for.

    Raises:
        ModelUnavailable: There is no key, and the small model is not installed or does not start.
    """
    key = environment.get("OPENAI_API_KEY")
    if key:
        endpoint = environment.get("OPENAI_BASE_URL") or _OWN_ENDPOINT
        model = Model(environment.get("OPENAI_MODEL") or _OWN_MODEL, endpoint, key)
        say(f"your own model, {model.name} at {model.base_url}")
        yield model
        return
    with small_model() as model:
        say(f"a small real model on this machine, {model.name} (no OPENAI_API_KEY is set)")
        yield model


class ModelUnavailable(OSError):
    """The small model cannot be started."""


@contextmanager
def small_model() -> Iterator[Model]:
    """
    SmolLM2-135M behind llama.cpp's own server, in a process of its own that goes with this one.

    Raises:
        ModelUnavailable: It is not installed or does not start.
    """
    server = subprocess.Popen(  # our own module
        [sys.executable, "-m", "mindlytics_local.demo._llama"],
        # Its end of this pipe closes with us, however we end; that is its sign to end too.
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with server:
        try:
            yield _announced(server)
        finally:
            server.kill()


def _announced(server: "subprocess.Popen[str]") -> Model:
    said = server.stdout.readline().strip() if server.stdout is not None else ""
    what, _, rest = said.partition(" ")
    if what != "listening":
        raise ModelUnavailable(rest or "the small model did not start")
    name, address = rest.split()
    return Model(name, f"{address}/v1", "none")
