"""The file: older versions are brought up to date, newer ones are refused, writes are all or nothing."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from local.builders import at, ended, identify, start_session, started, turn

from mindlytics_local import _json
from mindlytics_local._timestamps import parse_timestamp
from mindlytics_local.model import _received_events
from mindlytics_local.queries._collections import COLLECTIONS
from mindlytics_local.queries._query import Query
from mindlytics_local.storage import _schema
from mindlytics_local.storage._schema import UnusableDatabase
from mindlytics_local.storage._store import Store

EVENTS = [
    start_session(device_id="d1", timestamp=at(0)),
    identify(id="u1", timestamp=at(1)),
    started(timestamp=at(1)),
    turn("hello", model="m", prompt_tokens=1, completion_tokens=2, timestamp=at(2)),
    ended(timestamp=at(3)),
]


async def opened(path: Path) -> Store:
    store = Store(path)
    await asyncio.to_thread(store.open)
    return store


async def records(store: Store, collection: str) -> list[dict[str, object]]:
    return await store.read(Query(COLLECTIONS[collection]).find)


async def test_records_are_made_for_a_file_that_had_only_events(tmp_path: Path):
    store = await opened(tmp_path / "new.db")
    await store.add(_received_events.read_several(_json.write(EVENTS).encode(), "p"))
    expected = {name: await records(store, name) for name in ("sessions", "conversations")}
    store.close()
    take_back_to_version_1(tmp_path / "new.db")

    store = await opened(tmp_path / "new.db")

    assert {name: await records(store, name) for name in ("sessions", "conversations")} == expected
    (user,) = await records(store, "users")
    assert (user["id"], len(user["aliases"])) == ("u1", 2)  # type: ignore[arg-type]
    store.close()


def take_back_to_version_1(path: Path) -> None:
    """Leave the events alone in the file, as the first version kept them."""
    path.rename(path.with_suffix(".newer"))
    db = sqlite3.connect(path)
    for statement in _schema.CHANGES[0].statements:
        db.execute(statement)
    columns = _schema._EVENT_COLUMNS
    db.execute("ATTACH ? AS newer", (str(path.with_suffix(".newer")),))
    db.execute(f"INSERT INTO events ({columns}) SELECT {columns} FROM newer.events")  # noqa: S608  # ours
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()


async def test_a_file_is_at_the_newest_version_and_opening_it_again_changes_nothing(tmp_path: Path):
    for _ in range(2):
        store = await opened(tmp_path / "x.db")
        version = await store.read(lambda db: db.execute("PRAGMA user_version").fetchone()[0])
        store.close()
        assert version == _schema.VERSION


async def test_a_file_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path):
    db = sqlite3.connect(tmp_path / "x.db")
    db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(UnusableDatabase, match="schema 99"):
        await opened(tmp_path / "x.db")

    db = sqlite3.connect(tmp_path / "x.db")
    assert db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    db.close()


async def test_a_change_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (await opened(tmp_path / "x.db")).close()
    broken = _schema.Change(("CREATE TABLE half (a)", "THIS IS NOT SQL"))
    monkeypatch.setattr(_schema, "CHANGES", (*_schema.CHANGES, broken))
    monkeypatch.setattr(_schema, "VERSION", _schema.VERSION + 1)

    with pytest.raises(UnusableDatabase, match="syntax error"):
        await opened(tmp_path / "x.db")

    db = sqlite3.connect(tmp_path / "x.db")
    assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)
    db.close()


async def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path):
    store = await opened(tmp_path / "x.db")
    first = _received_events.read_several(_json.write(EVENTS).encode(), "p")
    await store.add(first)

    with pytest.raises(sqlite3.IntegrityError):
        await store.add([*_received_events.read_several(_json.write([turn("new")]).encode(), "p"), first[0]])

    assert len(await records(store, "events")) == len(EVENTS)
    assert (await records(store, "conversations"))[0]["turns"] == 1
    store.close()


async def test_readers_cannot_write(tmp_path: Path):
    store = await opened(tmp_path / "x.db")

    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await store.read(lambda db: db.execute("DELETE FROM events"))
    store.close()


async def test_many_writers_at_once_lose_nothing(tmp_path: Path):
    store = await opened(tmp_path / "x.db")

    await asyncio.gather(
        *(
            store.add(_received_events.read_several(_json.write([turn(str(n))]).encode(), "p"), f"k{n % 40}")
            for n in range(80)
        )
    )

    assert len(await records(store, "events")) == 40
    assert (await records(store, "conversations"))[0]["turns"] == 40
    store.close()


async def test_keys_of_deliveries_are_forgotten_after_a_day(tmp_path: Path):
    store = await opened(tmp_path / "x.db")
    await store.add(_received_events.read_several(_json.write([turn()]).encode(), "p"), "old")
    await store.write(lambda db: db.execute("UPDATE deliveries SET received_us = ?", (parse_timestamp(at(0)).us,)))

    await store.add(_received_events.read_several(_json.write([turn()]).encode(), "p"), "new")

    keys = await store.read(lambda db: [row["key"] for row in db.execute("SELECT key FROM deliveries")])
    assert keys == ["new"]
    store.close()


@pytest.mark.parametrize(
    "wanted",
    [
        {"session_id": "s"},
        {"conversation_id": "c"},
        {"event": "Turn Failed"},
        {"user_id": "u"},
        {"timestamp": {"$gte": at(0)}},
        {"event_id": "e"},
    ],
    ids=str,
)
async def test_the_usual_questions_use_an_index(tmp_path: Path, wanted: dict[str, object]):
    store = await opened(tmp_path / "x.db")
    asked = Query(COLLECTIONS["events"]).filtered(wanted)
    query = f"EXPLAIN QUERY PLAN SELECT * FROM events WHERE {asked.where.sql} ORDER BY timestamp_us, seq"  # noqa: S608  # ours

    plan = await store.read(lambda db: [row["detail"] for row in db.execute(query, asked.where.params)])

    assert any("SEARCH events USING" in step for step in plan), plan
    store.close()
