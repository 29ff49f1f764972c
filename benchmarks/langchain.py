"""
What the handler costs a run of `prompt | fake chat model | parser`, in CPU time of the whole process.

    python benchmarks/langchain.py              # ours, beside no handler and one of empty methods; and ready events,
                                                # which a handler without any logic puts into the same queue
    python benchmarks/langchain.py --rivals     # and other SDKs' handlers, in a virtual environment of their own
    python benchmarks/langchain.py --memory     # 100,000 runs on one handler, and the memory that they take
    python benchmarks/langchain.py --context    # what a history of 10 MB costs

A loopback server in another process takes the events; delivery is a part of the figures.
"""

import argparse
import asyncio
import gc
import http.server
import importlib
import json
import logging
import multiprocessing
import os
import resource
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable

ROOT = Path(__file__).parents[1]
RIVALS_VENV = ROOT / ".venv-rivals"
RIVALS = {
    "langfuse": ["langfuse", "langchain"],
    "langsmith": ["langsmith"],
    "posthog": ["posthog", "langchain"],
    "opik": ["opik", "langchain"],
    "openinference": ["openinference-instrumentation-langchain", "opentelemetry-exporter-otlp-proto-http"],
}
RUNS = 300
ROUNDS = 7
Handlers = list[Any]
Finish = Callable[[], object]


class Empty(BaseCallbackHandler):
    """A handler of empty methods."""

    run_inline = True

    def on_chain_start(self, *_: Any, **__: Any) -> None: ...
    def on_chain_end(self, *_: Any, **__: Any) -> None: ...
    def on_chat_model_start(self, *_: Any, **__: Any) -> None: ...
    def on_llm_end(self, *_: Any, **__: Any) -> None: ...


