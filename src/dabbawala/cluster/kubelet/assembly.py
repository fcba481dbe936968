"""All the parts of one node agent, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import ObjectKey
from dabbawala.client.client import Client
from dabbawala.cluster.kubelet import node as nodes
from dabbawala.cluster.kubelet.addresses import AddressPool
from dabbawala.cluster.kubelet.agent import REFRESH_SECONDS, Agent
from dabbawala.cluster.kubelet.node import Machine, NodeIdentity
from dabbawala.cluster.kubelet.node_parts import Images, NodeParts
from dabbawala.cluster.kubelet.plan import Settings
from dabbawala.cluster.kubelet.pod_files import PodFiles
from dabbawala.cluster.kubelet.pod_status import NodeFacts
from dabbawala.cluster.kubelet.restarts import BackOff
from dabbawala.cluster.kubelet.runtimes.process import ProcessRuntime
from dabbawala.cluster.kubelet.server import KubeletServer
from dabbawala.cluster.kubelet.sources import SourceReader
from dabbawala.cluster.kubelet.tokens import Tokens
from dabbawala.cluster.kubelet.volumes.pod_volumes import PodVolumes
from dabbawala.cluster.sandbox.client import HolderClient
from dabbawala.reconcile.queue import WorkQueue
from dabbawala.reconcile.recorder import EventRecorder


@dataclass(frozen=True, slots=True)
class NodePlan:
    """Which node to be. Its `address` is 10.42.k.1; its pods get the rest of 10.42.k.0/24."""

    name: str
    address: str
    run_dir: Path
    data_dir: Path
    zone: str = ""
    region: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    machine: Machine | None = None
    back_off: BackOff = field(default_factory=BackOff)
    refresh_seconds: float = REFRESH_SECONDS

    @property
    def cidr(self) -> str:
        return f"{self.address.rpartition('.')[0]}.0/24"

    @property
    def socket(self) -> Path:
        return self.run_dir / "nodes" / self.name / "kubelet.sock"

    @property
    def files(self) -> Path:
        return self.data_dir / "nodes" / self.name


@dataclass(frozen=True, slots=True)
class Tools:
    """What an agent works with: the API, the sandbox, the image store, the time."""

    client: Client
    holder: HolderClient
    images: Images
    clock: Clock


class NodeAgent:
    """The agent of one node with its server and its events. `run` works until cancelled."""

    def __init__(self, plan: NodePlan, client: Client, holder: HolderClient, images: Images, clock: Clock) -> None:
        plan.files.mkdir(parents=True, exist_ok=True)
        queue: WorkQueue[ObjectKey] = WorkQueue(clock)
        self._recorder = EventRecorder(client, clock, component="kubelet", instance=plan.name)
        parts = _parts(plan, Tools(client, holder, images, clock), self._recorder, queue)
        self.agent = Agent(parts, queue, refresh_seconds=plan.refresh_seconds)
        self.server = KubeletServer(self.agent, plan.socket)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._recorder.run(), name="events")
            tasks.create_task(self.server.run(), name="kubelet server")
            tasks.create_task(self.agent.run(), name="agent")


def identity(plan: NodePlan) -> NodeIdentity:
    return NodeIdentity(
        name=plan.name, address=plan.address, machine=plan.machine or nodes.this_machine(), zone=plan.zone,
        region=plan.region, pod_cidr=plan.cidr, socket=str(plan.socket), labels=plan.labels,
    )  # fmt: skip


def _parts(plan: NodePlan, tools: Tools, recorder: EventRecorder, queue: WorkQueue[ObjectKey]) -> NodeParts:
    client, clock = tools.client, tools.clock
    local = plan.data_dir / "volumes"
    files = PodFiles(plan.files, protected=(plan.data_dir, plan.run_dir), local_volumes=local)
    sources = SourceReader(client, clock)
    tokens = Tokens(client, clock)
    return NodeParts(
        client=client, runtime=ProcessRuntime(tools.holder, plan.name), images=tools.images, files=files,
        volumes=PodVolumes(client, files, sources, tokens), sources=sources, addresses=AddressPool(plan.cidr),
        clock=clock, identity=identity(plan),
        settings=Settings(NodeFacts(plan.name, plan.address), plan.back_off),
        record=recorder.record, wake=queue.add,
    )  # fmt: skip
