"""An informer keeps its cache equal to the server, whatever happens to its connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dabbawala.api import core_v1
from dabbawala.api.kind import Kind
from dabbawala.api.kinds import KINDS
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.clock import SystemClock
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.status import BadRequest, Expired, ServiceUnavailable
from dabbawala.client.client import Client, ObjectList, WatchEvent
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.reconcile import informer as informers
from dabbawala.reconcile.cache import Change, revision_of
from dabbawala.reconcile.informer import Informer, Informers
from dabbawala.reconcile.own_writes import OwnWrites, Written
from tests.reconcile.conftest import until


def config_map(name: str, value: str = "1") -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}}


class Line:
    """The server behind a line that can be cut, and that counts what was asked."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.calls: list[str] = []
        self.fail_next: list[Exception] = []
        self.cut = asyncio.Event()
        self.streams = True
        self.hold = asyncio.Event()
        self.hold.set()

    async def list(self, kind: Kind, namespace: str | None = None) -> ObjectList:
        self.calls.append("list")
        if self.fail_next:
            raise self.fail_next.pop(0)
        return await self.client.list(kind, namespace)

    async def watch(self, kind: Kind, namespace: str | None = None, **options: Any) -> AsyncIterator[WatchEvent]:
        self.calls.append("stream" if options.get("send_initial_events") else "watch")
        await self.hold.wait()
        if options.get("send_initial_events") and not self.streams:
            raise BadRequest("sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled")
        if self.fail_next:
            raise self.fail_next.pop(0)
        events = self.client.watch(kind, namespace, **options)
        while True:
            following = asyncio.ensure_future(anext(events))
            cutting = asyncio.ensure_future(self.cut.wait())
            try:
                await asyncio.wait((following, cutting), return_when=asyncio.FIRST_COMPLETED)
            finally:
                cutting.cancel()
            if self.cut.is_set():
                following.cancel()
                self.cut.clear()
                raise ServiceUnavailable("the line was cut")
            yield await following


class Heard:
    def __init__(self) -> None:
        self.changes: list[tuple[str, str]] = []

    def changed(self, kind: Kind, change: Change) -> None:
        what = "new" if change.old is None else "gone" if change.new is None else "changed"
        self.changes.append((what, meta.name(change.object)))

    def progressed(self, kind: Kind) -> None:
        return None


@pytest.fixture
def line(client: Client) -> Line:
    return Line(client)


@pytest.fixture
async def informer(line: Line) -> AsyncIterator[Informer]:
    made = Informer(line, core_v1.CONFIG_MAP, SystemClock(), namespace="default")
    task = asyncio.ensure_future(made.run())
    yield made
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def value(informer: Informer, name: str) -> str | None:
    found = informer.cache.get(ObjectKey("default", name))
    return found["data"]["value"] if found is not None else None


async def test_it_lists_and_then_follows_what_happens(client: Client, informer: Informer, line: Line) -> None:
    await client.create(core_v1.CONFIG_MAP, config_map("old"), "default")
    await informer.filled()
    heard = Heard()
    informer.listen(heard)
    await client.create(core_v1.CONFIG_MAP, config_map("a"), "default")
    await client.patch(core_v1.CONFIG_MAP, "a", "default", {"data": {"value": "2"}})
    await client.delete(core_v1.CONFIG_MAP, "old", "default")
    await until("all changes arrive", lambda: len(heard.changes) >= 4)
    assert heard.changes == [("new", "old"), ("new", "a"), ("changed", "a"), ("gone", "old")]
    assert line.calls == ["stream"]
    assert "managedFields" not in informer.cache.list()[0]["metadata"]


async def test_it_falls_back_to_list_and_watch_where_streams_are_refused(
    client: Client, informer: Informer, line: Line
) -> None:
    await informer.filled()
    line.streams = False
    informer.relist()
    await client.create(core_v1.CONFIG_MAP, config_map("a"), "default")
    await until("the second list", lambda: informer.lists.held == 2)
    await client.patch(core_v1.CONFIG_MAP, "a", "default", {"data": {"value": "2"}})
    await until("the change arrives", lambda: value(informer, "a") == "2")
    assert line.calls == ["stream", "stream", "list", "watch"]


async def test_a_cut_line_is_resumed_where_it_broke(client: Client, informer: Informer, line: Line) -> None:
    await informer.filled()
    line.cut.set()
    await client.create(core_v1.CONFIG_MAP, config_map("meanwhile"), "default")
    await until("what happened meanwhile arrives", lambda: value(informer, "meanwhile") == "1")
    assert line.calls == ["stream", "watch"], "nothing is listed anew"


