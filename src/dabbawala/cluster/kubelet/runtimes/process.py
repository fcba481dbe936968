"""Containers as sandboxed local processes: the rootless sandbox, spoken to through its holder and shims."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from dabbawala.cluster.kubelet.runtimes.runtime import RuntimeFailure, Session
from dabbawala.cluster.sandbox.client import HolderClient, HolderGone, SandboxError
from dabbawala.cluster.sandbox.spec import ContainerSpec, ContainerUsage, ExecSpec, PodSpec, PodStatus


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Foreign errors become the runtime's own at this boundary."""
    try:
        yield
    except SandboxError as refused:
        raise RuntimeFailure(refused.reason, refused.message) from refused
    except HolderGone as gone:
        raise RuntimeFailure("SandboxGone", str(gone)) from gone
    except (OSError, TimeoutError) as failed:
        raise RuntimeFailure("SandboxError", str(failed) or type(failed).__name__) from failed


class ProcessRuntime:
    """The `process` runtime of one node."""

    name = "process"

    def __init__(self, holder: HolderClient, node: str) -> None:
        self._holder = holder
        self._node = node

    async def sandboxes(self) -> list[PodStatus]:
        with _translated():
            return [pod for pod in await self._holder.list_pods() if pod.node == self._node]

    async def create(self, pod: PodSpec) -> None:
        with _translated():
            await self._holder.create_pod(pod)

    async def inspect(self, uid: str) -> PodStatus | None:
        """A shim that does not answer has died; the holder knows whether it ever was."""
        try:
            with _translated():
                return await self._holder.pod_status(uid)
        except RuntimeFailure as failed:
            if failed.reason != "SandboxGone":
                raise
        return next((pod for pod in await self.sandboxes() if pod.uid == uid), None)

    async def start(self, uid: str, container: ContainerSpec) -> None:
        with _translated():
            await self._holder.start_container(uid, container)

    async def signal(self, uid: str, container: str, signum: int) -> None:
        with _translated():
            await self._holder.signal_container(uid, container, signum)

    async def remove(self, uid: str) -> None:
        with _translated():
            await self._holder.remove_pod(uid)

    async def exec(self, uid: str, container: str, command: ExecSpec) -> Session:
        with _translated():
            return await self._holder.exec(uid, container, command)

    async def attach(self, uid: str, container: str, *, stdin: bool) -> Session:
        with _translated():
            return await self._holder.attach(uid, container, stdin=stdin)

    async def close_stdin(self, uid: str, container: str) -> None:
        with _translated():
            await self._holder.close_container_stdin(uid, container)

    async def dial(self, uid: str, port: int, *, host: str = "127.0.0.1") -> socket.socket:
        with _translated():
            return await self._holder.dial(uid, port, host=host)

    async def node_dial(self, host: str, port: int) -> socket.socket:
        with _translated():
            return await self._holder.node_dial(self._node, host, port)

    async def usage(self, uid: str) -> list[ContainerUsage]:
        with _translated():
            return await self._holder.stats(uid)
