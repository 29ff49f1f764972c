"""A loopback server that speaks as OpenAI does, for programs of their own that hold a conversation."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

WORDS = ["On ", "its ", "way."]
ANSWER = "".join(WORDS)
#: To this question the answer stops in the middle, until the client hangs up.
ENDLESS = "Tell me an endless story."
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


class Provider:
    """The server while it runs; it answers every chat with the same words, streamed word by word if asked."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def environment(self) -> dict[str, str]:
        """The variables that lead an `openai` client here."""
        return {"OPENAI_BASE_URL": f"http://127.0.0.1:{self._server.server_port}/v1", "OPENAI_API_KEY": "none"}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        model = asked["model"]
        if self.path.endswith("/responses"):
            self._send("application/json", json.dumps(_response(model)))
        elif asked["messages"][-1]["content"] == ENDLESS:
            self._begin(model)
        elif asked.get("stream"):
            chunks = _chunks(model, with_usage=bool((asked.get("stream_options") or {}).get("include_usage")))
            lines = [*(json.dumps(chunk) for chunk in chunks), "[DONE]"]
            self._send("text/event-stream", "".join(f"data: {line}\n\n" for line in lines))
        else:
            self._send("application/json", json.dumps(_completion(model)))

    def _send(self, kind: str, body: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def _begin(self, model: str) -> None:
        first = _chunks(model, with_usage=False)[0]
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(f"data: {json.dumps(first)}\n\n".encode())
        self.rfile.read(1)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _completion(model: str) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWER}}
    frame = {"id": "c1", "object": "chat.completion", "created": 1, "model": model}
    return {**frame, "choices": [choice], "usage": USAGE}


def _chunks(model: str, *, with_usage: bool) -> list[dict[str, Any]]:
    frame = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": model}
    said = [{"index": 0, "finish_reason": None, "delta": {"content": word}} for word in WORDS]
    choices = [*said, {"index": 0, "finish_reason": "stop", "delta": {}}]
    chunks: list[dict[str, Any]] = [{**frame, "choices": [choice]} for choice in choices]
    return [*chunks, {**frame, "choices": [], "usage": USAGE}] if with_usage else chunks


def _response(model: str) -> dict[str, Any]:
    text = {"type": "output_text", "text": ANSWER, "annotations": []}
    message = {"id": "m1", "type": "message", "role": "assistant", "status": "completed", "content": [text]}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10, **details}
    frame = {"id": "r1", "object": "response", "created_at": 1, "model": model, "status": "completed"}
    settings = {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True}
    return {**frame, **settings, "output": [message], "usage": usage}
