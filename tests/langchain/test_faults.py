"""Whatever comes in, the app never notices, and no run stays open."""

import gc
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool

from mindlytics_langchain import _runs
from mindlytics_langchain._recorder import Recorder
from mindlytics_langchain._recording import Recording
from mindlytics_langchain._runs import RunTable
from mindlytics_langchain._transcript import Transcript

QUESTION = {"question": "Hi"}


@pytest.fixture
def _broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("private")

    for owner, name in [(Recorder, "begin"), (Recorder, "end"), (Recorder, "find"), (Transcript, "user")]:
        monkeypatch.setattr(owner, name, broken)


@pytest.mark.usefixtures("_broken")
@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "astream"])
async def test_a_fault_of_ours_never_reaches_the_app(
    how: str, lab: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    called = getattr(lab.chain("Hello"), how)(QUESTION, lab.config)
    if how == "ainvoke":
        answer = await called
    elif how == "astream":
        answer = "".join([chunk async for chunk in called])
    else:
        answer = "".join(called)

    assert answer == "Hello"
    assert capfd.readouterr() == ("", "")
    assert {record.name for record in caplog.records} <= {"mindlytics", "asyncio"}
    assert "private" not in caplog.text


def test_a_fault_at_the_end_leaves_no_exchange_open(lab: Any, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr(Transcript, "author", broken)
    lab.chain("Hello").invoke(QUESTION, lab.config)

    used = {"model": "tiny-1", "prompt_tokens": 7, "completion_tokens": 3}
    assert lab.arrived(faults=1) == lab.whole(1, lab.failed(1, "Hi", "UnreadableRun", **used))


class Table:
    """As arrays and tables are: compared value by value, and then neither true nor false."""

    def __eq__(self, _: object) -> Any:
        return self

    def __bool__(self) -> bool:
        raise ValueError("ambiguous")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("given", "user"),
    [
        (None, ""),
        ([], ""),
        ({}, ""),
        ({"messages": None}, ""),
        ({"messages": []}, ""),
        ({"messages": [AIMessage("Good morning")]}, ""),
        ([AIMessage("Good morning")], ""),
        (("user", "Hi"), "Hi"),
        (7, "7"),
        (object(), '"[object]"'),
        ({"input": Table()}, '{"input": "[Table]"}'),
        (Table(), '"[Table]"'),
    ],
)
@pytest.mark.parametrize("how", ["invoke", "stream", "abatch", "astream_events"])
async def test_odd_inputs_are_recorded_as_far_as_possible(how: str, given: Any, user: str, lab: Any):
    model = lab.model("Hello")
    await lab.run(RunnableLambda(lambda _: model.invoke([AIMessage("Good morning")]).text), how, given)

    assert lab.arrived() == lab.whole(1, lab.turn(1, user, "Hello", **lab.streamed_inside(how)))


def test_a_tool_s_odd_result_is_recorded(lab: Any):
    @tool
    def odd(what: str) -> Any:
        """Give something odd."""
        return {"what": what, "lock": threading.Lock()}

    def loop(question: str) -> str:
        odd.invoke({"what": question})
        return "done"

    RunnableLambda(loop).invoke("Hi", lab.config)

    nothing = {"prompt_tokens": None, "completion_tokens": None, "model": None}
    call = lab.function(1, "odd", '{"what": "Hi"}', '{"what": "Hi", "lock": "[lock]"}')
    assert lab.arrived() == lab.whole(1, call, lab.turn(1, "Hi", "done", **nothing))


def test_ten_megabytes_of_context_are_cut(lab: Any):
    lab.model("Hello").invoke([HumanMessage("x" * 10_000_000)], lab.config)

    found = lab.arrived()
    kept = len(found[2]["user"])
    cut = {"user_chars": 10_000_000, "truncated_chars": 10_000_000 - kept}
    assert kept > 10_000
    assert found == lab.whole(1, lab.turn(1, "x" * kept, "Hello", **cut))


def test_a_run_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch, lab: Any):
    monkeypatch.setattr(_runs, "AGE_LIMIT", 0)
    messages = [[HumanMessage("Hi")]]
    lab.handler.on_chat_model_start(None, messages, run_id=uuid.uuid4())
    lab.handler.on_chain_start(None, "next", run_id=uuid.uuid4())

    assert lab.arrived() == lab.whole(1, lab.failed(1, "Hi", "NeverEnded", model="unknown"))


class Recorded(Recording):
    def __init__(self) -> None:
        self.given_up = False

    def give_up(self) -> None:
        self.given_up = True


def begin(
    table: RunTable, run_id: uuid.UUID, new: Callable[[], Recording] = Recorded, parent: uuid.UUID | None = None
) -> None:
    table.begin(run_id, parent, "", new)


def test_the_run_table_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_runs, "MOST_ROOTS", 3)
    table = RunTable(lambda: None)
    recordings = [Recorded() for _ in range(5)]
    for recording in recordings:
        begin(table, uuid.uuid4(), lambda recording=recording: recording)

    assert len(table) == 3
    assert [recording.given_up for recording in recordings] == [True, True, False, False, False]


def test_a_busy_run_is_not_the_one_that_is_given_up():
    now = [0.0]
    table = RunTable(lambda: None, lambda: now[0])
    old, busy, new = (uuid.uuid4() for _ in range(3))
    begin(table, old)
    begin(table, busy)
    now[0] = 3000.0
    begin(table, uuid.uuid4(), parent=busy)
    now[0] = 4000.0
    begin(table, new)

    assert [table.find(run_id) is not None for run_id in (old, busy, new)] == [False, True, True]


def test_one_handler_serves_many_threads(lab: Any):
    chain = lab.chain("Hello")
    threads = [
        threading.Thread(target=lambda: [chain.invoke(QUESTION, lab.config) for _ in range(20)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = lab.arrived()
    assert len(found) == 8 * 20 * 5
    for at in range(0, len(found), 5):
        number = at // 5 + 1
        assert found[at : at + 5] == lab.whole(number, lab.turn(number, "Hi", "Hello"))


def test_a_handler_holds_no_more_after_many_runs_than_after_some(lab: Any, monkeypatch: Any):
    monkeypatch.setattr(_runs, "_MOST_LATE", 200)
    chain = lab.chain("Hello")

    def held_after(runs: int) -> int:
        for _ in range(runs):
            chain.invoke(QUESTION, lab.config)
        assert lab.client.flush_sync()
        gc.collect()
        return len(gc.get_objects())

    # Until the table of ended runs is full: a run of this chain has four.
    some = held_after(100)

    assert held_after(200) - some < 200
