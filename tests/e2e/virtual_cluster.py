"""A whole cluster in memory, on virtual time: the real API server, controllers, scheduler and rollout capability, and
simulated nodes of any number. Hours of a release pass in seconds, and replay.

Time stands still while anybody works; when nobody does, it goes on to the next moment that somebody waits for. What
analyses ask is answered by real programs: `serve` gives an in-cluster address to one of this machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import yaml
from aiohttp import web

from dabbawala import assembly
from dabbawala.api import argoproj_v1alpha1, core_v1, discovery_v1, kinds
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.patch_type import PatchType
from dabbawala.client.client import Client
from dabbawala.client.dialer import Answer, Dialer, DialFailed, service_of
from dabbawala.cluster.apiserver import table, watches
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.apiserver.core import Core, Plugins
from dabbawala.cluster.apiserver.discovery import Discovery
from dabbawala.cluster.apiserver.openapi import OpenAPI
from dabbawala.cluster.controllers.disruption.controller import DisruptionController
from dabbawala.cluster.controllers.endpointslice.controller import EndpointSliceController
from dabbawala.cluster.controllers.garbagecollector.controller import GarbageCollector
from dabbawala.cluster.controllers.nodelifecycle.controller import NodeLifecycleController
from dabbawala.cluster.controllers.replicaset.controller import ReplicaSetController
from dabbawala.cluster.kubelet.simulated_kubelet import SimulatedKubelet, simulated_nodes
from dabbawala.cluster.monitoring.api import PrometheusAPI
from dabbawala.cluster.monitoring.scrape import Scraper
from dabbawala.cluster.scheduler.controller import Scheduler
from dabbawala.cluster.supervisor import bootstrap, paths
from dabbawala.cluster.supervisor.control_plane import Surroundings
from dabbawala.reconcile.cache import Caches
from dabbawala.reconcile.controller import Controller
from dabbawala.reconcile.informer import Informers
from dabbawala.reconcile.plan import Plan
from dabbawala.reconcile.recorder import EventRecorder
from dabbawala.reconcile.runtime import Runtime
from dabbawala.rollout import main as rollout
from dabbawala.rollout import state
from dabbawala.timeseries.samples import Samples

ROLLOUT = argoproj_v1alpha1.ROLLOUT
QUIET_TURNS = 30
"""Turns of the event loop without a write after which nobody is working: a write is heard within fewer."""

STEP_SECONDS = 0.5
"""Time moves by so much at least; waits shorter than that end together."""

BATCH = timedelta(seconds=STEP_SECONDS)
TICK_SECONDS = 15.0
"""Watches look at the clock so often. Once a second, as they do in a cluster, would be most of the work of a release
that takes hours, and none of the subject."""

NEVER = 1e9
COUNTING = (ReplicaSetController, EndpointSliceController, DisruptionController)
"""Controllers that look at all pods of a set whenever one changes."""

PROMETHEUS = "http://prometheus.monitoring.svc.cluster.local:9090"


class Batched:
    """A controller that looks at a key at most once a moment, however many pods change in it. Ours do so by the time
    that their planning takes, which is none on virtual time; upstream's has endpoint-updates-batch-period."""

    def __init__(self, controller: Controller) -> None:
        self.name, self.kind, self.watches = controller.name, controller.kind, controller.watches
        self._controller = controller
        self._looked: dict[ObjectKey, datetime] = {}

    async def reconcile(self, key: ObjectKey, caches: Caches, now: datetime) -> Plan:
        left = self._looked.get(key, now - BATCH) + BATCH - now
        if left > timedelta(0):
            return Plan((), left)
        self._looked[key] = now
        return await self._controller.reconcile(key, caches, now)


class Clock(VirtualClock):
    """One that tells what the next sleeper waits for."""

    def next_deadline(self) -> float | None:
        return min((deadline for deadline, _, sleeper in self._sleepers if not sleeper.done()), default=None)


