"""The control plane: the API server, the controllers and the nodes, started in order and run until stopped.

Order: the API answers first; then, side by side, the controllers fill their caches and the nodes come up. What is only
needed then is imported only then. Whoever started it hears of each step. One part that fails for good ends the whole,
loudly, rather than leave half a cluster.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dabbawala.api import coordination_v1, core_v1
from dabbawala.apimachinery import conditions, meta
from dabbawala.apimachinery.clock import Clock, parse_time
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.status import StatusError
from dabbawala.client.client import Client
from dabbawala.cluster.sandbox.client import HolderClient
from dabbawala.cluster.supervisor import bootstrap, daemon, keeper, nodes, options, server
from dabbawala.cluster.supervisor.paths import Paths
from dabbawala.policy.access import User
from dabbawala.reconcile.apply import Executor
from dabbawala.reconcile.controller import Controller
from dabbawala.reconcile.informer import Informers
from dabbawala.reconcile.recorder import EventRecorder
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


NODES_SECONDS_MAX = 20.0
NODES_POLL_SECONDS = 0.01
LEASE_VALID = timedelta(seconds=40)

Controllers = Callable[[Surroundings], Sequence[Controller]]
ClientOf = Callable[[str], Client]
"""A client that acts as the user of that name, with the rights that RBAC gives it."""

Capabilities = Callable[[ClientOf, Clock, Paths], Mapping[str, Callable[[], Coroutine[Any, Any, None]]]]
"""What else runs beside the cluster's own parts, by name, and how each is started."""


