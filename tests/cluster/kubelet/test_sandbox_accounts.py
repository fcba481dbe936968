"""Whose sandbox is whose, and at which address: also after a lost answer and after the agent's end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from dabbawala.api import core_v1
from tests.cluster.kubelet.node_world import NodeWorld, main_status, world_on
from tests.cluster.kubelet.paper_holder import PaperHolder

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def holder() -> PaperHolder:
    return PaperHolder()


@pytest_asyncio.fixture
async def world(holder: PaperHolder, tmp_path: Path) -> AsyncIterator[NodeWorld]:
    async with world_on(holder, tmp_path) as made:
        yield made


async def eventually(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


async def test_a_new_agent_gives_no_address_away_that_is_in_use(world: NodeWorld, holder: PaperHolder) -> None:
    old = await world.run("old")
    holder.add(old["metadata"]["uid"], "10.42.1.4")
    holder.add("pod-of-nobody", "10.42.1.2")
    holder.stuck.add("pod-of-nobody")
    for name in ("new-1", "new-2"):
        await world.run(name)
    world.begin()
    shown = {name: (await world.ready(name))["status"]["podIP"] for name in ("old", "new-1", "new-2")}
    assert shown["old"] == "10.42.1.4"
    assert {shown["new-1"], shown["new-2"]} == {"10.42.1.3", "10.42.1.5"}
    events = await world.client.list(core_v1.EVENT, "default", field_selector="reason=FailedCreatePodSandBox")
    assert not events.items


async def test_a_pod_that_went_while_nobody_looked_leaves_nothing(world: NodeWorld, holder: PaperHolder) -> None:
    holder.add("pod-of-nobody", "10.42.1.2")
    holder.stuck.add("pod-of-nobody")
    world.begin()
    await world.ready((await world.run("other"))["metadata"]["name"])
    holder.stuck.clear()
    assert world.node is not None
    await world.node.agent.strays.remove()
    assert "pod-of-nobody" not in holder.pods


async def test_an_address_that_turns_out_to_be_in_use_is_set_aside(world: NodeWorld, holder: PaperHolder) -> None:
    world.begin()
    await world.ready((await world.run("first"))["metadata"]["name"])
    holder.add("unheard-of", "10.42.1.3")
    await world.run("second")
    assert (await world.ready("second"))["status"]["podIP"] == "10.42.1.4"


@pytest.mark.parametrize("lost", [["create"], ["status"], ["create", "status"]])
async def test_a_sandbox_whose_making_was_not_confirmed_is_taken_in(
    world: NodeWorld, holder: PaperHolder, lost: list[str]
) -> None:
    holder.lost = list(lost)
    world.begin()
    await world.run("web")
    await world.ready("web")
    assert len(holder.pods) == 1


async def test_a_sandbox_that_died_while_it_was_made_is_made_again(world: NodeWorld, holder: PaperHolder) -> None:
    holder.dying = 2
    world.begin()
    await world.run("web")
    assert main_status(await world.ready("web"))["restartCount"] == 0
    assert [pod.alive for pod in holder.pods.values()] == [True]


async def test_a_deleted_pod_takes_its_unconfirmed_sandbox_with_it(world: NodeWorld, holder: PaperHolder) -> None:
    world.begin()
    holder.lost = ["create"] + ["status"] * 1000
    await world.run("web")
    await eventually(lambda: holder.pods)
    await world.client.delete(core_v1.POD, "web", "default")
    await world.gone("web")
    assert not holder.pods