class _Taker(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    #: An answer in one piece: in two, each would wait for the receipt of the first, 40 ms.
    wbufsize = -1

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer()

    do_PUT = do_PATCH = do_POST  # noqa: N815  # the names that http.server looks for

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = json.dumps({"status": "ok", "id": "1", "data": [], "successes": [], "errors": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


def _serve(ports: Any) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Taker)
    ports.put(server.server_address[1])
    server.serve_forever()


@contextmanager
def loopback() -> Iterator[str]:
    """The address of a server in another process that takes everything."""
    context = multiprocessing.get_context("spawn")
    ports = context.Queue()
    process = context.Process(target=_serve, args=(ports,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ports.get(timeout=30)}"
    finally:
        process.terminate()


def the_chain() -> Runnable[Any, str]:
    prompt = ChatPromptTemplate.from_messages([("system", "Be kind."), ("human", "{question}")])
    return prompt | FakeListChatModel(responses=["Hello there, how may I help?"]) | StrOutputParser()


CHAIN = the_chain()


def run_sync(handlers: Handlers, runs: int) -> None:
    for _ in range(runs):
        CHAIN.invoke({"question": "Hi"}, {"callbacks": handlers})


def run_async(handlers: Handlers, runs: int) -> None:
    async def run() -> None:
        for _ in range(runs):
            await CHAIN.ainvoke({"question": "Hi"}, {"callbacks": handlers})

    asyncio.run(run())


WAYS = {"sync": run_sync, "async": run_async}


def microseconds(way: str, handlers: Handlers, finish: Finish) -> float:
    """CPU time of one run, of all threads, with what is delivered afterwards."""
    gc.collect()
    before = time.process_time()
    WAYS[way](handlers, RUNS)
    finish()
    return (time.process_time() - before) / RUNS * 1e6


def compare(way: str, ours: Handlers, finish: Finish) -> dict[str, float]:
    """The quickest of several rounds, each taken in turn, so that a busy moment of the machine meets all of them."""
    kinds: dict[str, tuple[Handlers, Finish]] = {
        "none": ([], lambda: None),
        "empty": ([Empty()], lambda: None),
        "handler": (ours, finish),
    }
    best = dict.fromkeys(kinds, float("inf"))
    for _ in range(ROUNDS + 1):
        for kind, (handlers, flush) in kinds.items():
            best[kind] = min(best[kind], microseconds(way, handlers, flush))
    return best


def mindlytics(url: str) -> tuple[Handlers, Finish]:
    from mindlytics_core import Client  # noqa: PLC0415  # the rivals' processes do without
    from mindlytics_langchain import MindlyticsHandler  # noqa: PLC0415

    client = Client("key", "project", url)
    return [MindlyticsHandler(client=client)], client.flush_sync


class Ready(Empty):
    """Records what ours records of a run, five events, made beforehand: what is left is the queue and the delivery."""

    def __init__(self, client: Any) -> None:
        record = {"session_id": "s", "timestamp": "2026-01-01T00:00:00.000000+00:00"}
        track = {**record, "type": "track", "conversation_id": "c"}
        words = {"user": "Hi", "assistant": "Hello there, how may I help?", "turn_id": "0" * 26, "latency_ms": 1}
        made = importlib.import_module("mindlytics_core").event_from_json
        self._events = [
            made({**record, "type": "start_session", "device_id": "s"}),
            made({**track, "event": "Conversation Started"}),
            made({**track, "event": "Conversation Turn", "properties": words}),
            made({**track, "event": "Conversation Ended"}),
            made({**record, "type": "end_session"}),
        ]
        self._client = client

    def on_chain_end(self, *_: Any, parent_run_id: Any = None, **__: Any) -> None:
        if parent_run_id is None:
            for event in self._events:
                self._client.record(event)


def ready(url: str) -> tuple[Handlers, Finish]:
    from mindlytics_core import Client  # noqa: PLC0415  # the rivals' processes do without

    client = Client("key", "project", url)
    return [Ready(client)], client.flush_sync


def langfuse(url: str) -> tuple[Handlers, Finish]:
    client = importlib.import_module("langfuse").Langfuse(public_key="pk", secret_key="sk", host=url)  # noqa: S106
    return [importlib.import_module("langfuse.langchain").CallbackHandler(public_key="pk")], client.flush


def langsmith(url: str) -> tuple[Handlers, Finish]:
    client = importlib.import_module("langsmith").Client(api_url=url, api_key="key")
    tracer = importlib.import_module("langchain_core.tracers").LangChainTracer(client=client, project_name="p")
    return [tracer], client.flush


def posthog(url: str) -> tuple[Handlers, Finish]:
    client = importlib.import_module("posthog").Posthog("key", host=url)
    return [importlib.import_module("posthog.ai.langchain").CallbackHandler(client=client)], client.flush


def opik(url: str) -> tuple[Handlers, Finish]:
    os.environ.update(OPIK_URL_OVERRIDE=url, OPIK_TRACK_DISABLE="false", OPIK_API_KEY="key", OPIK_WORKSPACE="w")
    tracer = importlib.import_module("opik.integrations.langchain").OpikTracer()
    return [tracer], tracer.flush


def openinference(url: str) -> tuple[Handlers, Finish]:
    otlp = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    sdk = importlib.import_module("opentelemetry.sdk.trace")
    export = importlib.import_module("opentelemetry.sdk.trace.export")
    tracer = importlib.import_module("openinference.instrumentation.langchain._tracer")
    provider = sdk.TracerProvider()
    provider.add_span_processor(export.BatchSpanProcessor(otlp.OTLPSpanExporter(f"{url}/v1/traces")))
    made = tracer.OpenInferenceTracer(provider.get_tracer("benchmark"), separate_trace_from_runtime_context=False)
    return [made], provider.force_flush


MAKERS = {maker.__name__: maker for maker in (mindlytics, ready, langfuse, langsmith, posthog, opik, openinference)}


def measure(name: str) -> None:
    """Print one handler's figures, as JSON."""
    logging.disable(logging.CRITICAL)
    with loopback() as url:
        handlers, finish = MAKERS[name](url)
        print(json.dumps({way: compare(way, handlers, finish) for way in WAYS}), flush=True)
    # Exporters would go on trying to reach a server that is gone.
    os._exit(0)


def figures(name: str, python: str = sys.executable) -> dict[str, dict[str, float]]:
    """Measure one handler in a process of its own."""
    arguments = [python, __file__, "--measure", name]
    # Rivals need minutes where their servers do not answer as they like.
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=900, check=False)  # noqa: S603
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no figures")
    return json.loads(lines[-1])  # type: ignore[no-any-return]


def table(names: list[str], python: str) -> None:
    print(f"{'µs of CPU a run':<16}{'way':<7}{'none':>7}{'empty':>7}{'handler':>9}{'added':>8}{'times empty':>13}")
    for name in names:
        try:
            found = figures(name, python)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            print(f"{name:<16}{error}")
            continue
        for way, best in found.items():
            empty, handler = best["empty"], best["handler"]
            row = f"{best['none']:>7.0f}{empty:>7.0f}{handler:>9.0f}{handler - empty:>8.0f}{handler / empty:>13.2f}"
            print(f"{name:<16}{way:<7}{row}", flush=True)


def rivals_python() -> str:
    """The interpreter of an environment that holds the rivals; those that do not install are left out."""
    python = RIVALS_VENV / "bin" / "python"
    if not python.exists():
        venv.create(RIVALS_VENV, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, "--editable", f"{ROOT}[langchain]"], check=True)  # noqa: S603
        for packages in RIVALS.values():
            subprocess.run([*install, *packages], check=False)  # noqa: S603
    return str(python)


def memory(runs: int) -> None:
    """Print what the process holds after a tenth of the runs, and after all of them."""
    with loopback() as url:
        handlers, finish = mindlytics(url)
        for at in range(10):
            run_sync(handlers, runs // 10)
            finish()
            gc.collect()
            print(f"{(at + 1) * runs // 10:>8} runs {_resident() / 2**20:8.1f} MiB", flush=True)
        os._exit(0)


def _resident() -> float:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def context() -> None:
    """Print what a run costs whose history holds 10 MB, in few long messages and in many short ones."""
    model = FakeListChatModel(responses=["Hello"])
    with loopback() as url:
        ours, finish = mindlytics(url)
        for count in (2, 200, 20_000):
            half = "x" * (10_000_000 // count)
            history: list[BaseMessage] = [
                kind(half) for _ in range(count // 2) for kind in (HumanMessage, AIMessage)
            ] + [HumanMessage("And now?")]
            cost = {}
            for kind, handlers in (("empty", [Empty()]), ("ours", ours)):
                times = []
                for _ in range(3):
                    before = time.process_time()
                    model.invoke(history, {"callbacks": handlers})
                    finish()
                    times.append(time.process_time() - before)
                cost[kind] = min(times) * 1000
            print(f"{count:>6} messages of {len(half):>9} characters: {cost['ours'] - cost['empty']:6.1f} ms added")
        os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rivals", action="store_true", help="other SDKs' handlers too")
    parser.add_argument("--memory", type=int, nargs="?", const=100_000, metavar="RUNS", help="memory of many runs")
    parser.add_argument("--context", action="store_true", help="the cost of a history of 10 MB")
    parser.add_argument("--measure", choices=MAKERS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        measure(chosen.measure)
    elif chosen.memory:
        memory(chosen.memory)
    elif chosen.context:
        context()
    else:
        table(
            list(MAKERS) if chosen.rivals else ["mindlytics", "ready"],
            rivals_python() if chosen.rivals else sys.executable,
        )


if __name__ == "__main__":
    main()
