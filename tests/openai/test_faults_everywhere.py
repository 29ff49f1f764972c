"""A fault in any function of ours: the app sees what it sees without us, the fault is counted, nothing stays open."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

import mindlytics_openai
from mindlytics_core import Client
from mindlytics_openai import wrap
from mindlytics_openai._background_jobs import JOBS

#: Not on the way of a call: they are called by the app by name, and raise what they say.
BY_NAME = {"_wrap", "_install", "_settings", "_clients", "_openai", "_request_hook"}
#: The shells themselves: they hold the guards, and have nothing in them that could fail.
SHELLS = {
    "_call.Call.__init__",
    "_call.Call.answered",
    "_call.Call.failed",
    "_recording.Recording.__init__",
    "_recording.Recording.closing",
    "_recording.Recording.give_up",
    "_response_hooks._then",
    "_response_hooks._then_async",
    "_stream._Source",
    "_stream.AsyncParts",
    "_stream.Observer._conclude",
    "_stream.Observer._release",
    "_stream.Observer.closed",
    "_stream.Observer.over",
    "_stream.Observer.passes",
    "_stream.Observer.released",
    "_stream.Parts",
    "_stream._is_refused",
    # What these take out of a stream, nothing else can.
    "_stream._Unwatched",
    "_stream._is_usage",
    "_stream._watched",
    "_stream.hide_usage",
}


def functions() -> Iterator[tuple[str, Any, str]]:
    """Every function and method of the package that a call can touch: its name, and where it hangs."""
    for module in pkgutil.iter_modules(mindlytics_openai.__path__):
        if module.name in BY_NAME:
            continue
        loaded = importlib.import_module(f"mindlytics_openai.{module.name}")
        for name, value in vars(loaded).items():
            if getattr(value, "__module__", None) != loaded.__name__:
                continue
            if inspect.isfunction(value):
                yield f"{module.name}.{name}", loaded, name
            elif inspect.isclass(value):
                yield from methods(f"{module.name}.{name}", value)


def methods(path: str, kind: type) -> Iterator[tuple[str, Any, str]]:
    for name, value in vars(kind).items():
        if inspect.isfunction(value) and value.__module__ == kind.__module__:
            yield f"{path}.{name}", kind, name


FUNCTIONS = [
    pytest.param(place, name, id=path)
    for path, place, name in functions()
    if not any(path == shell or path.startswith(f"{shell}.") for shell in SHELLS)
]

ASK = {"model": "tiny", "messages": [{"role": "user", "content": "Hello?"}]}


def created(client: Any) -> Any:
    return client.chat.completions.create(**ASK).to_json()


def streamed(client: Any) -> Any:
    return [chunk.to_json() for chunk in client.chat.completions.create(**ASK, stream=True)]


def left(client: Any) -> Any:
    with client.chat.completions.create(**ASK, stream=True) as stream:
        return next(stream).to_json()


def helped(client: Any) -> Any:
    with client.chat.completions.stream(**ASK) as stream:
        return [event.type for event in stream]


def raw_streamed(client: Any) -> Any:
    return [chunk.to_json() for chunk in client.chat.completions.with_raw_response.create(**ASK, stream=True).parse()]


def unread(client: Any) -> Any:
    with client.chat.completions.with_streaming_response.create(**ASK) as response:
        return response.json()


def failed(client: Any) -> Any:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(**ASK)
    return str(caught.value)


def looped(client: Any) -> Any:
    first = client.chat.completions.create(**ASK).choices[0].message
    result = {"role": "tool", "tool_call_id": "c1", "content": "ten"}
    return client.chat.completions.create(model="tiny", messages=[*ASK["messages"], first, result]).to_json()


def responded(client: Any) -> Any:
    return client.responses.create(
        model="tiny", input="Hello?", extra_headers={"X-Mindlytics-User-Id": "ann"}
    ).to_json()


def fetched(client: Any) -> Any:
    job = client.responses.create(model="tiny", input="Hello?", background=True)
    return client.responses.retrieve(job.id).to_json()


def completed(client: Any) -> Any:
    return [part.to_json() for part in client.completions.create(model="tiny", prompt="Hello?", stream=True)]


def response(status: str = "completed") -> Any:
    said = {"type": "message", "id": "m1", "role": "assistant", "status": status}
    said["content"] = [{"type": "output_text", "text": "Hi", "annotations": []}]
    base = {"id": "r1", "object": "response", "created_at": 1, "model": "tiny-1", "status": status}
    return {**base, "output": [said] if status == "completed" else [], "tools": [], "parallel_tool_calls": True}


def asking(say: Any) -> Any:
    return say.completion(None, tool_calls=[say.tool_call("c1", "clock", "{}")])


#: What the app does, with what the provider says to it.
SCENES: dict[Callable[[Any], Any], Callable[[Any], list[Any]]] = {
    created: lambda say: [say.completion()],
    streamed: lambda say: [say.spoken("Hi ", "there")],
    left: lambda say: [say.spoken("Hi ", "there")],
    helped: lambda say: [say.spoken("Hi ", "there")],
    raw_streamed: lambda say: [say.spoken("Hi ", "there")],
    unread: lambda say: [say.Parts(['{"choices": []}'], done=False)],
    failed: lambda _: [(404, {"error": {"message": "no such model"}})],
    looped: lambda say: [asking(say), say.completion()],
    responded: lambda _: [response()],
    fetched: lambda _: [response("queued"), response()],
    completed: lambda say: [say.spoken("Hi")],
}


@pytest.fixture(scope="module")
def seen_by_a_plain_client():
    """What the app sees without us, by scene."""
    return {}


@pytest.mark.parametrize(("place", "name"), FUNCTIONS)
def test_a_fault_in(  # noqa: PLR0917  # fixtures are given by name
    provider: Any,
    say: Any,
    place: Any,
    name: str,
    silent_client: Client,
    monkeypatch: pytest.MonkeyPatch,
    seen_by_a_plain_client: dict[Any, Any],
):
    raised = []

    def fault(*_args: Any, **_kwargs: Any) -> Any:
        raised.append(name)
        raise ZeroDivisionError

    before = sum(silent_client.stats().faults.values())
    recording = wrap(provider.client(), client=silent_client)
    for scene, says in SCENES.items():
        if scene not in seen_by_a_plain_client:
            provider.answers(*says(say))
            seen_by_a_plain_client[scene] = scene(provider.client())
        provider.answers(*says(say))
        with monkeypatch.context() as patch:
            for holder in holders(place, name):
                patch.setattr(holder, name, fault)
            assert scene(recording) == seen_by_a_plain_client[scene], scene.__name__
        assert not provider.replies, scene.__name__

    assert bool(raised) == (sum(silent_client.stats().faults.values()) > before)
    assert not running(silent_client)


def holders(place: Any, name: str) -> list[Any]:
    """Where a function hangs, and the modules that took it from there by name."""
    function = vars(place)[name]
    modules = [
        importlib.import_module(f"mindlytics_openai.{m.name}") for m in pkgutil.iter_modules(mindlytics_openai.__path__)
    ]
    return [place, *(module for module in modules if module is not place and vars(module).get(name) is function)]


def running(client: Client) -> list[Any]:
    """Conversations in which an exchange is still open, though neither a tool nor a background job is waited for."""
    jobs = {recording.exchange.conversation for recording in JOBS._open.values()}
    return [known for known in client._book._conversations._open if known.running and known not in jobs]


@pytest.fixture
def silent_client():
    """A client that records all and sends nothing."""
    with Client("key", "project", "http://127.0.0.1:9", before_send=lambda _: None) as silent:
        yield silent
