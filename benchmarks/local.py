"""
How quick the local service is: events taken a second, and questions to a large file.

    python benchmarks/local.py fill 300      # fill a file with 300 MB, then ask
    python benchmarks/local.py load 2000 60  # 2,000 events a second for a minute, and what became of them
"""

import concurrent.futures
import json
import sys
import threading
import time
import urllib.parse
import urllib.request
from datetime import UTC, datetime, timedelta

from mindlytics_local import LocalService, start

BATCH = 100
WORDS = [
    "where",
    "is",
    "my",
    "order",
    "it",
    "left",
    "the",
    "warehouse",
    "this",
    "morning",
    "refund",
    "invoice",
    "address",
    "parcel",
]


def batch(number: int) -> bytes:
    """A hundred events of about 1 KB: ten conversations of five turns, each with a function call."""
    at = datetime.now(UTC) - timedelta(minutes=number % 40_000)
    events = []
    for index in range(BATCH):
        conversation = f"c{number}-{index // 10}"
        text = " ".join(WORDS[(number * 7 + index * step) % len(WORDS)] for step in range(1, 80))
        common = {"type": "track", "session_id": f"s{number}-{index // 10}", "conversation_id": conversation}
        common |= {"user_id": f"u{number % 5000}", "timestamp": at.isoformat()}
        if index % 2:
            told = {"user": f"{text} {number}", "assistant": text, "model": "m", "prompt_tokens": 90}
            told |= {"completion_tokens": 30, "latency_ms": 50 + index * 20}
            events.append(common | {"event": "Conversation Turn", "properties": told})
        else:
            told = {"name": "find_order", "args": text[:300], "result": text, "runtime": 12}
            events.append(common | {"event": "Conversation Function", "properties": told})
    return json.dumps(events).encode()


def post(service: LocalService, body: bytes) -> None:
    """Deliver a batch."""
    address, headers = f"{service.url}/bc/v1/events/queue", {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(address, body, headers), timeout=60) as answer:  # noqa: S310
        assert answer.status == 200


def ask(service: LocalService, path: str, **parameters: object) -> tuple[float, object]:
    """Ask three times; give the median in milliseconds, and the answer."""
    query = urllib.parse.urlencode({name: json.dumps(value) for name, value in parameters.items()})
    took = []
    for _ in range(3):
        before = time.perf_counter()
        with urllib.request.urlopen(f"{service.url}{path}{'&' if '?' in path else '?'}{query}", timeout=60) as answer:  # noqa: S310
            found = json.load(answer)
        took.append(time.perf_counter() - before)
    return sorted(took)[1] * 1000, found


def fill(megabytes: int) -> None:
    """Fill a file and ask what the page asks."""
    with start() as service:
        before, number = time.perf_counter(), 0
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            while service.db.stat().st_size < megabytes * 1e6:
                list(pool.map(lambda n: post(service, batch(n)), range(number, number + 20)))
                number += 20
        took = time.perf_counter() - before
        print(
            f"{number * BATCH:,} events, {service.db.stat().st_size / 1e6:,.0f} MB,",
            f"{number * BATCH / took:,.0f} a second",
        )
        latest = {"sort": {"last_activity_at": -1}, "limit": 60}
        find = "/bc/v1/db/conversations/find"
        questions = {
            "list": (find, latest),
            "count": ("/bc/v1/db/conversations/count", {}),
            "common word": (find, {**latest, "filter": {"$search": "order"}}),
            "rare word": (find, {**latest, "filter": {"$search": "77"}}),
            "user": (find, {**latest, "filter": {"$user": "u7"}}),
            "user, count": ("/bc/v1/db/conversations/count", {"filter": {"$user": "u7"}}),
            "nobody": (find, {**latest, "filter": {"$user": "nobody"}}),
            "rare event": (find, {**latest, "filter": {"event_names": "Turn Failed"}}),
            "failed": (find, {**latest, "filter": {"failed": {"$gt": 0}}}),
            "ended": (find, {**latest, "filter": {"ended_at": {"$exists": True}}}),
            "old": (find, {**latest, "filter": {"started_at": {"$lte": "2020-01-01T00:00:00Z"}}}),
            "far back": (find, {**latest, "skip": 45_000}),
            "sessions": ("/bc/v1/db/sessions/find", {"sort": {"started_at": -1}, "limit": 60}),
            "session": (
                "/bc/v1/db/events/find",
                {"filter": {"session_id": "s7-3"}, "sort": {"timestamp": -1, "seq": -1}},
            ),
            "live events": ("/bc/v1/live-events/events", {}),
            "transcript": ("/bc/v1/db/events/find", {"filter": {"conversation_id": "c7-3"}, "sort": {"seq": 1}}),
            "charts": ("/statistics", {}),
            "90 days": ("/statistics?start=2000-01-01T00:00:00Z", {}),
        }
        for name, (path, parameters) in questions.items():
            print(f"{name:12} {ask(service, path, **parameters)[0]:8.1f} ms")


def load(rate: int, seconds: int) -> None:
    """Send at a rate while a page watches, and say what became of it."""
    batches = rate * seconds // BATCH
    with start() as service, concurrent.futures.ThreadPoolExecutor(8) as pool:
        seen, late = [0], [0.0]
        watcher = urllib.request.urlopen(f"{service.url}/live", timeout=60)  # noqa: S310
        threading.Thread(target=_watch, args=(watcher, seen, late), daemon=True).start()
        bodies = [batch(number) for number in range(batches)]
        begun, sent = time.perf_counter(), []
        for number, body in enumerate(bodies):
            time.sleep(max(0.0, begun + number * BATCH / rate - time.perf_counter()))
            sent.append(pool.submit(post, service, body))
        for future in sent:
            future.result()
        took = time.perf_counter() - begun
        _, stored = ask(service, "/bc/v1/db/events/count")
        deadline = time.monotonic() + 20
        while seen[0] < batches * BATCH and time.monotonic() < deadline:
            time.sleep(0.05)
        print(f"sent {batches * BATCH:,} in {took:.1f} s, stored {stored}, seen by the page {seen[0]:,}")
        print(f"longest from receipt to the page: {late[0]:.2f} s")


def _watch(stream: object, seen: list[int], late: list[float]) -> None:
    for line in stream:  # type: ignore[attr-defined]
        if line.startswith(b'data: {"') and b'"received_at":"' in line:
            seen[0] += 1
            if seen[0] % 50 == 0:
                received = line.rsplit(b'"received_at":"', 1)[1].split(b'"')[0].decode()
                late[0] = max(late[0], (datetime.now(UTC) - datetime.fromisoformat(received)).total_seconds())


if __name__ == "__main__":
    what, *figures = sys.argv[1:]
    {"fill": fill, "load": load}[what](*map(int, figures))
