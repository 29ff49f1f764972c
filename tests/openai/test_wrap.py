"""The wrapped client cannot be told from the plain one, and can be made plain again."""

import asyncio
import copy
import inspect
import os
import subprocess
import sys
import threading
from typing import Any

import openai
import pytest
from helpers import events, readable
from openai_chat import OPENED, QUESTION, STREAMED, TURN, chats
from programs import run, said
from provider import ANSWER
from provider import Provider as Loopback

import mindlytics_openai
from mindlytics_core import Client, ConfigurationError, InvalidArgument, default_client
from mindlytics_openai import unwrap, wrap

AZURE = {"azure_endpoint": "http://azure.test", "api_version": "2024-10-21", "base_url": None}
#: Clients of other providers, as far as the installed openai has them, with what they need to know.
OTHERS = {
    "AzureOpenAI": AZURE,
    "AsyncAzureOpenAI": AZURE,
    "BedrockOpenAI": {"aws_region": "eu-north-1"},
    "AsyncBedrockOpenAI": {"aws_region": "eu-north-1"},
}
KINDS = [openai.OpenAI, openai.AsyncOpenAI, *(getattr(openai, name) for name in OTHERS if hasattr(openai, name))]


def make(provider: Any, kind: type):
    return provider.client(kind, **OTHERS.get(kind.__name__, {}))


def ask(asked: Any) -> Any:
    answer = asked.chat.completions.create(model="tiny", messages=QUESTION)
    if inspect.isawaitable(answer):
        asyncio.run(_awaited(answer))


async def _awaited(answer: Any) -> Any:
    return await answer


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_client_records_and_stays_what_it_is(
    provider: Any, client: Client, arrived: Any, say: Any, kind: type
):
    provider.answers(say.completion())
    plain = make(provider, kind)
    attributes = set(vars(plain))

    recording = wrap(plain, client=client)

    assert recording is plain
    assert isinstance(recording, kind)
    assert type(recording).__name__ == kind.__name__
    assert type(recording).__module__ == kind.__module__
    assert inspect.signature(type(recording)) == inspect.signature(kind)
    assert inspect.signature(recording.copy) == inspect.signature(kind.copy.__get__(recording))
    assert inspect.signature(recording.request) == inspect.signature(kind.request.__get__(recording))
    assert set(vars(recording)) - attributes == {"_mindlytics_settings"}
    ask(recording)
    assert arrived() == [*OPENED, TURN]


def test_wrapping_twice_records_once(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.completion())
    ask(wrap(wrap(provider.client(), client=client), client=client))
    assert arrived() == [*OPENED, TURN]


@pytest.mark.parametrize("kind", KINDS)
def test_unwrap_gives_the_plain_client_back(provider: Any, client: Client, arrived: Any, say: Any, kind: type):
    provider.answers(say.completion())
    recording = wrap(make(provider, kind), client=client)

    plain = unwrap(recording)

    assert type(plain) is kind
    assert not [name for name in vars(plain) if "mindlytics" in name]
    ask(plain)
    assert arrived() == []


def test_unwrap_leaves_a_plain_client_alone(provider: Any):
    plain = provider.client()
    assert unwrap(plain) is plain
    assert type(plain) is openai.OpenAI


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("copied", ["copy", "with_options"])
def test_copies_record_with_the_same_settings(  # noqa: PLR0917  # fixtures are given by name
    provider: Any, client: Client, arrived: Any, say: Any, kind: type, copied: str
):
    provider.answers(say.completion(), say.completion())
    recording = wrap(make(provider, kind), client=client, user_id="ann")

    another = getattr(recording, copied)(timeout=3)

    assert another.timeout == 3
    assert type(another) is type(recording)
    ask(another.with_options(max_retries=0))
    assert arrived() == chats([TURN], user_id="ann")


def test_a_shallow_copy_records_too(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.completion())
    ask(copy.copy(wrap(provider.client(), client=client)))
    assert arrived() == [*OPENED, TURN]


