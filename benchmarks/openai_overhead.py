"""
What a wrapped `openai` client costs: `python benchmarks/openai_overhead.py [CALLS]`.

A plain and a wrapped client ask the same transport, which answers from memory, in turn, so that the machine's moods
fall on both. The events are really sent, to a server in another process that takes them all. The figures are medians
of the time that the calling thread was busy: what else the machine does at the time is not in them.
CALLS is how many calls the memory is watched over, 100,000 by default.
"""

import functools
import gc
import http.server
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai

from mindlytics_core import Client
from mindlytics_openai import wrap

try:
    import httpx2 as http_client
except ImportError:
    import httpx as http_client

CHUNKS = 200
HISTORY_BYTES = 10_000_000
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
BASE = {"id": "c1", "created": 1, "model": "tiny-1"}
MESSAGE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi there"}}
COMPLETION = json.dumps({**BASE, "object": "chat.completion", "choices": [MESSAGE], "usage": USAGE}).encode()


class Sink(http.server.BaseHTTPRequestHandler):
    """Takes every event."""

    protocol_version = "HTTP/1.1"
    #: An answer in one piece: in two, each would wait for the receipt of the first, 40 ms.
    wbufsize = -1

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        """Nothing to say."""


def serve_sink() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    print(server.server_port, flush=True)
    server.serve_forever()


