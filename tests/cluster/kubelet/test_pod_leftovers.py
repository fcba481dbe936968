"""What of a pod stays on its node: as much as somebody may still ask for, and nothing once it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from dabbawala.api import core_v1
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.kubelet import worker
from dabbawala.cluster.kubelet.agent import Agent
from dabbawala.cluster.kubelet.pod_files import PodFiles
from dabbawala.cluster.kubelet.tokens import _Token
from tests.cluster.kubelet.node_world import NodeWorld, main_status, world_on
from tests.cluster.kubelet.paper_holder import PaperHolder

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def holder() -> PaperHolder:
    return PaperHolder()


@pytest_asyncio.fixture
async def world(holder: PaperHolder, tmp_path: Path) -> AsyncIterator[NodeWorld]:
    async with world_on(holder, tmp_path) as made:
        made.begin()
        yield made


def agent_of(world: NodeWorld) -> Agent:
    assert world.node is not None
    return world.node.agent


def runs(pod: Object) -> int | None:
    """The number of the run that is running now."""
    status = main_status(pod)
    return int(status["restartCount"]) if "running" in status["state"] else None


async def eventually(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


async def test_of_a_container_that_ends_again_and_again_two_runs_are_kept(
    world: NodeWorld, holder: PaperHolder
) -> None:
    uid = (await world.run("crash"))["metadata"]["uid"]
    files = agent_of(world).parts.files
    for attempt in range(2):
        await world.until("crash", lambda pod, wanted=attempt: runs(pod) == wanted)
        files.log(uid, "main", attempt).write_text("")
        await holder.signal_container(uid, "main", 9)
    await world.until("crash", lambda pod: runs(pod) == 2)
    await eventually(lambda: [path.name for path in files.logs(uid, "main").iterdir()] == ["1.log"])
    await eventually(lambda: [path.name for path in files.state(uid).iterdir()] == ["main-1.json"])


async def test_runs_are_told_apart_from_those_of_a_container_whose_name_begins_alike(tmp_path: Path) -> None:
    files = PodFiles(tmp_path)
    files.state("uid").mkdir(parents=True)
    for name in ("web-8.json", "web-9.json", "web-10.json", "web-1-0.json"):
        (files.state("uid") / name).write_text("{}")
    for name in ("8.log", "8.log.1", "9.log", "9.log.1", "10.log"):
        files.logs("uid", "web").mkdir(parents=True, exist_ok=True)
        (files.logs("uid", "web") / name).write_text("")
    files.remove_runs("uid", "web", before=9)
    assert sorted(path.name for path in files.state("uid").iterdir()) == ["web-1-0.json", "web-10.json", "web-9.json"]
    assert sorted(path.name for path in files.logs("uid", "web").iterdir()) == ["10.log", "9.log", "9.log.1"]


async def test_tokens_are_forgotten_when_the_pod_has_ended(
    world: NodeWorld, holder: PaperHolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = agent_of(world).parts.volumes.tokens

    async def made(pod: object, request: object) -> _Token:
        return _Token(b"token", datetime.max.replace(tzinfo=UTC))

    monkeypatch.setattr(tokens, "_request", made)
    sources = [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}]
    volumes = [{"name": "token", "projected": {"sources": sources}}]
    uid = (await world.run("asks", volumes=volumes, restartPolicy="Never"))["metadata"]["uid"]
    await world.ready("asks")
    assert uid in tokens
    await holder.signal_container(uid, "main", 15)
    await world.ended("asks")
    await eventually(lambda: uid not in tokens)


async def test_volumes_that_cannot_be_brought_up_to_date_hold_up_nobody(
    world: NodeWorld, holder: PaperHolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.client.create(core_v1.CONFIG_MAP, {"metadata": {"name": "live"}, "data": {"a": "one"}}, "default")
    uid = (await world.run("web", volumes=[{"name": "live", "configMap": {"name": "live"}}]))["metadata"]["uid"]
    await world.ready("web")
    agent, begun = agent_of(world), asyncio.Event()
    read = agent.parts.sources.read

    async def never(namespace: str, references: Any, *, services: bool = False) -> Any:
        if services:
            return await read(namespace, references, services=True)
        begun.set()
        return await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(agent.parts.sources, "read", never)
    monkeypatch.setattr(worker, "REFRESH_SECONDS_MAX", 0.1)
    await begun.wait()
    await holder.signal_container(uid, "main", 9)
    await world.until("web", lambda pod: runs(pod) == 1)


async def test_nothing_is_written_back_after_a_pods_files_are_gone(
    world: NodeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.client.create(core_v1.CONFIG_MAP, {"metadata": {"name": "live"}, "data": {"a": "one"}}, "default")
    uid = (await world.run("first", volumes=[{"name": "live", "configMap": {"name": "live"}}]))["metadata"]["uid"]
    await world.ready("first")
    agent, begun, go_on, answered = agent_of(world), asyncio.Event(), asyncio.Event(), asyncio.Event()
    read = agent.parts.sources.read

    async def slowly(namespace: str, references: Any, *, services: bool = False) -> Any:
        if services:
            return await read(namespace, references, services=True)
        begun.set()
        await go_on.wait()
        found = await read(namespace, references)
        answered.set()
        return found

    monkeypatch.setattr(agent.parts.sources, "read", slowly)
    monkeypatch.setattr(worker, "REFRESH_SECONDS_MAX", 60.0)
    await begun.wait()
    await world.client.delete(core_v1.POD, "first", "default", grace_period_seconds=0)
    await world.run("second")
    await world.ready("second")
    await world.client.delete(core_v1.POD, "second", "default", grace_period_seconds=0)
    await eventually(lambda: agent.worker("default", "second") is None)
    go_on.set()
    await answered.wait()
    await eventually(lambda: agent.worker("default", "first") is None)
    await eventually(lambda: not agent.parts.files.pod(uid).exists())