def test_resources_taken_before_record_too(provider: Any, client: Client, arrived: Any, say: Any):
    provider.answers(say.completion())
    plain = provider.client()
    completions = plain.chat.completions

    wrap(plain, client=client)
    completions.create(model="tiny", messages=QUESTION)

    assert arrived() == [*OPENED, TURN]


def test_a_subclass_of_the_app_s_own_keeps_its_ways(provider: Any, client: Client, arrived: Any, say: Any):
    class Own(openai.OpenAI):
        seen = 0

        def request(self, *args: Any, **kwargs: Any) -> Any:
            type(self).seen += 1
            return super().request(*args, **kwargs)

    provider.answers(say.completion())
    recording = wrap(provider.client(Own), client=client)
    ask(recording)

    assert isinstance(recording, Own)
    assert recording.seen == 1
    assert arrived() == [*OPENED, TURN]


@pytest.mark.parametrize("where", ["client", "class, before", "class, after"])
def test_what_others_put_over_the_request_sees_every_call_and_so_do_we(  # noqa: PLR0917  # fixtures are given by name
    provider: Any, client: Client, arrived: Any, say: Any, monkeypatch: pytest.MonkeyPatch, where: str
):
    provider.answers(*[say.completion()] * 3)
    seen: list[Any] = []

    def over(request: Any) -> Any:
        def theirs(*args: Any, **kwargs: Any) -> Any:
            seen.append(args)
            return request(*args, **kwargs)

        return theirs

    plain = provider.client()
    if where == "client":
        plain.request = over(plain.request)
    elif where == "class, before":
        monkeypatch.setattr(openai.OpenAI, "request", over(openai.OpenAI.request))
    before = vars(plain).get("request")
    recording = wrap(plain, client=client)
    if where == "class, after":
        monkeypatch.setattr(openai.OpenAI, "request", over(openai.OpenAI.request))
    ask(recording)
    ask(recording.with_options(timeout=3))
    assert vars(unwrap(recording)).get("request") is before
    ask(recording)

    # A copy has what its class has.
    assert len(seen) == (2 if where == "client" else 3)
    assert arrived() == chats([TURN], [TURN])


def test_a_request_sent_by_hand_is_recorded_and_its_body_left_alone(
    provider: Any, client: Client, arrived: Any, say: Any
):
    provider.answers(say.spoken("Hi ", "there"))
    recording = wrap(provider.client(), client=client)
    body = {"model": "tiny", "messages": QUESTION, "stream": True}
    given = copy.deepcopy(body)

    stream = recording.post(
        "/chat/completions",
        body=body,
        cast_to=openai.types.chat.ChatCompletion,
        stream=True,
        stream_cls=openai.Stream[openai.types.chat.ChatCompletionChunk],
    )
    assert len(list(stream)) == 4

    assert body == given
    assert arrived() == [*OPENED, STREAMED]


