"""The control plane: the API server, the controllers and the nodes, started in order and run until stopped.

Order: the API answers first; then, side by side, the controllers fill their caches and the nodes come up. Whoever
started it hears of each step. One part that fails for good ends the whole, loudly, rather than leave half a cluster.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from dabbawala.api import core_v1
from dabbawala.apimachinery.clock import Clock
from dabbawala.client.client import Client
from dabbawala.cluster.apiserver.request import User
from dabbawala.cluster.controllers.garbagecollector.controller import GarbageCollector
from dabbawala.cluster.kubelet import simulated_kubelet
from dabbawala.cluster.supervisor import daemon, options, server
from dabbawala.cluster.supervisor.paths import Paths
from dabbawala.reconcile.controller import Controller
from dabbawala.reconcile.runtime import Runtime

log = logging.getLogger("dabbawala.supervisor")

GC_THRESHOLDS = (50_000, 20, 100)
"""With the default ones, full collections stop the loop for seconds in a large cluster."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the controllers of a cluster are made from. `root_ca` is PEM, as pods find it."""

    client: Client
    clock: Clock
    paths: Paths
    root_ca: str


Controllers = Callable[[Surroundings], Sequence[Controller]]


class ControlPlane:
    """`controllers` and `capabilities` are the explicit lists of the assembly."""

    def __init__(
        self, paths: Paths, clock: Clock, progress: daemon.Progress, build: str, *, controllers: Controllers
    ) -> None:
        self._paths = paths
        self._clock = clock
        self._progress = progress
        self._build = build
        self._controllers = controllers

    async def run(self) -> None:
        """Start everything and run until cancelled. A failure to start is told to whoever waits, then raised."""
        chosen = options.read(self._paths.options)
        async with AsyncExitStack() as cleanup:
            try:
                served = await server.start(self._paths, chosen, self._clock, self._build, cleanup)
            except server.CannotServe as error:
                self._progress.say("failed", reason=str(error))
                raise
            daemon.write(self._paths, served.url, self._build)
            cleanup.callback(self._paths.record.unlink, missing_ok=True)
            self._progress.say("api", text=f"API server ready at {served.url}")
            gc.set_threshold(*GC_THRESHOLDS)
            gc.freeze()
            await self._run_parts(served, chosen)

    async def _run_parts(self, served: server.Server, chosen: options.Options) -> None:
        client = served.app.client(User("system:kube-controller-manager", ("system:masters",)))
        around = Surroundings(client, self._clock, self._paths, served.pki.ca_bundle)
        runtime = Runtime(client, self._clock, self._controllers(around))
        garbage = GarbageCollector(client, self._clock, runtime.informers)
        async with asyncio.TaskGroup() as parts:
            parts.create_task(served.custom.run(), name="custom resources")
            parts.create_task(runtime.run(), name="controllers")
            await runtime.ready.wait()
            parts.create_task(garbage.run(), name="garbage collector")
            self._progress.say("controllers", text="controllers ready")
            if chosen.simulated_nodes:
                self._simulate(parts, client, runtime, chosen.simulated_nodes)
            self._progress.say("ready")
            self._progress.close()

    def _simulate(self, parts: asyncio.TaskGroup, client: Client, runtime: Runtime, count: int) -> None:
        nodes = simulated_kubelet.simulated_nodes(count)
        pods = runtime.informers.watch(core_v1.POD)
        kubelet = simulated_kubelet.SimulatedKubelet(client, pods, nodes, self._clock)
        parts.create_task(kubelet.run(), name="simulated nodes")
