"""A node to try things on: the real API server in memory, the real sandbox, the real agent, a shell for an image."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from dabbawala.api import core_v1
from dabbawala.api.kinds import KINDS
from dabbawala.apimachinery.clock import SystemClock
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import NotFound
from dabbawala.client.client import Client
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.apiserver.core import Core, Plugins
from dabbawala.cluster.kubelet.assembly import NodeAgent, NodePlan
from dabbawala.cluster.kubelet.restarts import BackOff
from dabbawala.cluster.sandbox.client import HolderClient

DEADLINE = 20.0


@dataclass(frozen=True)
class ShellImage:
    name: str
    id: str = "sha256:shell"
    entrypoint: tuple[str, ...] = ("/bin/sh", "-c")
    cmd: tuple[str, ...] = ("sleep 600",)
    env: dict[str, str] = field(default_factory=lambda: {"FROM_IMAGE": "yes"})
    workdir: str = "/tmp"
    user: str = ""
    root: str = ""
    stop_signal: str = ""


class ShellImages:
    """Knows every image called shell."""

    def resolve(self, name: str) -> ShellImage | None:
        return ShellImage(name) if name.startswith("shell:") else None


class NodeWorld:
    def __init__(self, server: APIServer, holder: HolderClient, folder: Path) -> None:
        self.client = Client(server.transport())
        self.holder = holder
        self.folder = folder
        self.server = server
        self._task: asyncio.Task[None] | None = None
        self.node: NodeAgent | None = None

    def begin(self) -> None:
        """Start the agent (again)."""
        plan = NodePlan(
            name="node-1", address="10.42.1.1", run_dir=self.folder / "run", data_dir=self.folder / "data",
            back_off=BackOff(timedelta(seconds=0.5), timedelta(seconds=4)), refresh_seconds=0.3,
        )  # fmt: skip
        self.node = NodeAgent(plan, self.client, self.holder, ShellImages(), SystemClock())
        self._task = asyncio.create_task(self.node.run())

    async def kill(self) -> None:
        """End the agent as if by kill -9: nothing is tidied up."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def run(self, name: str, script: str = "sleep 600", **fields: Any) -> Object:
        """Create a pod with one container that runs a shell script, bound to the node."""
        spec = {key: fields.pop(key) for key in list(fields) if key in _POD_FIELDS}
        container = {"name": "main", "image": "shell:v1", "args": [script], **fields}
        return await self.create(name, {"containers": [container], **spec})

    async def create(self, name: str, spec: Object, **metadata: Any) -> Object:
        body = {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata},
            "spec": {"nodeName": "node-1", "terminationGracePeriodSeconds": 5, **spec},
        }  # fmt: skip
        return await self.client.create(core_v1.POD, body, "default")

    async def pod(self, name: str) -> Object:
        return await self.client.get(core_v1.POD, name, "default")

    async def until(self, name: str, holds: Callable[[Object], object]) -> Object:
        """The pod once it is so; fails with what it was at the end."""
        end = asyncio.get_running_loop().time() + DEADLINE
        while True:
            pod = await self.pod(name)
            if holds(pod):
                return pod
            assert asyncio.get_running_loop().time() < end, f"still not so: {pod['status']}"
            await asyncio.sleep(0.02)

    async def ready(self, name: str) -> Object:
        return await self.until(name, is_ready)

    async def ended(self, name: str) -> Object:
        return await self.until(name, lambda pod: pod["status"]["phase"] in ("Succeeded", "Failed"))

    async def gone(self, name: str) -> None:
        end = asyncio.get_running_loop().time() + DEADLINE
        with contextlib.suppress(NotFound):
            while True:
                pod = await self.pod(name)
                assert asyncio.get_running_loop().time() < end, f"still there: {pod['status']}"
                await asyncio.sleep(0.02)

    async def logs(self, name: str, container: str = "main", attempt: int = 0) -> str:
        uid = (await self.pod(name))["metadata"]["uid"]
        return self.log_text(uid, container, attempt)

    def log_text(self, uid: str, container: str = "main", attempt: int = 0) -> str:
        path = self.folder / "data/nodes/node-1/pods" / uid / "logs" / container / f"{attempt}.log"
        lines = path.read_text().splitlines()
        return "\n".join(line.split(" ", 3)[3] for line in lines)


_POD_FIELDS = ("volumes", "restartPolicy", "initContainers", "securityContext", "activeDeadlineSeconds",
               "terminationGracePeriodSeconds", "readinessGates", "hostname")  # fmt: skip


def is_ready(pod: Object) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", ()))


def main_status(pod: Object, name: str = "main") -> Object:
    every = [*pod["status"].get("initContainerStatuses", ()), *pod["status"].get("containerStatuses", ())]
    return next((one for one in every if one["name"] == name), {"restartCount": 0, "state": {}, "lastState": {}})


@contextlib.asynccontextmanager
async def world_on(
    holder: Any, folder: Path, plugins: Callable[[Core], Plugins] | None = None
) -> AsyncIterator[NodeWorld]:
    """A node, not yet begun, over a holder that runs already: a real one, or one on paper."""
    async with APIServer.in_memory(KINDS, plugins=plugins) as server:
        world = NodeWorld(server, holder, folder)
        try:
            yield world
        finally:
            await world.kill()


@contextlib.asynccontextmanager
async def node_world(plugins: Callable[[Core], Plugins] | None = None) -> AsyncIterator[NodeWorld]:
    folder = Path(tempfile.mkdtemp(prefix="dk-"))
    holder = HolderClient(folder / "run")
    await holder.start()
    try:
        await holder.create_node("node-1", 1)
        async with world_on(holder, folder, plugins) as world:
            world.begin()
            yield world
    finally:
        await holder.stop()
        shutil.rmtree(folder, ignore_errors=True)
