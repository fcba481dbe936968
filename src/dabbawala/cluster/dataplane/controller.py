"""The data plane: one controller for all nodes, and what keeps their Envoys up.

It acts on the whole state whenever something that matters has changed: translate, write what differs to every node at
once, read back, say in the objects' status what came of it. What a node has not taken over in time is looked at again,
soon and then more slowly. Nothing is written before every cache is full, so a restart never takes a route away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import orjson

from dabbawala.api import core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import ObjectKey
from dabbawala.apimachinery.status import StatusError
from dabbawala.cluster.dataplane import dns_table, plan, views, xds
from dabbawala.cluster.dataplane.acceptance import Verdict
from dabbawala.cluster.dataplane.fleet import Fleet
from dabbawala.cluster.dataplane.fleet import Settings as Settings
from dabbawala.cluster.dataplane.keeper import Spawner
from dabbawala.cluster.dataplane.plan import Observed
from dabbawala.cluster.dataplane.sight import KINDS, Sight
from dabbawala.cluster.dataplane.worlds import World
from dabbawala.reconcile.apply import Executor, LostAnswer
from dabbawala.reconcile.cache import Change
from dabbawala.reconcile.informer import Informers
from dabbawala.reconcile.plan import Action, Plan, Record

log = logging.getLogger("dabbawala.dataplane")

GATHER_SECONDS = 0.001
"""How long to wait for the other changes of a burst after the first."""

LOOK_AGAIN_SECONDS = (0.02, 0.03, 0.05, 0.1, 0.1, 0.2, 0.5, 2.0)
"""Pauses before an Envoy that is late, down, or could not bind a port is looked at again; the last one repeats."""

WRITES_AT_ONCE = 32
"""Status writes under way at the same time."""


class DataPlane:
    """`run` works until cancelled. The Envoys stay when it ends: they belong to the spawner."""

    def __init__(
        self, informers: Informers, executor: Executor, spawner: Spawner, clock: Clock, settings: Settings
    ) -> None:
        self.trouble = ""
        self._informers = informers
        self._executor = executor
        self._clock = clock
        self._settings = settings
        self._sight = Sight(informers)
        self._fleet = Fleet(spawner, clock, settings, self.look)
        self._dirty = asyncio.Event()
        self._open: Sequence[Verdict] = ()
        self._retries = 0
        self._table = b""
        for kind in KINDS:
            informers.watch(kind, self)

    def changed(self, kind: Kind, change: Change) -> None:
        if self._sight.matters(kind, change):
            self.look()

    def progressed(self, kind: Kind) -> None:
        return None

    def look(self) -> None:
        """Have the state looked at again."""
        self._dirty.set()

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """What each node's Envoy, and the edge's, last made of its configuration."""
        return {name: plane.delivery.verdict for name, plane in self._fleet.planes()}

    @property
    def troubles(self) -> dict[str, str]:
        """What is wrong with the Envoys, by node."""
        return {name: plane.keeper.trouble for name, plane in self._fleet.planes() if plane.keeper.trouble}

    async def run(self) -> None:
        self._informers.start()
        await self._informers.filled()
        self.look()
        try:
            while True:
                await self._dirty.wait()
                await self._clock.sleep(GATHER_SECONDS)
                self._dirty.clear()
                await self._guarded_round()
        finally:
            self._fleet.release()

    async def _guarded_round(self) -> None:
        """A full disk, or a defect, must not end the data plane: what runs goes on, and it is tried again."""
        try:
            await self._round()
            self.trouble = ""
        except Exception as error:
            self.trouble = f"the data plane could not be brought up to date: {type(error).__name__}: {error}"
            log.exception("%s; it will be tried again", self.trouble)
            self._later(LOOK_AGAIN_SECONDS[-1])

    async def _round(self) -> None:
        world = self._sight.world()
        nodes = views.nodes(self._informers.list(core_v1.NODE), lambda name: str(self._settings.node_folder(name)))
        self._write_table(world)
        delivered = await self._fleet.deliver(world, nodes)
        address, trouble = self._settings.edge_address, self._fleet.edge_trouble
        await self._report(Observed(world, delivered.nodes, delivered.edge.listeners, address, trouble))
        self._plan_next_look(delivered.open)

    def _write_table(self, world: World) -> None:
        table = orjson.dumps({**dns_table.table(world), "egress": dict(self._settings.egress)})
        if table != self._table:
            self._settings.run.mkdir(parents=True, exist_ok=True)
            xds.replace_file(self._settings.dns_table, table)
            self._table = table

    async def _report(self, observed: Observed) -> None:
        services = self._informers.list(core_v1.SERVICE)
        actions = plan.plan(observed, services, self._clock.now()).actions
        for start in range(0, len(actions), WRITES_AT_ONCE):
            await asyncio.gather(*map(self._say, actions[start : start + WRITES_AT_ONCE]))
        for name, plane in self._fleet.planes():
            node = self._informers.get(core_v1.NODE, ObjectKey("", name))
            if node is None:  # the edge, which is told about to the Services that need it
                continue
            for action in plan.node_actions(node, plane.keeper.crash_loop, self._clock.now()):
                await self._say(action)
            if trouble := plane.take_crash_report():
                await self._say(Record(node, plan.ENVOY_CRASHING, trouble, "Warning"))

    async def _say(self, action: Action) -> None:
        try:
            await self._executor.apply(Plan((action,)), lambda written: None)
        except (StatusError, LostAnswer) as refused:
            log.info("a status could not be written and will be tried again: %s", refused)
            self._later(LOOK_AGAIN_SECONDS[0])

    def _plan_next_look(self, still_open: Sequence[Verdict]) -> None:
        if still_open != self._open:
            self._open, self._retries = still_open, 0
        if not still_open:
            return
        if self._retries >= len(LOOK_AGAIN_SECONDS) - 1:
            self._fleet.retry_listeners()
        self._later(LOOK_AGAIN_SECONDS[min(self._retries, len(LOOK_AGAIN_SECONDS) - 1)])
        self._retries += 1

    def _later(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self.look)
