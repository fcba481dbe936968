"""Laws of snapshots and watches, on random histories: a snapshot is what replaying the history up to it gives."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from dabbawala.cluster.store.entry import EventType, Key
from dabbawala.cluster.store.store import Store

_NAMES = st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["x", "y", "z"]))
_STEPS = st.lists(st.tuples(_NAMES, st.booleans()), max_size=40)


async def _run(steps: list[tuple[tuple[str, str], bool]]) -> tuple[Store, list[dict[tuple[str, str], int]]]:
    store = Store.in_memory()
    worlds: list[dict[tuple[str, str], int]] = [{}]
    for (namespace, name), delete in steps:
        key = Key("pods", namespace, name)
        world = dict(worlds[-1])
        if delete and store.get(key) is None:
            continue
        if delete:
            await store.delete(key, lambda revision: b"")
            del world[namespace, name]
        else:
            world[namespace, name] = (await store.put(key, lambda revision: b"")).revision
        worlds.append(world)
    return store, worlds


@given(_STEPS)
@settings(max_examples=150)
def test_every_snapshot_is_the_world_of_its_moment(steps: list[tuple[tuple[str, str], bool]]) -> None:
    store, worlds = asyncio.run(_run(steps))
    for revision, world in enumerate(worlds):
        entries = store.snapshot("pods", revision=revision).entries
        assert [entry.key[1:] for entry in entries] == sorted(world)
        assert {entry.key[1:]: entry.revision for entry in entries} == world
        only_a = store.snapshot("pods", "a", revision=revision).entries
        assert [entry.key[1:] for entry in only_a] == sorted(key for key in world if key[0] == "a")


@given(_STEPS, st.integers(0, 40))
@settings(max_examples=150)
def test_a_snapshot_and_the_events_after_it_give_the_present(
    steps: list[tuple[tuple[str, str], bool]], start: int
) -> None:
    store, worlds = asyncio.run(_run(steps))
    start = min(start, len(worlds) - 1)
    world = {entry.key[1:]: entry.revision for entry in store.snapshot("pods", revision=start).entries}
    watch = store.watch("pods", after=start)
    while events := watch.take():
        for event in events:
            known = event.entry.key[1:] in world
            assert known is (event.type is not EventType.ADDED)
            if event.type is EventType.DELETED:
                del world[event.entry.key[1:]]
            else:
                world[event.entry.key[1:]] = event.entry.revision
    assert world == worlds[-1]
