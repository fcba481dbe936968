"""The store in memory and on disk: revisions, watches, snapshots, compaction."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.cluster.store.entry import EventType, Key
from dabbawala.cluster.store.errors import Closed, Compacted, Corrupt, Future, Locked, Mismatch, NoSpace
from dabbawala.cluster.store.log import Log, Row
from dabbawala.cluster.store.store import Settings, Store

A, B = Key("pods", "default", "a"), Key("pods", "default", "b")


def body(text: str) -> Callable[[int], bytes]:
    return lambda revision: f"{text}@{revision}".encode()


@pytest.fixture(params=["memory", "disk"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made = Store.in_memory() if request.param == "memory" else await Store.open(tmp_path / "state.db")
    yield made
    await made.close()


async def reopened(store: Store, path: Path) -> Store:
    await store.close()
    return await Store.open(path)


async def test_a_write_is_visible_when_it_returns(store: Store) -> None:
    entry = await store.put(A, body("one"))
    assert store.get(A) is entry
    assert (entry.revision, entry.body, store.revision) == (1, b"one@1", 1)


async def test_revisions_grow_across_resources(store: Store) -> None:
    first = await store.put(A, body("x"))
    second = await store.put(Key("nodes", "", "n"), body("x"))
    third = await store.put(A, body("y"))
    assert [first.revision, second.revision, third.revision] == [1, 2, 3]
    assert store.changed("nodes") == 2


async def test_a_write_that_expects_another_revision_is_refused(store: Store) -> None:
    entry = await store.put(A, body("x"), expect=0)
    with pytest.raises(Mismatch):
        await store.put(A, body("y"), expect=0)
    await store.put(A, body("y"), expect=entry.revision)
    with pytest.raises(Mismatch):
        await store.delete(A, body("z"), expect=entry.revision)
    with pytest.raises(Mismatch):
        await store.delete(B, body("z"))


async def test_of_many_creations_of_one_key_exactly_one_wins(store: Store) -> None:
    results = await asyncio.gather(
        *(store.put(A, body(str(index)), expect=0) for index in range(20)), return_exceptions=True
    )
    assert sum(not isinstance(result, BaseException) for result in results) == 1
    assert sum(isinstance(result, Mismatch) for result in results) == 19


async def test_lists_are_sorted_by_namespace_and_name(store: Store) -> None:
    for space, name in (("z", "a"), ("a", "b"), ("a", "a")):
        await store.put(Key("pods", space, name), body("x"))
    assert [entry.key[1:] for entry in store.list("pods")] == [("a", "a"), ("a", "b"), ("z", "a")]
    assert [entry.key.name for entry in store.list("pods", "a")] == ["a", "b"]
    assert store.count("pods") == 3


async def test_a_watch_tells_everything_after_its_revision_in_order(store: Store) -> None:
    first = await store.put(A, body("1"))
    watch = store.watch("pods", after=first.revision)
    await store.put(A, body("2"))
    await store.put(Key("nodes", "", "n"), body("x"))
    await store.put(B, body("3"))
    await store.delete(A, body("4"))
    events = watch.take()
    assert [(event.type, event.entry.revision) for event in events] == [
        (EventType.MODIFIED, 2), (EventType.ADDED, 4), (EventType.DELETED, 5),
    ]  # fmt: skip
    assert events[0].previous is not None
    assert events[0].previous.body == b"1@1"
    assert events[2].entry.body == b"4@5"
    assert watch.take() == []


async def test_a_watch_of_one_namespace_sees_no_other(store: Store) -> None:
    watch = store.watch("pods", "default")
    await store.put(Key("pods", "other", "x"), body("x"))
    await store.put(A, body("x"))
    assert [event.entry.key for event in watch.take()] == [A]


async def test_a_waiting_watch_wakes_for_an_event_and_for_the_end(store: Store) -> None:
    watch = store.watch("pods")
    waiting = asyncio.create_task(watch.wait())
    await asyncio.sleep(0)
    await store.put(A, body("x"))
    await asyncio.wait_for(waiting, 5)
    assert len(watch.take()) == 1
    await store.close()
    with pytest.raises(Closed):
        watch.take()


async def test_a_snapshot_shows_the_past(store: Store) -> None:
    await store.put(A, body("1"))
    await store.put(B, body("1"))
    await store.put(A, body("2"))
    await store.delete(B, body("2"))
    shown = {at: [entry.body for entry in store.snapshot("pods", revision=at).entries] for at in (1, 2, 3, 4)}
    assert shown == {1: [b"1@1"], 2: [b"1@1", b"1@2"], 3: [b"2@3", b"1@2"], 4: [b"2@3"]}


async def test_a_snapshot_stays_as_it_is_while_the_world_moves(store: Store) -> None:
    await store.put(A, body("1"))
    snapshot = store.snapshot("pods")
    await store.put(B, body("1"))
    assert [entry.key for entry in snapshot.entries] == [A]
    assert store.snapshot("pods", revision=1).entries is snapshot.entries


async def test_the_future_is_an_error(store: Store) -> None:
    with pytest.raises(Future):
        store.watch("pods", after=5)


async def test_history_older_than_the_window_is_compacted() -> None:
    clock = VirtualClock()
    store = Store.in_memory(clock=clock, settings=Settings(window_seconds=60))
    await store.put(A, body("1"))
    late = store.watch("pods", after=0)
    clock.advance(61)
    await store.put(A, body("2"))
    assert store.floor == 1
    for ask in (store.watch, store.snapshot):
        with pytest.raises(Compacted):
            ask("pods", "", 0)
    with pytest.raises(Compacted):
        late.take()
    assert [event.entry.body for event in store.watch("pods", after=1).take()] == [b"2@2"]


@pytest.mark.parametrize("settings", [Settings(max_events=10), Settings(max_history_bytes=60)])
async def test_history_is_bounded_by_count_and_by_bytes(settings: Settings) -> None:
    store = Store.in_memory(settings=settings)
    for index in range(50):
        await store.put(A, body(str(index)))
    assert store.floor >= 35
    assert store.revision == 50


async def test_revisions_of_the_past_are_found_by_age() -> None:
    clock = VirtualClock()
    store = Store.in_memory(clock=clock)
    for index in range(5):
        await store.put(A, body(str(index)))
        clock.advance(60)
    assert store.revision_before(150) == 3
    assert store.revision_before(3600) == 0


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await Store.open(path)
    await store.put(A, body("1"))
    await store.put(B, body("1"))
    await store.put(A, body("2"))
    await store.delete(B, body("2"))
    store = await reopened(store, path)
    assert [entry.body for entry in store.list("pods")] == [b"2@3"]
    assert store.revision == 4
    events = store.watch("pods", after=2).take()
    assert [(event.type, event.entry.revision) for event in events] == [
        (EventType.MODIFIED, 3), (EventType.DELETED, 4),
    ]  # fmt: skip
    assert (await store.put(B, body("3"), expect=0)).revision == 5
    await store.close()


async def test_the_file_keeps_the_current_objects_and_little_else(tmp_path: Path) -> None:
    clock = VirtualClock()
    path = tmp_path / "state.db"
    store = await Store.open(path, clock=clock, settings=Settings(window_seconds=1))
    for index in range(300):
        clock.advance(1)
        await store.put(Key("leases", "", f"n{index % 3}"), body("x" * 1000))
    await store.put(A, body("1"))
    await store.delete(A, body("1"))
    clock.advance(10)
    await store.put(B, body("1"))
    await store.put(B, body("2"))
    await store.close()
    rows = sqlite3.connect(path).execute("SELECT resource, count(*) FROM log GROUP BY resource").fetchall()
    assert dict(rows)["leases"] == 3
    assert dict(rows)["pods"] <= 3
    store = await Store.open(path)
    assert store.revision == 304
    with pytest.raises(Compacted):
        store.watch("leases", after=100)
    await store.close()


async def test_the_revision_never_goes_back_when_the_last_rows_are_compacted(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    clock = VirtualClock()
    store = await Store.open(path, clock=clock, settings=Settings(window_seconds=1))
    await store.put(A, body("1"))
    await store.delete(A, body("1"))
    await store.close()
    log = Log(path)
    log.append([], [1, 2], 2)
    log.close()
    store = await Store.open(path)
    assert store.revision == 2
    await store.close()


async def test_a_second_process_is_told_who_has_the_directory(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "state.db", cluster="dev")
    with pytest.raises(Locked, match=r'in use by cluster "dev" \(process \d+\).*dabba down'):
        await Store.open(tmp_path / "state.db", cluster="dev")
    await store.close()
    await (await Store.open(tmp_path / "state.db")).close()


async def test_a_file_that_is_no_database_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"not a database at all" * 500)
    with pytest.raises(Corrupt, match=r"state\.db is damaged.*dabba up --fresh"):
        await Store.open(path)
    assert path.read_bytes().startswith(b"not a database")


async def test_no_room_for_a_new_file_is_not_taken_for_damage(tmp_path: Path) -> None:
    with pytest.raises(NoSpace, match="free some space"):
        await Store.open(tmp_path / "state.db", settings=Settings(max_file_bytes=4096))


async def test_a_flipped_byte_in_a_body_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await Store.open(path)
    await store.put(A, lambda revision: b"needle in the haystack")
    await store.close()
    sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = path.read_bytes()
    assert data.count(b"needle") == 1
    path.write_bytes(data.replace(b"needle", b"noodle"))
    with pytest.raises(Corrupt, match="does not match its checksum"):
        await Store.open(path)


async def test_a_truncated_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await Store.open(path)
    for index in range(50):
        await store.put(Key("pods", "", str(index)), body("x" * 2000))
    await store.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    path.write_bytes(path.read_bytes()[:40_000])
    with pytest.raises(Corrupt):
        await Store.open(path)


async def test_a_full_disk_refuses_writes_loses_nothing_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await Store.open(path, settings=Settings(max_file_bytes=200_000))
    written = 0
    watch = store.watch("pods")
    with pytest.raises(NoSpace, match="nothing was written"):
        while written < 1000:
            await store.put(Key("pods", "", f"{written:04}"), body("x" * 4000))
            written += 1
    assert 10 < written < 100
    assert store.count("pods") == written == store.revision == len(watch.take())
    assert store.get(Key("pods", "", f"{written:04}")) is None
    await store.put(Key("pods", "", "small"), body("x"))
    store = await reopened(store, path)
    assert store.count("pods") == written + 1
    await store.put(Key("pods", "", "again"), body("x" * 4000))
    await store.close()


async def test_a_refused_transaction_fails_its_own_writes_only(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "state.db", settings=Settings(max_file_bytes=100_000))
    big = [store.put(Key("pods", "", f"big{index}"), body("x" * 300_000)) for index in range(3)]
    results = await asyncio.gather(*big, return_exceptions=True)
    assert all(isinstance(result, NoSpace) for result in results)
    await store.put(A, body("fits"))
    assert [entry.key for entry in store.list("pods")] == [A]
    await store.close()


async def test_a_cancelled_caller_does_not_undo_its_write(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "state.db")
    task = asyncio.create_task(store.put(A, body("x")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await store.put(A, body("y"))
    assert store.get(A) is not None
    assert [row.revision for row in _rows(tmp_path / "state.db")] == [1, 2]
    await store.close()


def _rows(path: Path) -> list[Row]:
    log = Log(path)
    try:
        return list(log.rows())
    finally:
        log.close()


async def test_closing_writes_what_is_queued_and_refuses_more(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "state.db")
    writes = [asyncio.create_task(store.put(Key("pods", "", str(index)), body("x"))) for index in range(100)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*writes)
    with pytest.raises(Closed):
        await store.put(A, body("x"))
    assert len(_rows(tmp_path / "state.db")) == 100