async def test_a_forgotten_revision_means_a_new_list(client: Client, informer: Informer, line: Line) -> None:
    await informer.filled()
    line.fail_next.append(Expired("too old resource version: 1 (5)"))
    line.cut.set()
    await client.create(core_v1.CONFIG_MAP, config_map("a"), "default")
    await until("the object arrives", lambda: value(informer, "a") == "1")
    assert line.calls == ["stream", "watch", "stream"]
    assert informer.lists.held == 2


async def test_a_server_that_is_away_is_asked_again(client: Client, informer: Informer, line: Line) -> None:
    line.fail_next.extend([ServiceUnavailable("connection refused")] * 2)
    await client.create(core_v1.CONFIG_MAP, config_map("a"), "default")
    await informer.filled()
    assert value(informer, "a") == "1"


async def test_it_lists_anew_on_demand(client: Client, informer: Informer) -> None:
    await informer.filled()
    informer.relist()
    await until("the second list", lambda: informer.lists.held == 2)
    await client.create(core_v1.CONFIG_MAP, config_map("a"), "default")
    await until("events go on", lambda: value(informer, "a") == "1")


async def test_the_revision_waits_for_the_end_of_a_list_that_is_taken_in_with_pauses(
    client: Client, informer: Informer, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    await informer.filled()
    monkeypatch.setattr(informers, "PAUSE_EVERY", 1)
    seen: list[tuple[int, int, int]] = []
    line.fail_next.append(Expired("too old resource version: 1 (5)"))
    before = informer.cache.revision

    class Watcher(Heard):
        def changed(self, kind: Kind, change: Change) -> None:
            asyncio.get_running_loop().call_soon(
                lambda: seen.append((len(informer.cache), informer.cache.revision, informer.lists.held))
            )

    informer.listen(Watcher())
    line.hold.clear()
    line.cut.set()
    for name in "abc":
        await client.create(core_v1.CONFIG_MAP, config_map(name), "default")
    line.hold.set()
    await until("the whole list", lambda: informer.lists.held == 2)
    assert seen[:2] == [(1, before, 1), (2, before, 1)], "in the pauses not all is there, and nothing says so"
    assert informer.cache.revision >= before + 3


async def test_a_server_that_was_restored_from_a_backup_is_believed(line: Line, informer: Informer) -> None:
    old = line.client
    for name in "abc":
        await old.create(core_v1.CONFIG_MAP, config_map(name), "default")
    await until("all of them", lambda: len(informer.cache) == 3)
    was = informer.cache.revision
    async with APIServer.in_memory(KINDS) as restored:
        line.client = restored.client()
        await line.client.create(core_v1.CONFIG_MAP, config_map("a", "of the backup"), "default")
        line.cut.set()
        await until("what the backup has", lambda: [meta.name(obj) for obj in informer.cache.list()] == ["a"])
        assert value(informer, "a") == "of the backup"
        assert informer.cache.revision < was
        await line.client.create(core_v1.CONFIG_MAP, config_map("new"), "default")
        await until("events go on", lambda: value(informer, "new") == "1")


async def test_writes_that_a_restored_server_has_lost_are_waited_for_no_longer(line: Line) -> None:
    shared = Informers(line, SystemClock())
    informer = shared.watch(core_v1.CONFIG_MAP)
    own, key = OwnWrites(shared), ObjectKey("default", "web")
    shared.start()
    await shared.filled()
    try:
        for name in "abcd":
            made = await line.client.create(core_v1.CONFIG_MAP, config_map(name), "default")
        await until("all of them", lambda: len(informer.cache) == 4)
        lost = Written(core_v1.CONFIG_MAP, meta.key(made), revision_of(made) + 5, meta.uid(made))
        own.wrote(key, lost)
        assert own.park(key)
        async with APIServer.in_memory(KINDS) as restored:
            line.client = restored.client()
            line.cut.set()
            await until("the second list", lambda: informer.lists.held > 1)
            assert own.release(core_v1.CONFIG_MAP) == [key]
            assert not own.park(key)
            made = await line.client.create(core_v1.CONFIG_MAP, config_map("e"), "default")
            own.wrote(key, Written(core_v1.CONFIG_MAP, meta.key(made), revision_of(made) + 1, meta.uid(made)))
            await until("the event", lambda: len(informer.cache) == 1)
            assert own.park(key), "what was written after the list is waited for as ever"
            assert own.release(core_v1.CONFIG_MAP) == []
    finally:
        await shared.stop()