class Doors:
    """The dialer of the analyses: in-cluster addresses lead to programs of this machine, if a pod is ready behind."""

    def __init__(self, server: APIServer) -> None:
        self.programs: dict[ObjectKey, str] = {}
        self.asked: list[str] = []
        self._server = server
        self._dialer = Dialer(server.transport(), inside=True)

    async def request(self, method: str, url: str, **settings: Any) -> Answer:
        self.asked.append(url)
        target = urlsplit(url)
        service = service_of(target.hostname or "")
        key = ObjectKey(service.namespace, service.name) if service else None
        if key not in self.programs:
            raise DialFailed(f"{method} {url}: nobody answers there")
        if key.namespace != "monitoring" and not self._ready(key):
            raise DialFailed(f"{method} {url}: no endpoints available for service {key.name!r}")
        return await self._dialer.request(method, url.replace(f"{target.netloc}", self.programs[key], 1), **settings)

    def _ready(self, key: ObjectKey) -> bool:
        slices = self._server.core.objects.list(discovery_v1.ENDPOINT_SLICE.resource, key.namespace)
        return any(
            (endpoint.get("conditions") or {}).get("ready")
            for piece in slices
            if meta.labels(piece).get("kubernetes.io/service-name") == key.name
            for endpoint in piece.get("endpoints") or ()
        )

    async def close(self) -> None:
        await self._dialer.close()


class VirtualCluster:
    """What tests hold of it. `passing` is called with the clock at every moment that time has moved."""

    def __init__(self, server: APIServer, clock: Clock, folder: Path, nodes: int) -> None:
        self.server = server
        self.clock = clock
        self.client: Client = server.client()
        self.doors = Doors(server)
        self.samples = Samples()
        self.passing: list[Callable[[], None]] = []
        where = paths.resolve("virtual", folder, {"HOME": str(folder)})
        built_in = assembly.controllers(Surroundings(self.client, clock, where, "no authority"))
        # Nobody's heart beats here: two hours of leases would be most of the work and none of the subject.
        kept = [
            Batched(item) if isinstance(item, COUNTING) else item
            for item in built_in
            if not isinstance(item, NodeLifecycleController)
        ]
        self.runtime = Runtime(self.client, clock, kept)
        self.rollouts = Runtime(self.client, clock, rollout.controllers(self.client, clock, self.doors), workers=16)
        self.garbage = GarbageCollector(self.client, clock, self.runtime.informers)
        self.recorder = EventRecorder(self.client, clock, component="default-scheduler")
        self.scheduler = Scheduler(self.client, clock, self.runtime.informers, self.recorder)
        pods = self.runtime.informers.watch(core_v1.POD)
        self.kubelet = SimulatedKubelet(self.client, pods, simulated_nodes(nodes), clock, renew_seconds=NEVER)

    def tasks(self) -> list[Any]:
        return [self.garbage.run(), self.recorder.run(), self.scheduler.run(), self.kubelet.run()]

    def _caches(self, kind: Kind) -> Informers:
        return self.rollouts.informers if self.rollouts.informers.watching(kind) else self.runtime.informers

    def read(self, kind: Kind, name: str, namespace: str) -> Object:
        """As everybody has heard of it; nobody lags while time stands still."""
        found = self._caches(kind).get(kind, ObjectKey(namespace, name))
        assert found is not None, f"there is no {kind.resource} {namespace}/{name}"
        return found

    def list(self, kind: Kind, namespace: str) -> list[Object]:
        return list(self._caches(kind).list(kind, namespace))

    async def apply(self, *manifests: Object) -> None:
        for manifest in manifests:
            kind = next(k for k in kinds.KINDS if (k.api_version, k.kind) == (manifest["apiVersion"], manifest["kind"]))
            await self.client.writing_as("user").apply(kind, manifest)

    async def set_image(self, name: str, namespace: str, image: str) -> None:
        operation = {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}
        await self.client.patch(ROLLOUT, name, namespace, [operation], type=PatchType.JSON)

    # Time.

    def _working(self) -> bool:
        loops = (*self.runtime.loops.values(), *self.rollouts.loops.values())
        return not self.kubelet.idle or not all(loop.queue.idle for loop in loops)

    async def settle(self) -> None:
        """Until nobody works any more at this moment."""
        quiet, seen = 0, -1
        while quiet < QUIET_TURNS:
            revision = self.server.core.store.revision
            busy = self._working()
            quiet = 0 if busy or revision != seen else quiet + 1
            seen = revision
            await asyncio.sleep(0.0005 if busy else 0)

    async def pass_time(self) -> None:
        """To the next moment that somebody waits for."""
        await self.settle()
        due = self.clock.next_deadline()
        self.clock.advance(max((due or 0) - self.clock.monotonic(), STEP_SECONDS))
        for hear in self.passing:
            hear()

    async def until(self, what: str, holds: Callable[[], object], seconds: float = 600.0) -> None:
        """Let time pass until it holds; so many seconds of virtual time at most."""
        end = self.clock.monotonic() + seconds
        await self.settle()
        while not holds():
            assert self.clock.monotonic() < end, f"not within {seconds:g} s of virtual time: {what}"
            await self.pass_time()

    async def until_phase(self, name: str, namespace: str, phase: str, seconds: float = 600.0) -> Object:
        """The Rollout, once it was observed in that phase."""

        def reached() -> bool:
            found = self.read(ROLLOUT, name, namespace)
            return bool(found.get("status")) and state.is_observed(found) and found["status"].get("phase") == phase

        try:
            await self.until(f"{name} {phase}", reached, seconds)
        except AssertionError as late:
            raise AssertionError(f"{late}: {self.read(ROLLOUT, name, namespace).get('status')}") from None
        return self.read(ROLLOUT, name, namespace)