class ControlPlane:
    """`controllers` and `capabilities` are the explicit lists of the assembly."""

    def __init__(
        self,
        paths: Paths,
        clock: Clock,
        progress: daemon.Progress,
        build: str,
        *,
        controllers: Controllers,
        capabilities: Capabilities,
    ) -> None:
        self._capabilities = capabilities
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
            except (server.CannotServe, StatusError) as error:
                self._progress.say("failed", reason=str(error))
                raise
            except OSError as error:
                where = error.filename or self._paths.data
                self._progress.say("failed", reason=f"{where}: {error.strerror or error}; it must be there, with room")
                raise
            daemon.write(self._paths, served.url, self._build)
            cleanup.callback(self._paths.record.unlink, missing_ok=True)
            self._progress.say("api", text=f"API server ready at {served.url}")
            await asyncio.to_thread(_import_the_rest)
            gc.set_threshold(*GC_THRESHOLDS)
            gc.freeze()
            gc.enable()
            await self._run_parts(served, chosen)

    async def _run_parts(self, served: server.Server, chosen: options.Options) -> None:
        from dabbawala.cluster.controllers.garbagecollector.controller import GarbageCollector
        from dabbawala.cluster.scheduler.controller import Scheduler

        client = served.app.client(User("system:kube-controller-manager", ("system:masters",)))
        around = Surroundings(client, self._clock, self._paths, served.pki.ca_bundle)
        runtime = Runtime(client, self._clock, self._controllers(around))
        since = self._clock.now()
        if HolderClient(self._paths.run).running():  # the nodes outlived the control plane, and need not report at once
            since -= LEASE_VALID
        garbage = GarbageCollector(client, self._clock, runtime.informers)
        recorder = EventRecorder(client, self._clock, component="default-scheduler")
        scheduler = Scheduler(client, self._clock, runtime.informers, recorder)
        async with asyncio.TaskGroup() as parts:
            parts.create_task(served.custom.run(), name="custom resources")
            parts.create_task(runtime.run(), name="controllers")
            if chosen.nodes:
                await self._start_nodes(parts, served, runtime, chosen)
            await runtime.ready.wait()
            parts.create_task(garbage.run(), name="garbage collector")
            parts.create_task(recorder.run(), name="scheduler events")
            parts.create_task(scheduler.run(), name="scheduler")
            beside = self._capabilities(lambda user: served.app.client(_component(user)), self._clock, self._paths)
            for name, run in beside.items():
                if name not in chosen.without:
                    parts.create_task(run(), name=name)
            self._progress.say("controllers", text="controllers ready")
            if chosen.simulated_nodes:
                self._simulate(parts, client, runtime, chosen.simulated_nodes)
            await self._default_account(served)
            await self._nodes_ready(runtime.informers, chosen.nodes + chosen.simulated_nodes, since)
            self._progress.say("ready", text="nodes ready")
            self._progress.close()

    async def _start_nodes(
        self, parts: asyncio.TaskGroup, served: server.Server, runtime: Runtime, chosen: options.Options
    ) -> None:
        """The nodes' networks and processes, and the data plane that carries their traffic."""
        holder = HolderClient(self._paths.run)
        try:
            made = await nodes.create(holder, self._paths, chosen)
        except nodes.NoProcessPods as forbidden:
            self._progress.say("failed", reason=str(forbidden))
            raise
        server.write_tokens(served, self._paths, [node.name for node in made], self._clock)
        self._start_data_plane(parts, served, holder, runtime, chosen)
        for node in made:
            parts.create_task(nodes.keep(holder, node, self._paths, chosen, self._clock), name=node.name)
        monitoring = nodes.monitoring_process(made[0], self._paths)
        spawn = keeper.spawning(holder, monitoring)
        parts.create_task(keeper.keep(holder, monitoring.name, spawn, self._clock), name=monitoring.name)

    def _start_data_plane(
        self,
        parts: asyncio.TaskGroup,
        served: server.Server,
        holder: HolderClient,
        runtime: Runtime,
        chosen: options.Options,
    ) -> None:
        from dabbawala.cluster.dataplane.controller import DataPlane, Settings
        from dabbawala.cluster.dataplane.holder import HolderSpawner
        from dabbawala.cluster.dataplane.translate import Fixtures

        client = served.app.client(User("system:dataplane", ("system:masters",)))
        recorder = EventRecorder(client, self._clock, component="dataplane")
        executor = Executor(client, recorder, field_manager="dataplane")
        fixtures = Fixtures(
            sockets={ObjectKey("default", "kubernetes"): str(self._paths.api_tls_socket)},
            reserved=frozenset({bootstrap.DNS_SERVICE_ADDRESS}),
        )
        settings = Settings(
            self._paths.run,
            self._paths.logs,
            fixtures,
            edge_address=chosen.host_address,
            egress={"host_ports": [port for port in chosen.host_ports if port]},
        )
        plane = DataPlane(runtime.informers, executor, HolderSpawner(holder), self._clock, settings)
        parts.create_task(plane.run(), name="data plane")
        parts.create_task(recorder.run(), name="data plane events")

    def _simulate(self, parts: asyncio.TaskGroup, client: Client, runtime: Runtime, count: int) -> None:
        from dabbawala.cluster.kubelet import simulated_kubelet

        simulated = simulated_kubelet.simulated_nodes(count)
        pods = runtime.informers.watch(core_v1.POD)
        kubelet = simulated_kubelet.SimulatedKubelet(client, pods, simulated, self._clock)
        parts.create_task(kubelet.run(), name="simulated nodes")

    async def _default_account(self, served: server.Server) -> None:
        """Without it a pod could not be created yet."""
        while served.core.objects.get("serviceaccounts", "default", "default") is None:
            await self._clock.sleep(NODES_POLL_SECONDS)

    async def _nodes_ready(self, informers: Informers, count: int, since: datetime) -> None:
        """Wait until that many nodes are Ready and have reported since then, or NODES_SECONDS_MAX."""
        deadline = self._clock.monotonic() + NODES_SECONDS_MAX
        while self._clock.monotonic() < deadline:
            if sum(_reports(informers, node, since) for node in informers.list(core_v1.NODE)) >= count:
                return
            await self._clock.sleep(NODES_POLL_SECONDS)
        log.warning("not all nodes were ready after %.0f s; see the agents' logs", NODES_SECONDS_MAX)


def _component(name: str) -> User:
    return User(name, ("system:authenticated",))


def _reports(informers: Informers, node: Object, since: datetime) -> bool:
    """A node from before a restart still says Ready; its lease tells whether somebody is there."""
    lease = informers.get(coordination_v1.LEASE, ObjectKey("kube-node-lease", meta.name(node))) or {}
    renewed = str((lease.get("spec") or {}).get("renewTime") or "")
    return conditions.is_true(node, "Ready") and bool(renewed) and parse_time(renewed) >= since


def _import_the_rest() -> None:
    """In a thread of its own, while the API server answers: a quarter of all that a control plane imports. Who uses
    these parts names them again, which then costs nothing."""
    import dabbawala.cluster.controllers.garbagecollector.controller
    import dabbawala.cluster.dataplane.controller
    import dabbawala.cluster.dataplane.holder
    import dabbawala.cluster.kubelet.simulated_kubelet
    import dabbawala.cluster.scheduler.controller  # noqa: F401
