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
from dabbawala.cluster.dataplane import changes, dns_table, edge, plan, views, xds
from dabbawala.cluster.dataplane.acceptance import Verdict
from dabbawala.cluster.dataplane.keeper import Spawner
from dabbawala.cluster.dataplane.plan import Observed
from dabbawala.cluster.dataplane.process import EDGE, Plane, edge_launch, node_launch
from dabbawala.cluster.dataplane.translate import Fixtures, translate
from dabbawala.cluster.dataplane.views import Node, World
from dabbawala.reconcile.apply import Executor, LostAnswer
from dabbawala.reconcile.cache import Caches, Change
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
        self._retries = 0
        self._table = b""
        for kind in KINDS:
            informers.watch(kind, self)

    def changed(self, kind: Kind, change: Change) -> None:
        if changes.matters(kind, change):
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
        world = read_world(self._informers)
        nodes = views.nodes(self._informers.list(core_v1.NODE), lambda name: str(self._settings.node_folder(name)))
        await self._forget_nodes({node.name for node in nodes})
        self._write_table(world)
        wanted = [(self._plane(node), translate(world, node, self._settings.fixtures)) for node in nodes]
        edge_config = edge.translate(world, nodes, str(self._settings.run / EDGE), self._settings.edge_address)
        verdicts = await asyncio.gather(
            *(plane.deliver(config) for plane, config in wanted),
            self._edge.deliver(edge_config),
        )
        counted = [verdict for (plane, _), verdict in zip(wanted, verdicts[:-1], strict=True) if plane.counts]
        await self._report(Observed(world, counted, verdicts[-1].listeners, self._settings.edge_address))
        self._plan_next_look(verdicts)

    def _plane(self, node: Node) -> Plane:
        if node.name not in self._planes:
            folder = self._settings.node_folder(node.name)
            launch = node_launch(node.name, folder, self._settings.logs)
            self._planes[node.name] = Plane(launch, folder, self._spawner, self._clock, self.look)
        return self._planes[node.name]

    async def _forget_nodes(self, wanted: set[str]) -> None:
        for name in self._planes.keys() - wanted:
            await self._planes.pop(name).end()

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


def read_world(caches: Caches) -> World:
    """Everything that translation depends on, from caches."""

    def pod_labels(key: ObjectKey) -> Mapping[str, str]:
        pod = caches.get(core_v1.POD, key)
        return meta.labels(pod) if pod else {}

    slices = caches.list(discovery_v1.ENDPOINT_SLICE)
    return World(
        services=views.services(caches.list(core_v1.SERVICE), slices, pod_labels),
        virtual_services=views.by_age(caches.list(istio_networking_v1.VIRTUAL_SERVICE)),
        destination_rules=views.by_age(caches.list(istio_networking_v1.DESTINATION_RULE)),
    )
