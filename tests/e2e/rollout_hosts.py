"""Two places for one test of Rollouts: in memory on virtual time, and a real cluster whose Rollouts are carried by a
process of its own. What a test says of either is said in the same words; deadlines are as long as the place can wait.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from dabbawala.api import apps_v1, argoproj_v1alpha1, core_v1, kinds
from dabbawala.api.kind import Kind
from dabbawala.apimachinery.clock import SystemClock
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.patch_type import PatchType
from dabbawala.client import http, kubeconfig
from dabbawala.client.client import Client
from dabbawala.cluster.apiserver.http import Front
from dabbawala.reconcile.informer import Informers
from dabbawala.rollout import state
from tests.e2e.outside import Outside
from tests.e2e.virtual_cluster import ROLLOUT, VirtualCluster

SEEN = (ROLLOUT, apps_v1.REPLICA_SET, apps_v1.DEPLOYMENT, core_v1.POD, core_v1.SERVICE, core_v1.EVENT,
        argoproj_v1alpha1.ANALYSIS_RUN)  # fmt: skip
REAL_SECONDS_MAX = 40.0
POLL_SECONDS = 0.02


class Host(Protocol):
    """`deadline` is a progressDeadlineSeconds that is over in time; `errors` a consecutiveErrorLimit likewise."""

    namespace: str
    deadline: int
    errors: int

    @property
    def client(self) -> Client: ...
    async def apply(self, *manifests: Object) -> None: ...
    def read(self, kind: Kind, name: str, namespace: str = "") -> Object: ...
    def list(self, kind: Kind) -> list[Object]: ...
    async def until(self, what: str, holds: Callable[[], object]) -> None: ...
    async def until_phase(self, name: str, phase: str) -> Object: ...
    async def until_described(self, kind: str, name: str, *texts: str) -> None: ...
    async def set_image(self, name: str, image: str) -> None: ...


class VirtualHost:
    namespace, deadline, errors = "default", 60, 4

    def __init__(self, cluster: VirtualCluster, kubectl: Path) -> None:
        self.cluster = cluster
        self.client = cluster.client
        self._kubectl = kubectl

    async def apply(self, *manifests: Object) -> None:
        await self.cluster.apply(*(_placed(item, self.namespace) for item in manifests))

    def read(self, kind: Kind, name: str, namespace: str = "") -> Object:
        return self.cluster.read(kind, name, namespace or self.namespace)

    def list(self, kind: Kind) -> list[Object]:
        return list(self.cluster.server.core.objects.list(kind.resource, self.namespace))

    async def until(self, what: str, holds: Callable[[], object]) -> None:
        await self.cluster.until(what, holds)

    async def until_phase(self, name: str, phase: str) -> Object:
        return await self.cluster.until_phase(name, self.namespace, phase)

    async def set_image(self, name: str, image: str) -> None:
        await self.cluster.set_image(name, self.namespace, image)

    async def until_described(self, kind: str, name: str, *texts: str) -> None:
        """The API is asked once, when everybody has done what there was to do."""
        await self.cluster.settle()
        front = Front(self.cluster.server.handle)
        port = await front.listen_tcp("127.0.0.1", 0, None)
        command = [f"--server=http://127.0.0.1:{port}", "--namespace", self.namespace, "describe", kind, name]
        environment = {"HOME": str(self._kubectl.parent), "PATH": os.environ["PATH"], "KUBECONFIG": os.devnull}
        try:
            process = await asyncio.create_subprocess_exec(
                str(self._kubectl), *command, env=environment,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            out, _ = await asyncio.wait_for(process.communicate(), 30)
        finally:
            await front.close()
        assert process.returncode == 0, out.decode()
        shown = " ".join(out.decode().split())
        assert all(text in shown for text in texts), shown


class ProcessHost:
    """In a namespace of the test's own. What is read is a cache like everybody's, so it is waited for."""

    deadline, errors = 4, 0

    def __init__(self, outside: Outside, client: Client, informers: Informers, namespace: str) -> None:
        self.namespace = namespace
        self.client = client
        self._outside = outside
        self._informers = informers

    async def apply(self, *manifests: Object) -> None:
        for manifest in manifests:
            placed = _placed(manifest, self.namespace)
            await self.client.writing_as("user").apply(_kind(placed), placed, force=True)

    def read(self, kind: Kind, name: str, namespace: str = "") -> Object:
        return self._informers.get(kind, ObjectKey(namespace or self.namespace, name)) or {}

    def list(self, kind: Kind) -> list[Object]:
        return list(self._informers.list(kind, self.namespace))

    async def until(self, what: str, holds: Callable[[], object]) -> None:
        end = asyncio.get_running_loop().time() + REAL_SECONDS_MAX
        while not holds():
            late = f"not within {REAL_SECONDS_MAX:g} s: {what}\n{self._outside.said()}"
            assert asyncio.get_running_loop().time() < end, late
            await asyncio.sleep(POLL_SECONDS)

    async def until_phase(self, name: str, phase: str) -> Object:
        def reached() -> bool:
            found = self.read(ROLLOUT, name)
            return bool(found.get("status")) and state.is_observed(found) and found["status"].get("phase") == phase

        try:
            await self.until(f"{name} {phase}", reached)
        except AssertionError as late:
            raise AssertionError(f"{late}: {self.read(ROLLOUT, name).get('status')}") from None
        return self.read(ROLLOUT, name)

    async def set_image(self, name: str, image: str) -> None:
        """By somebody who has seen the last release end, as `until_phase` has."""
        operation = {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}
        changed = await self.client.patch(ROLLOUT, name, self.namespace, [operation], type=PatchType.JSON)
        generation = changed["metadata"]["generation"]
        await self.until("it is seen", lambda: self.read(ROLLOUT, name)["metadata"]["generation"] >= generation)

    async def until_described(self, kind: str, name: str, *texts: str) -> None:
        shown = ""
        end = asyncio.get_running_loop().time() + REAL_SECONDS_MAX
        while not shown or not all(text in shown for text in texts):
            assert asyncio.get_running_loop().time() < end, shown
            asked = ("--namespace", self.namespace, "describe", kind, name)
            shown = " ".join((await asyncio.to_thread(self._outside.kubectl, *asked)).split())


@asynccontextmanager
async def process_host(outside: Outside, namespace: str) -> AsyncIterator[ProcessHost]:
    """As the cluster's administrator; the Rollouts are carried with fewer rights."""
    client = Client(http.HTTPTransport(kubeconfig.load(outside.kubectl.kubeconfig)))
    informers = Informers(client, SystemClock())
    for kind in SEEN:
        informers.watch(kind)
    try:
        informers.start()
        await informers.filled()
        await client.create(core_v1.NAMESPACE, {"metadata": {"name": namespace}})
        yield ProcessHost(outside, client, informers, namespace)
    finally:
        await informers.stop()
        await client.close()


def _placed(manifest: Object, namespace: str) -> Object:
    """In the test's namespace, unless it says where."""
    if manifest["kind"] == "Namespace":
        return manifest
    return {**manifest, "metadata": {"namespace": namespace, **manifest["metadata"]}}


def _kind(manifest: Object) -> Kind:
    return next(
        kind for kind in kinds.KINDS if (kind.api_version, kind.kind) == (manifest["apiVersion"], manifest["kind"])
    )
