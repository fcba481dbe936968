"""A running sandbox for a test: one holder, one node, pods by the line."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dabbawala.cluster.sandbox.client import HolderClient
from dabbawala.cluster.sandbox.spec import ContainerSpec, ContainerStatus, ExecSpec, PodSpec

DEADLINE_SECONDS = 10.0
SERVER = ("python3", "-u", "-m", "http.server", "8080")


async def until(true: Callable[[], Awaitable[Any]], what: str) -> Any:
    """What the condition gives once it is true; it is looked at again and again, up to a deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        if found := await true():
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {DEADLINE_SECONDS} s for {what}")
        await asyncio.sleep(0.01)


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


@dataclass
class World:
    """What a test talks to."""

    client: HolderClient
    directory: Path
    counter: Any = field(default_factory=lambda: itertools.count(2))

    async def pod(self, uid: str, node: int = 1, **options: Any) -> PodSpec:
        options.setdefault("resolv_conf", "nameserver 10.96.0.10\n")
        made = PodSpec(
            uid=uid, namespace="default", name=uid, node=f"node-{node}", address=f"10.42.{node}.{next(self.counter)}",
            hostname=uid, state_dir=f"{self.directory}/{uid}", **options,
        )  # fmt: skip
        await self.client.create_pod(made)
        return made

    def container(self, uid: str, argv: tuple[str, ...], name: str = "main", **options: Any) -> ContainerSpec:
        attempt = options.get("attempt", 0)
        return ContainerSpec(name, argv, log_path=str(self.log(uid, name, attempt)), **options)

    async def start(self, uid: str, *argv: str, name: str = "main", **options: Any) -> ContainerSpec:
        made = self.container(uid, argv, name, **options)
        await self.client.start_container(uid, made)
        return made

    def log(self, uid: str, name: str = "main", attempt: int = 0) -> Path:
        return self.directory / uid / f"{name}-{attempt}.log"

    async def run(self, uid: str, *argv: str, name: str = "main", stdin: bytes = b"", **options: Any) -> Ran:
        """A command in a container, to its end."""
        session = await self.client.exec(uid, name, ExecSpec(argv, stdin=bool(stdin), **options))
        parts: dict[int, bytes] = {1: b"", 2: b""}
        try:
            if stdin:
                await session.write(stdin)
                session.close_stdin()
            async for stream, data in session.output():
                parts[stream] += data
            code = await session.wait()
        finally:
            session.close()
        return Ran(code, parts[1].decode(), parts[2].decode() or session.error)

    async def status(self, uid: str, name: str = "main") -> ContainerStatus:
        """Of the latest run."""
        pod = await self.client.pod_status(uid)
        return [status for status in pod.containers if status.name == name][-1]

    async def ended(self, uid: str, name: str = "main") -> ContainerStatus:
        async def exited() -> ContainerStatus | None:
            status = await self.status(uid, name)
            return status if status.state == "exited" else None

        found: ContainerStatus = await until(exited, f"the end of {uid}/{name}")
        return found

    async def get(self, address: str, port: int = 8080, path: str = "/", node: int = 1) -> bytes:
        """An HTTP GET from a node, as soon as something listens there."""
        events = asyncio.get_running_loop()

        async def connected() -> Any:
            with contextlib.suppress(ConnectionRefusedError):
                return await self.client.node_dial(f"node-{node}", address, port)
            return None

        sock = await until(connected, f"a listener at {address}:{port}")
        with sock:
            await events.sock_sendall(sock, f"GET {path} HTTP/1.0\r\n\r\n".encode())
            answer = b""
            while data := await events.sock_recv(sock, 65536):
                answer += data
        return answer


@contextlib.asynccontextmanager
async def sandbox(nodes: int = 1) -> AsyncIterator[World]:
    with tempfile.TemporaryDirectory(prefix="dabba-") as directory:
        client = HolderClient(f"{directory}/run")
        await client.start()
        try:
            for index in range(1, nodes + 1):
                await client.create_node(f"node-{index}", index)
            yield World(client, Path(directory))
        finally:
            await client.stop()
