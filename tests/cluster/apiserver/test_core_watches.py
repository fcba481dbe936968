"""Watches: order, selectors, bookmarks, streaming lists, timeouts and the ways they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from dabbawala.api import core_v1
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.apimachinery.status import Expired
from dabbawala.client.client import Client, WatchEvent
from dabbawala.cluster.apiserver.app import APIServer
from tests.cluster.apiserver.core_calls import CONFIG_MAPS, call, config_map


class Watching:
    """A raw watch; `next` gives one event within a deadline."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._lines: list[bytes] = []

    async def next(self) -> tuple[str, Any]:
        while not self._lines:
            chunk = await asyncio.wait_for(anext(self._body), 5)
            self._lines = chunk.splitlines()
        event = orjson.loads(self._lines.pop(0))
        return event["type"], event["object"]

    async def take(self, count: int) -> list[tuple[str, str]]:
        found = [await self.next() for _ in range(count)]
        return [(kind, obj["metadata"].get("name", "")) for kind, obj in found]

    async def is_quiet(self) -> bool:
        try:
            await asyncio.wait_for(anext(self._body), 0.02)
        except TimeoutError:
            return True
        return False


@asynccontextmanager
async def watching(server: APIServer, **query: str) -> AsyncIterator[Watching]:
    pairs = [("watch", "true"), *((name.replace("_", ""), value) for name, value in query.items())]
    response = await server.transport().request("GET", CONFIG_MAPS, query=pairs)
    assert response.status == 200, await response.read()
    try:
        yield Watching(response.body)
    finally:
        await response.close()


async def _make(client: Client, name: str, **labels: str) -> Any:
    return await client.create(core_v1.CONFIG_MAP, {"metadata": {"name": name, "labels": labels}}, "default")


async def test_a_watch_from_a_version_tells_what_came_after_it(server: APIServer, client: Client) -> None:
    first = await _make(client, "a")
    await _make(client, "b")
    async with watching(server, resourceVersion=first["metadata"]["resourceVersion"]) as watch:
        assert await watch.take(1) == [("ADDED", "b")]
        await client.patch(core_v1.CONFIG_MAP, "a", "default", {"data": {"k": "v"}})
        await client.delete(core_v1.CONFIG_MAP, "b", "default")
        assert await watch.take(2) == [("MODIFIED", "a"), ("DELETED", "b")]


@pytest.mark.parametrize("version", ["", "0"])
async def test_a_watch_from_nowhere_begins_with_what_is_there(server: APIServer, client: Client, version: str) -> None:
    await _make(client, "a")
    async with watching(server, resourceVersion=version) as watch:
        assert await watch.take(1) == [("ADDED", "a")]
        await _make(client, "b")
        assert await watch.take(1) == [("ADDED", "b")]


async def test_a_deletion_carries_the_last_state_under_the_new_version(server: APIServer, client: Client) -> None:
    made = await client.create(core_v1.CONFIG_MAP, config_map("a", k="v"), "default")
    async with watching(server, resourceVersion=made["metadata"]["resourceVersion"]) as watch:
        await client.delete(core_v1.CONFIG_MAP, "a", "default")
        kind, obj = await watch.next()
    assert (kind, obj["data"]) == ("DELETED", {"k": "v"})
    assert obj["metadata"]["resourceVersion"] == str(server.core.store.revision)


async def test_entering_and_leaving_a_selection_are_additions_and_deletions(server: APIServer, client: Client) -> None:
    await _make(client, "a", app="x")
    await _make(client, "b", app="y")
    async with watching(server, labelSelector="app=x") as watch:
        assert await watch.take(1) == [("ADDED", "a")]
        await client.patch(core_v1.CONFIG_MAP, "b", "default", {"metadata": {"labels": {"app": "x"}}})
        await client.patch(core_v1.CONFIG_MAP, "b", "default", {"data": {"k": "1"}})
        await client.patch(core_v1.CONFIG_MAP, "a", "default", {"metadata": {"labels": {"app": "z"}}})
        await client.patch(core_v1.CONFIG_MAP, "a", "default", {"data": {"k": "1"}})
        await client.delete(core_v1.CONFIG_MAP, "a", "default")
        await client.delete(core_v1.CONFIG_MAP, "b", "default")
        events = [await watch.next() for _ in range(4)]
    assert [(kind, obj["metadata"]["name"]) for kind, obj in events] == [
        ("ADDED", "b"), ("MODIFIED", "b"), ("DELETED", "a"), ("DELETED", "b"),
    ]  # fmt: skip
    assert events[2][1]["metadata"]["labels"] == {"app": "x"}


