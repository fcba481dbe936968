"""The data plane: one controller for all nodes, and what keeps their Envoys up.

It acts on the whole state whenever something that matters has changed: translate, write what differs to every node at
once, read back, say in the objects' status what came of it. What a node has not taken over in time is looked at again,
soon and then more slowly. Nothing is written before every cache is full, so a restart never takes a route away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from dabbawala.api import core_v1, discovery_v1, istio_networking_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import ObjectKey
from dabbawala.apimachinery.status import StatusError
from dabbawala.cluster.dataplane import changes, dns_table, edge, plan, views, worlds, xds
from dabbawala.cluster.dataplane.acceptance import Verdict
from dabbawala.cluster.dataplane.keeper import Spawner
from dabbawala.cluster.dataplane.plan import Observed
from dabbawala.cluster.dataplane.process import EDGE, Plane, edge_launch, node_launch
from dabbawala.cluster.dataplane.translate import Fixtures, Translator
from dabbawala.cluster.dataplane.views import Node
from dabbawala.cluster.dataplane.worlds import World
from dabbawala.reconcile.apply import Executor, LostAnswer
from dabbawala.reconcile.cache import Change
from dabbawala.reconcile.informer import Informers
from dabbawala.reconcile.plan import Plan, Record

log = logging.getLogger("dabbawala.dataplane")

KINDS = (
    core_v1.SERVICE,
    discovery_v1.ENDPOINT_SLICE,
    istio_networking_v1.VIRTUAL_SERVICE,
    istio_networking_v1.DESTINATION_RULE,
    core_v1.NODE,
    core_v1.POD,
)
GATHER_SECONDS = 0.001
"""How long to wait for the other changes of a burst after the first."""

LOOK_AGAIN_SECONDS = (0.02, 0.03, 0.05, 0.1, 0.1, 0.2, 0.5, 2.0)
"""Pauses before an Envoy that is late, down, or could not bind a port is looked at again; the last one repeats."""

UNKNOWN_PODS_MAX = 10_000
"""Pods that slices name and nobody has seen; beyond it the list of them is made anew."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things are. `run` is the cluster's run directory, `logs` where Envoys write; `egress` goes into the nodes'
    DNS table as it is."""

    run: Path
    logs: Path
    fixtures: Fixtures = field(default_factory=Fixtures)
    edge_address: str = "127.0.0.1"
    egress: Mapping[str, Any] = field(default_factory=dict)

    def node_folder(self, name: str) -> Path:
        return self.run / "nodes" / name

    @property
    def dns_table(self) -> Path:
        return self.run / "dns.json"


class DataPlane:
    """`run` works until cancelled. The Envoys stay when it ends: they belong to the spawner."""

    def __init__(
        self, informers: Informers, executor: Executor, spawner: Spawner, clock: Clock, settings: Settings
    ) -> None:
        self._informers = informers
        self._executor = executor
        self._spawner = spawner
        self._clock = clock
        self._settings = settings
        self._dirty = asyncio.Event()
        self._planes: dict[str, Plane] = {}
        at_edge = settings.run / EDGE
        self._edge = Plane(edge_launch(at_edge, settings.logs), at_edge, spawner, clock, self.look)
        self._open: list[Verdict] = []
        self._viewer = views.Viewer()
        self._translators: dict[Node, Translator] = {}
        self._unknown_pods: set[ObjectKey] = set()
        self._retries = 0
        self._table = b""
        for kind in KINDS:
            informers.watch(kind, self)

    def changed(self, kind: Kind, change: Change) -> None:
        if kind is core_v1.POD:
            self._pod_changed(change)
        elif changes.matters(kind, change):
            self.look()

    def _pod_changed(self, change: Change) -> None:
        """Slices name pods whose labels decide on subsets; one may come before the pod that it names."""
        key = meta.key(change.object)
        if key in self._unknown_pods or changes.relabelled(change):
            self._unknown_pods.discard(key)
            self._viewer.forget()
            self.look()

    def progressed(self, kind: Kind) -> None:
        return None

    def look(self) -> None:
        """Have the state looked at again."""
        self._dirty.set()

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """What each node's Envoy, and the edge's, last made of its configuration."""
        return {name: plane.delivery.verdict for name, plane in [*self._planes.items(), (EDGE, self._edge)]}

    @property
    def troubles(self) -> dict[str, str]:
        """What is wrong with the Envoys, by node."""
        planes = [*self._planes.items(), (EDGE, self._edge)]
        return {name: plane.keeper.trouble for name, plane in planes if plane.keeper.trouble}

    async def run(self) -> None:
        self._informers.start()
        await self._informers.filled()
        self.look()
        try:
            while True:
                await self._dirty.wait()
                await self._clock.sleep(GATHER_SECONDS)
                self._dirty.clear()
                await self._round()
        finally:
            for plane in [*self._planes.values(), self._edge]:
                plane.release()

    async def _round(self) -> None:
        world = self._world()
        nodes = views.nodes(self._informers.list(core_v1.NODE), lambda name: str(self._settings.node_folder(name)))
        await self._forget_nodes({node.name for node in nodes})
        self._write_table(world)
        wanted = [(self._plane(node), self._translators[node].translate(world)) for node in nodes]
        edge_config = edge.translate(world, nodes, str(self._settings.run / EDGE), self._settings.edge_address)
        verdicts = await asyncio.gather(
            *(plane.deliver(config) for plane, config in wanted),
            self._edge.deliver(edge_config),
        )
        counted = [verdict for (plane, _), verdict in zip(wanted, verdicts[:-1], strict=True) if plane.counts]
        await self._report(Observed(world, counted, verdicts[-1].listeners, self._settings.edge_address))
        self._plan_next_look(verdicts)

    def _world(self) -> World:
        caches = self._informers
        if len(self._unknown_pods) > UNKNOWN_PODS_MAX:
            self._unknown_pods.clear()
            self._viewer.forget()
        services = self._viewer.services(
            caches.list(core_v1.SERVICE), caches.list(discovery_v1.ENDPOINT_SLICE), self._pod_labels
        )
        return worlds.assemble(
            services,
            caches.list(istio_networking_v1.VIRTUAL_SERVICE),
            caches.list(istio_networking_v1.DESTINATION_RULE),
        )

    def _pod_labels(self, key: ObjectKey) -> Mapping[str, str]:
        pod = self._informers.get(core_v1.POD, key)
        if pod is None:
            self._unknown_pods.add(key)
            return {}
        return meta.labels(pod)

    def _plane(self, node: Node) -> Plane:
        if node not in self._translators:
            self._translators[node] = Translator(node, self._settings.fixtures)
        if node.name not in self._planes:
            folder = self._settings.node_folder(node.name)
            launch = node_launch(node.name, folder, self._settings.logs)
            self._planes[node.name] = Plane(launch, folder, self._spawner, self._clock, self.look)
        return self._planes[node.name]

    async def _forget_nodes(self, wanted: set[str]) -> None:
        for name in self._planes.keys() - wanted:
            await self._planes.pop(name).end()
        for node in [node for node in self._translators if node.name not in wanted]:
            del self._translators[node]

    def _write_table(self, world: World) -> None:
        table = orjson.dumps({**dns_table.table(world), "egress": dict(self._settings.egress)})
        if table != self._table:
            self._settings.run.mkdir(parents=True, exist_ok=True)
            xds.replace_file(self._settings.dns_table, table)
            self._table = table

    async def _report(self, observed: Observed) -> None:
        services = self._informers.list(core_v1.SERVICE)
        for action in plan.plan(observed, services, self._clock.now()).actions:
            try:
                await self._executor.apply(Plan((action,)), lambda written: None)
            except (StatusError, LostAnswer) as refused:
                log.info("a status could not be written and will be tried again: %s", refused)
                self._later(LOOK_AGAIN_SECONDS[0])
        await self._report_crashes()

    async def _report_crashes(self) -> None:
        for name, plane in self._planes.items():
            trouble = plane.take_crash_report()
            node = self._informers.get(core_v1.NODE, ObjectKey("", name))
            if trouble and node is not None:
                event = Record(node, "EnvoyCrashing", trouble, "Warning")
                with suppress(StatusError, LostAnswer):
                    await self._executor.apply(Plan((event,)), lambda written: None)

    def _plan_next_look(self, verdicts: list[Verdict]) -> None:
        open_ = [verdict for verdict in verdicts if not verdict.settled or verdict.listeners]
        if open_ != self._open:
            self._open, self._retries = open_, 0
        if not open_:
            return
        for plane in [*self._planes.values(), self._edge]:
            if plane.delivery.verdict.listeners and self._retries >= len(LOOK_AGAIN_SECONDS) - 1:
                plane.delivery.retry_listeners()
        self._later(LOOK_AGAIN_SECONDS[min(self._retries, len(LOOK_AGAIN_SECONDS) - 1)])
        self._retries += 1

    def _later(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self.look)
