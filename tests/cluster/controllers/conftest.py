"""A whole cluster in memory: the real API server, all built-in controllers, the scheduler and simulated nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from dabbawala.api import apps_v1, core_v1
from dabbawala.api.kind import Kind
from dabbawala.api.kinds import KINDS
from dabbawala.apimachinery.clock import SystemClock
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import NotFound
from dabbawala.client.client import Client
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.controllers.admissionpolicy.controller import AdmissionPolicyController
from dabbawala.cluster.controllers.clusterrole.controller import ClusterRoleController
from dabbawala.cluster.controllers.daemonset.controller import DaemonSetController
from dabbawala.cluster.controllers.deployment.controller import DeploymentController
from dabbawala.cluster.controllers.disruption.controller import DisruptionController
from dabbawala.cluster.controllers.endpoints.controller import EndpointsController
from dabbawala.cluster.controllers.endpointslice.controller import EndpointSliceController
from dabbawala.cluster.controllers.garbagecollector.controller import GarbageCollector
from dabbawala.cluster.controllers.job.controller import JobController
from dabbawala.cluster.controllers.namespace.controller import NamespaceController
from dabbawala.cluster.controllers.nodelifecycle.controller import NodeLifecycleController
from dabbawala.cluster.controllers.replicaset.controller import ReplicaSetController
from dabbawala.cluster.controllers.serviceaccount.controller import ServiceAccountController
from dabbawala.cluster.controllers.volumes.controller import ClaimController, VolumeController
from dabbawala.cluster.kubelet import simulated_kubelet
from dabbawala.cluster.scheduler.controller import Scheduler
from dabbawala.reconcile.recorder import EventRecorder
from dabbawala.reconcile.runtime import Runtime

DEADLINE = 15.0
"""Seconds; a test that waits longer has failed."""


class Cluster:
    """What tests say to a running cluster and wait to see of it."""

    def __init__(self, client: Client, runtime: Runtime, erased: list[str]) -> None:
        self.client = client
        self.runtime = runtime
        self.erased = erased

    async def create(self, kind: Kind, name: str, namespace: str = "default", **fields: Any) -> Object:
        metadata = {"name": name, **fields.pop("metadata", {})}
        if kind.namespaced:
            metadata["namespace"] = namespace
        obj = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **fields}
        return await self.client.create(kind, obj, metadata.get("namespace", ""))

    async def get(self, kind: Kind, name: str, namespace: str = "default") -> Object | None:
        try:
            return await self.client.get(kind, name, namespace if kind.namespaced else "")
        except NotFound:
            return None

    async def patch(self, kind: Kind, name: str, body: Object, namespace: str = "default") -> Object:
        return await self.client.patch(kind, name, namespace if kind.namespaced else "", body)

    async def list(self, kind: Kind, namespace: str | None = "default", selector: str = "") -> list[Object]:
        return (await self.client.list(kind, namespace, label_selector=selector)).items

    async def until(self, what: str, check: Callable[[], Awaitable[Any]]) -> Any:
        """Wait until `check` returns something true, and return that."""
        loop = asyncio.get_running_loop()
        end = loop.time() + DEADLINE
        while not (found := await check()):
            if loop.time() > end:
                failures = self.runtime.failures()
                raise AssertionError(f"not within {DEADLINE} s: {what}; failing: {failures}")
            await asyncio.sleep(0.01)
        return found

    async def deployed(self, name: str, namespace: str = "default") -> Object:
        """The Deployment, once it has nothing left to do."""

        async def done() -> Object | None:
            found = await self.get(apps_v1.DEPLOYMENT, name, namespace)
            assert found is not None, f"Deployment {name} does not exist"
            status, wanted = found.get("status") or {}, found["spec"]["replicas"]
            counts = [status.get(field, 0) for field in ("replicas", "updatedReplicas", "availableReplicas")]
            seen = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
            return found if seen and counts == [wanted] * 3 else None

        found: Object = await self.until(f"Deployment {name} rolled out", done)
        return found

    async def pods(self, selector: str = "", namespace: str = "default") -> list[Object]:
        found = await self.list(core_v1.POD, namespace, selector)
        return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    clock = SystemClock()
    async with APIServer.in_memory(KINDS, clock=clock) as server:
        client = server.client()
        erased: list[str] = []

        async def erase(path: str) -> None:
            erased.append(path)

        runtime = Runtime(
            client,
            clock,
            (
                DeploymentController(), ReplicaSetController(), DaemonSetController(), JobController(),
                EndpointSliceController(), EndpointsController(), DisruptionController(), NamespaceController(client),
                ServiceAccountController("-- a certificate --"), ClusterRoleController(),
                AdmissionPolicyController(), NodeLifecycleController(clock.now()),
                ClaimController("/volumes/{}".format), VolumeController(client, erase, "/volumes/{}".format),
            ),
        )  # fmt: skip
        garbage = GarbageCollector(client, clock, runtime.informers)
        recorder = EventRecorder(client, clock, component="default-scheduler")
        scheduler = Scheduler(client, clock, runtime.informers, recorder)
        kubelet = simulated_kubelet.SimulatedKubelet(
            client, runtime.informers.watch(core_v1.POD), simulated_kubelet.simulated_nodes(3), clock
        )
        tasks = [asyncio.ensure_future(runtime.run())]
        await asyncio.wait_for(runtime.ready.wait(), DEADLINE)
        parts = (garbage.run(), scheduler.run(), recorder.run(), kubelet.run())
        tasks += [asyncio.ensure_future(part) for part in parts]
        yield Cluster(client, runtime, erased)
        for task in reversed(tasks):
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        defects = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert not defects, defects
