"""Many simulated nodes in one agent, against the real API server in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from dabbawala.api import coordination_v1, core_v1
from dabbawala.api.kinds import KINDS
from dabbawala.apimachinery.clock import SystemClock
from dabbawala.client.client import Client
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.kubelet.node import Machine
from dabbawala.cluster.kubelet.simulated_kubelet import SimulatedKubelet, simulated_nodes
from dabbawala.reconcile.informer import Informer
from tests.cluster.kubelet.node_world import is_ready
from tests.cluster.kubelet.pods import container


class Fleet:
    def __init__(self, client: Client, informer: Informer) -> None:
        self.client = client
        self.informer = informer

    async def create(self, name: str, node: str, **spec: object) -> None:
        body = {"metadata": {"name": name}, "spec": {"nodeName": node, "containers": [container()], **spec}}
        await self.client.create(core_v1.POD, body, "default")

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.01)

    def ready(self) -> int:
        return sum(is_ready(pod) for pod in self.informer.cache.list())


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    clock = SystemClock()
    async with APIServer.in_memory(KINDS) as server:
        client = Client(server.transport())
        informer = Informer(client, core_v1.POD, clock)
        machine = Machine(cpu_milli=4000, memory_bytes=2**33, pods=60)
        kubelet = SimulatedKubelet(client, informer, simulated_nodes(5, machine=machine), clock)
        tasks = [asyncio.create_task(informer.run()), asyncio.create_task(kubelet.run())]
        try:
            await informer.filled()
            yield Fleet(client, informer)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_pods_of_many_nodes_become_ready_and_go_again(fleet: Fleet) -> None:
    await asyncio.gather(*(fleet.create(f"p{number}", f"sim-{number % 5 + 1}") for number in range(250)))
    await fleet.until(lambda: fleet.ready() == 250)
    addresses = {pod["status"]["podIP"] for pod in fleet.informer.cache.list()}
    assert len(addresses) == 250
    await asyncio.gather(*(fleet.client.delete(core_v1.POD, f"p{number}", "default") for number in range(250)))
    await fleet.until(lambda: len(fleet.informer.cache) == 0)
    await asyncio.gather(*(fleet.create(f"q{number}", "sim-1") for number in range(60)))
    await fleet.until(lambda: fleet.ready() == 60)


async def test_a_node_that_is_full_refuses_with_the_resource(fleet: Fleet) -> None:
    asks = {"resources": {"requests": {"cpu": "3"}}}
    await fleet.create("fits", "sim-1", containers=[container(**asks)])
    await fleet.until(lambda: fleet.ready() == 1)
    await fleet.create("not", "sim-1", containers=[container(**asks)])

    def refused() -> bool:
        return any(pod["status"].get("reason") == "OutOfcpu" for pod in fleet.informer.cache.list())

    await fleet.until(refused)


async def test_nodes_are_ready_and_keep_a_lease(fleet: Fleet) -> None:
    async with asyncio.timeout(10):
        while len((await fleet.client.list(coordination_v1.LEASE, "kube-node-lease")).items) < 5:
            await asyncio.sleep(0.01)
    nodes = (await fleet.client.list(core_v1.NODE)).items
    assert {node["status"]["conditions"][-1]["type"] for node in nodes} == {"Ready"}
    assert {node["metadata"]["labels"]["topology.kubernetes.io/zone"] for node in nodes} == {"a", "b", "c"}


async def test_pods_of_other_nodes_are_left_alone(fleet: Fleet) -> None:
    await fleet.create("elsewhere", "node-9")
    await fleet.create("here", "sim-2")
    await fleet.until(lambda: fleet.ready() == 1)
    pod = await fleet.client.get(core_v1.POD, "elsewhere", "default")
    assert "startTime" not in pod["status"]