def test_many_threads_use_one_client(provider: Any, client: Client, arrived: Any, say: Any):
    count = 20
    provider.answers(*[say.completion()] * count)
    recording = wrap(provider.client(), client=client)
    threads = [threading.Thread(target=ask, args=(recording,)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert arrived() == chats(*[[TURN]] * count)


def test_many_threads_and_many_loops_use_one_async_client(provider: Any, client: Client, arrived: Any, say: Any):
    count = 10
    provider.answers(*[say.completion()] * 2 * count)
    recording = wrap(provider.client(openai.AsyncOpenAI), client=client)

    async def both() -> None:
        await asyncio.gather(*(recording.chat.completions.create(model="tiny", messages=QUESTION) for _ in range(2)))

    threads = [threading.Thread(target=asyncio.run, args=(both(),)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert arrived() == chats(*[[TURN]] * 2 * count)


def test_without_a_client_the_default_one_records(provider: Any, service_environment: Any, say: Any):
    provider.answers(say.completion(), say.completion())
    recording = wrap(provider.client())
    ask(recording)
    default_client().close()
    ask(recording)
    default_client().close()

    assert readable(events(service_environment)) == chats([TURN], [TURN], are_ended=True)


def test_without_a_key_it_says_so_at_once(provider: Any):
    plain = provider.client()
    with pytest.raises(ConfigurationError):
        wrap(plain)
    assert type(plain) is openai.OpenAI


@pytest.mark.parametrize("wrong", [{"user_id": ""}, {"conversation_id": 7}, {"session_id": "x" * 101}])
def test_a_wrong_id_is_refused_at_once(provider: Any, client: Client, wrong: Any):
    with pytest.raises(InvalidArgument):
        wrap(provider.client(), client=client, **wrong)


@pytest.mark.parametrize(
    "wrong", [{"client": 7}, {"continue_within": -1}, {"continue_within": "1"}, {"stream_usage": 0}]
)
def test_a_wrong_option_is_refused_at_once(provider: Any, client: Client, wrong: Any):
    with pytest.raises(InvalidArgument):
        wrap(provider.client(), **{"client": client, **wrong})


def test_an_unknown_option_is_refused_at_once(provider: Any, client: Client):
    with pytest.raises(TypeError, match="user_name"):
        wrap(provider.client(), client=client, user_name="ann")
    with pytest.raises(TypeError, match="user_name"):
        mindlytics_openai.install(client=client, user_name="ann")


def test_what_is_no_client_is_refused_at_once(client: Client):
    with pytest.raises(InvalidArgument):
        wrap(object(), client=client)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if hasattr(mindlytics_openai, kind.__name__)])
def test_the_drop_in_classes_record(provider: Any, service_environment: Any, say: Any, kind: type):
    provider.answers(say.completion(), say.completion())
    drop_in = getattr(mindlytics_openai, kind.__name__)
    made = provider.client(drop_in, **OTHERS.get(kind.__name__, {}))

    assert isinstance(made, kind)
    assert isinstance(made, drop_in)
    assert inspect.signature(drop_in) == inspect.signature(kind)
    ask(made)
    ask(made.with_options(timeout=3))
    default_client().close()
    assert readable(events(service_environment)) == chats([TURN], [TURN], are_ended=True)


@pytest.mark.usefixtures("service_environment")
def test_an_unwrapped_drop_in_is_a_plain_client_and_so_are_its_copies(provider: Any):
    plain = unwrap(provider.client(mindlytics_openai.OpenAI))

    assert type(plain) is openai.OpenAI
    assert type(plain.with_options(timeout=3)) is openai.OpenAI


def test_a_drop_in_without_a_key_says_so_at_once(provider: Any):
    with pytest.raises(ConfigurationError):
        provider.client(mindlytics_openai.OpenAI)


@pytest.mark.usefixtures("service_environment")
def test_a_copy_needs_no_environment(provider: Any, monkeypatch: pytest.MonkeyPatch):
    made = provider.client(mindlytics_openai.OpenAI)
    monkeypatch.delenv("MLSDK_API_KEY")
    assert isinstance(made.with_options(timeout=3), mindlytics_openai.OpenAI)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_while_another_thread_wraps_the_first_client_waits_for_the_import(service: Any):
    with Loopback() as loopback:
        program = run(
            """
            import os
            import sys
            import threading

            import openai

            from mindlytics_openai import wrap

            # An import alone costs little.
            assert not {"mindlytics_core.client", "mindlytics_openai._call"} & sys.modules.keys()
            begun, forked = threading.Event(), threading.Event()

            class Slow:
                def find_spec(self, name, *_):
                    if name == "mindlytics_openai._call":
                        begun.set()
                        forked.wait(0.3)

            sys.meta_path.insert(0, Slow())
            threading.Thread(target=lambda: wrap(openai.OpenAI())).start()
            begun.wait()
            child = os.fork()
            forked.set()
            asked = wrap(openai.OpenAI())
            asked.chat.completions.create(model="tiny-1", messages=[{"role": "user", "content": "Hello?"}])
            if not child:
                sys.exit(7)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
            """,
            {**loopback.environment(), **service.environment()},
        )
    assert (program.returncode, said(program)) == (0, "")
    assert readable(events(service)) == chats(*[[("Hello?", ANSWER)]] * 2, are_ended=True)


def test_without_openai_the_import_says_what_to_install():
    code = "import sys; sys.modules['openai'] = None; import mindlytics_openai"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'mindlytics[openai]'" in finished.stderr