def chunk(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return b"data: " + json.dumps({**BASE, "object": "chat.completion.chunk", "choices": [choice]}).encode() + b"\n\n"


def stream_of(words: int) -> bytes:
    return b"".join([chunk("word ")] * words) + chunk("", "stop") + b"data: [DONE]\n\n"


#: By the most tokens that are asked for: what a chunk costs is what the longer stream costs more.
STREAMS = {words: stream_of(words) for words in (1, CHUNKS + 1)}


def answer(request: Any) -> Any:
    if b'"stream":true' in request.content[-200:]:
        words = json.loads(request.content)["max_tokens"]
        return http_client.Response(200, content=STREAMS[words], headers={"content-type": "text/event-stream"})
    return http_client.Response(200, content=COMPLETION, headers={"content-type": "application/json"})


def openai_client() -> Any:
    holder = http_client.Client(transport=http_client.MockTransport(answer))
    return openai.OpenAI(api_key="none", base_url="http://provider.test/v1", http_client=holder, max_retries=0)


class Ready(openai.OpenAI):
    """Has its answer ready: what is left is what the SDK makes of the arguments, and what is ours."""

    answer = openai.types.chat.ChatCompletion.model_validate_json(COMPLETION)

    def request(self, *_: Any, **__: Any) -> Any:
        return self.answer


def create(asked: Any, messages: list[Any]) -> None:
    asked.chat.completions.create(model="tiny", messages=messages)


def stream(asked: Any, messages: list[Any], words: int = 1) -> None:
    # The usage is asked for by both, so that both get the same chunks.
    given = {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": words}
    for _ in asked.chat.completions.create(model="tiny", messages=messages, **given):
        pass


def compare(use: Callable[..., None], plain: Any, wrapped: Any, questions: list[list[Any]]) -> tuple[float, float]:
    """Seconds that the plain client takes, and that the wrapped one takes longer."""
    times: dict[Any, list[float]] = {plain: [], wrapped: []}
    for number, messages in enumerate(questions):
        for asked in (plain, wrapped) if number % 2 else (wrapped, plain):
            begun = time.thread_time()
            use(asked, messages)
            times[asked].append(time.thread_time() - begun)
    without, with_us = (statistics.median(times[asked]) for asked in (plain, wrapped))
    return without, with_us - without


def questions(count: int, text: str = "Hello?") -> list[list[Any]]:
    return [[{"role": "user", "content": f"{text} {number}"}] for number in range(count)]


def history(size: int, message_size: int) -> list[Any]:
    """A chat of so many bytes."""
    roles = ("user", "assistant")
    return [{"role": roles[number % 2], "content": "x" * message_size} for number in range(size // message_size)]


LOADING = """
import time, openai
plain = openai.OpenAI(api_key="none")
times = [time.process_time()]
import mindlytics_openai
times.append(time.process_time())
mindlytics_openai.wrap(plain)
times.append(time.process_time())
print(times[1] - times[0], times[2] - times[1])
"""


def loading_seconds() -> tuple[float, float]:
    """Processor time of our import in a process that has imported openai already, and of the first `wrap`: medians."""
    environment = {**os.environ, "MLSDK_API_KEY": "key", "MLSDK_PROJECT_ID": "project"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def once() -> list[float]:
        command = [sys.executable, "-c", LOADING]
        said = subprocess.run(command, check=True, capture_output=True, env=environment).stdout  # noqa: S603  # ourselves
        return [float(seconds) for seconds in said.split()]

    once()
    imported, wrapped = zip(*(once() for _ in range(20)), strict=True)
    return statistics.median(imported), statistics.median(wrapped)


def resident_mib() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def memory(wrapped: Any, calls: int) -> list[float]:
    """Resident memory after each tenth of the calls, each of which begins a conversation."""
    readings = []
    for number, messages in enumerate(questions(calls, "A new one?"), start=1):
        create(wrapped, messages)
        if number % (calls // 10) == 0:
            readings.append(resident_mib())
    return readings


def main(calls: int) -> None:
    command = [sys.executable, __file__, "sink"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sink:  # noqa: S603  # ourselves
        try:
            assert sink.stdout is not None
            with Client("key", "project", f"http://127.0.0.1:{sink.stdout.readline().strip()}") as client:
                report(client, calls)
                print(client.stats())
        finally:
            sink.kill()


def report(client: Client, calls: int) -> None:
    plain = openai_client()
    wrapped = wrap(openai_client(), client=client)
    in_chat = wrap(openai_client(), client=client, conversation_id="one-chat")
    for name, asked in (("in a conversation that goes on", in_chat), ("that begins a conversation", wrapped)):
        without, added = compare(create, plain, asked, questions(3000))
        print(f"a create call {name}: {added * 1e6:6.1f} µs more than {without * 1e6:.0f}")
    ready, ready_in_chat = Ready(api_key="none"), wrap(Ready(api_key="none"), client=client, conversation_id="another")
    without, added = compare(create, ready, ready_in_chat, questions(3000))
    print(f"a create call whose answer is ready: {added * 1e6:6.1f} µs more than {without * 1e6:.0f}")
    short = compare(stream, plain, in_chat, questions(600))
    long = compare(functools.partial(stream, words=CHUNKS + 1), plain, in_chat, questions(150))
    print(f"a stream of one word: {short[1] * 1e6:6.1f} µs more than {short[0] * 1e6:.0f}")
    without, added = ((more - less) / CHUNKS * 1e6 for more, less in zip(long, short, strict=True))
    print(f"a chunk more in a stream: {added:6.2f} µs more than {without:.1f}")
    for size in (1_000, 1_000_000):
        chat = history(HISTORY_BYTES, size)
        without, added = compare(create, plain, wrapped, [[*chat, *question] for question in questions(6)])
        print(f"a history of 10 MB in {len(chat)} messages: {added * 1e3:6.1f} ms more than {without * 1e3:.0f}")
    imported, first_wrap = loading_seconds()
    print(f"import: {imported * 1e3:6.1f} ms more, and the first wrap {first_wrap * 1e3:.1f} ms")
    readings = memory(wrapped, calls)
    print(f"MiB over {calls} calls, each a conversation: {', '.join(f'{reading:.1f}' for reading in readings)}")


if __name__ == "__main__":
    argument = sys.argv[1] if len(sys.argv) > 1 else "100000"
    serve_sink() if argument == "sink" else main(int(argument))
