"""All Envoys of a cluster: one a node, and the edge's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dabbawala.apimachinery.clock import Clock
from dabbawala.cluster.dataplane import edge
from dabbawala.cluster.dataplane.acceptance import Verdict
from dabbawala.cluster.dataplane.keeper import Spawner
from dabbawala.cluster.dataplane.process import EDGE, Plane, edge_launch, node_launch
from dabbawala.cluster.dataplane.translate import Fixtures, Translator
from dabbawala.cluster.dataplane.views import Node
from dabbawala.cluster.dataplane.worlds import World


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


@dataclass(frozen=True, slots=True)
class Delivered:
    """What came of a delivery: a verdict of every node that counts, the edge's, and all that is still open."""

    nodes: Sequence[Verdict]
    edge: Verdict
    open: Sequence[Verdict]


class Fleet:
    """Envoys appear with their nodes and end with them; `look` is called when one starts or ends."""

    def __init__(self, spawner: Spawner, clock: Clock, settings: Settings, look: Callable[[], None]) -> None:
        self._spawner = spawner
        self._clock = clock
        self._settings = settings
        self._look = look
        self._nodes: dict[Node, Translator] = {}
        self._planes: dict[str, Plane] = {}
        at_edge = settings.run / EDGE
        self._edge = Plane(edge_launch(at_edge, settings.logs), at_edge, spawner, clock, look)

    def planes(self) -> Iterator[tuple[str, Plane]]:
        """Every Envoy, by node; the edge last."""
        yield from self._planes.items()
        yield EDGE, self._edge

    @property
    def edge_trouble(self) -> str:
        """Why the host reaches no node port: the edge ends again and again. Empty when it does not."""
        return self._edge.keeper.crash_loop

    async def deliver(self, world: World, nodes: Sequence[Node]) -> Delivered:
        """Bring the world to all nodes at once, and to the edge."""
        await self._follow(nodes)
        at_edge = edge.translate(world, nodes, str(self._settings.run / EDGE), self._settings.edge_address)
        planes = [self._planes[node.name] for node in nodes]
        configs = [self._nodes[node].translate(world) for node in nodes]
        deliveries = [plane.deliver(config) for plane, config in zip(planes, configs, strict=True)]
        verdicts = await asyncio.gather(*deliveries, self._edge.deliver(at_edge))
        counted = [verdict for plane, verdict in zip(planes, verdicts[:-1], strict=True) if plane.counts]
        still_open = [verdict for verdict in verdicts if not verdict.settled or verdict.listeners]
        return Delivered(counted, verdicts[-1], still_open)

    async def _follow(self, nodes: Sequence[Node]) -> None:
        """Have an Envoy for each of these nodes, and for no other."""
        self._nodes = {node: self._nodes.get(node) or Translator(node, self._settings.fixtures) for node in nodes}
        for name in self._planes.keys() - {node.name for node in nodes}:
            await self._planes.pop(name).end()
        for node in nodes:
            if node.name not in self._planes:
                folder = self._settings.node_folder(node.name)
                launch = node_launch(node.name, folder, self._settings.logs)
                self._planes[node.name] = Plane(launch, folder, self._spawner, self._clock, self._look)

    def retry_listeners(self) -> None:
        """Have Envoys try again to bind what was taken."""
        for _, plane in self.planes():
            if plane.delivery.verdict.listeners:
                plane.delivery.retry_listeners()

    def release(self) -> None:
        """Stop keeping the Envoys; they go on."""
        for _, plane in self.planes():
            plane.release()