async def test_a_streaming_list_ends_with_a_marked_bookmark(server: APIServer, client: Client) -> None:
    await _make(client, "a")
    await _make(client, "b")
    query = {
        "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true",
    }  # fmt: skip
    async with watching(server, **query) as watch:
        assert await watch.take(2) == [("ADDED", "a"), ("ADDED", "b")]
        kind, obj = await watch.next()
        assert kind == "BOOKMARK"
        assert obj["kind"] == "ConfigMap"
        assert obj["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert obj["metadata"]["resourceVersion"] == str(server.core.store.revision)
        await _make(client, "c")
        assert await watch.take(1) == [("ADDED", "c")]


async def test_send_initial_events_false_tells_only_the_news(server: APIServer, client: Client) -> None:
    await _make(client, "a")
    async with watching(server, sendInitialEvents="false", resourceVersionMatch="NotOlderThan") as watch:
        assert await watch.is_quiet()


@pytest.mark.parametrize(
    "query",
    [
        "sendInitialEvents=true",
        "sendInitialEvents=true&resourceVersionMatch=Exact&resourceVersion=1",
        "resourceVersionMatch=NotOlderThan&resourceVersion=1",
    ],
)
async def test_a_streaming_list_that_is_asked_for_wrongly_is_refused(server: APIServer, query: str) -> None:
    assert (await call(server, "GET", f"{CONFIG_MAPS}?watch=true&{query}")).status == 422


async def test_bookmarks_come_every_minute_and_at_the_end_to_those_who_ask(
    server: APIServer, clock: VirtualClock
) -> None:
    async with (
        watching(server, allowWatchBookmarks="true", timeoutSeconds="90") as asked,
        watching(server, timeoutSeconds="90") as silent,
    ):
        first = asyncio.create_task(asked.next())
        nothing = asyncio.create_task(silent.next())
        await _pass(clock, 61)
        kind, obj = await asyncio.wait_for(first, 5)
        assert (kind, obj["metadata"]["resourceVersion"]) == ("BOOKMARK", str(server.core.store.revision))
        last = asyncio.create_task(asked.next())
        await _pass(clock, 31)
        assert (await asyncio.wait_for(last, 5))[0] == "BOOKMARK"
        for ended in (asyncio.create_task(asked.next()), nothing):
            with pytest.raises(StopAsyncIteration):
                await asyncio.wait_for(ended, 5)


async def _pass(clock: VirtualClock, seconds: int) -> None:
    """Let that many seconds go by, one at a time, with everybody taking part."""
    for _ in range(seconds):
        for _ in range(4):
            await asyncio.sleep(0)
        clock.advance(1)
    for _ in range(4):
        await asyncio.sleep(0)


async def test_a_forgotten_version_is_expired_at_once(server: APIServer, client: Client) -> None:
    await _make(client, "a")
    server.core.store.compact(everything=True)
    with pytest.raises(Expired):
        async for _ in client.watch(core_v1.CONFIG_MAP, "default", resource_version="1"):
            pytest.fail("nothing can be told from a forgotten version")


async def test_a_watcher_that_falls_behind_the_history_gets_an_error_event(server: APIServer, client: Client) -> None:
    made = await _make(client, "a")
    events = client.watch(core_v1.CONFIG_MAP, "default", resource_version=made["metadata"]["resourceVersion"])
    await _make(client, "b")
    assert (await anext(events)).type == "ADDED"
    await _make(client, "c")
    server.core.store.compact(everything=True)
    with pytest.raises(Expired):
        await anext(events)


async def test_a_version_of_the_future_asks_to_come_back(server: APIServer) -> None:
    answer = await call(server, "GET", CONFIG_MAPS + "?watch=true&resourceVersion=9999")
    assert answer.status == 504
    assert answer.headers["retry-after"] == "1"
    assert answer.json["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


async def test_all_watchers_see_the_same_order(server: APIServer, client: Client) -> None:
    async def first(count: int) -> list[WatchEvent]:
        found = []
        async for event in client.watch(core_v1.CONFIG_MAP, resource_version="1"):
            found.append(event)
            if len(found) == count:
                break
        return found

    watchers = [asyncio.create_task(first(60)) for _ in range(5)]
    await asyncio.sleep(0)
    await asyncio.gather(*(_make(client, f"n{index}") for index in range(60)))
    seen = await asyncio.wait_for(asyncio.gather(*watchers), 10)
    assert all(events == seen[0] for events in seen)
    versions = [int(event.object["metadata"]["resourceVersion"]) for event in seen[0]]
    assert versions == sorted(versions)


async def test_a_watch_that_ends_leaves_nothing_behind(server: APIServer, client: Client) -> None:
    async with watching(server):
        pass
    async with watching(server) as watch:
        await _make(client, "a")
        await watch.take(1)
    events = server.core.store._shelf("configmaps").events
    assert events.watchers == 0


async def test_closing_the_server_ends_its_watches(client: Client) -> None:
    async with APIServer.in_memory([core_v1.NAMESPACE, core_v1.CONFIG_MAP]) as server:
        response = await server.transport().request("GET", CONFIG_MAPS, query=[("watch", "true")])
        reading = asyncio.create_task(response.read())
        await asyncio.sleep(0)
    assert await asyncio.wait_for(reading, 5) == b""