@asynccontextmanager
async def virtual_cluster(folder: Path, *, nodes: int = 1, prometheus: bool = True) -> AsyncIterator[VirtualCluster]:
    clock = Clock()
    with mock.patch.object(watches, "_TICK", TICK_SECONDS):
        async with _running(clock, folder, nodes, prometheus) as cluster:
            yield cluster


@asynccontextmanager
async def _running(clock: Clock, folder: Path, nodes: int, prometheus: bool) -> AsyncIterator[VirtualCluster]:
    async with APIServer.in_memory(kinds.KINDS, clock=clock, plugins=_plugins, namespaces=()) as server:
        await bootstrap.apply(server.client())
        cluster = VirtualCluster(server, clock, folder, nodes)
        running = [asyncio.create_task(cluster.runtime.run()), asyncio.create_task(cluster.rollouts.run())]
        await asyncio.gather(cluster.runtime.ready.wait(), cluster.rollouts.ready.wait())
        running += [asyncio.create_task(work) for work in cluster.tasks()]
        stopping = await _prometheus(cluster) if prometheus else None
        try:
            yield cluster
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await cluster.doors.close()
            if stopping is not None:
                await stopping()


def _plugins(core: Core) -> Plugins:
    """Everybody may do everything; kubectl finds what it asks for."""
    endpoints = {**Discovery(core.kinds).endpoints(), **OpenAPI(core.kinds).endpoints()}
    return Plugins(endpoints=endpoints, negotiator=table.negotiator(core.clock))


async def _prometheus(cluster: VirtualCluster) -> Callable[[], Any]:
    """The product's own Prometheus API over the cluster's samples, at the address that manifests name."""
    worker = ThreadPoolExecutor(1)
    scraper = Scraper(cluster.samples, worker, cluster.clock, interval_seconds=15)
    runner = web.AppRunner(PrometheusAPI(cluster.samples, scraper, worker, cluster.clock).application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    cluster.doors.programs[ObjectKey("monitoring", "prometheus")] = "{}:{}".format(*runner.addresses[0])

    async def stop() -> None:
        await runner.cleanup()
        await scraper.close()
        worker.shutdown()

    return stop


def documents(*files: Path) -> list[Object]:
    return [item for file in files for item in yaml.safe_load_all(file.read_text()) if item]


def images_of(rollout_: Mapping[str, Any]) -> list[str]:
    return [container["image"] for container in rollout_["spec"]["template"]["spec"]["containers"]]
