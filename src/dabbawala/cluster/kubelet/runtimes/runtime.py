"""What a node agent needs of whatever runs containers. The sandbox's own words (`sandbox.spec`) are the protocol's."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Protocol

from dabbawala.cluster.sandbox.spec import ContainerSpec, ContainerUsage, ExecSpec, PodSpec, PodStatus


class RuntimeFailure(Exception):
    """The runtime could not do it. `reason` is a constant, the text is for the pod's event."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Session(Protocol):
    """A command running in a container, or an attachment to its first process."""

    tty: bool
    error: str

    async def write(self, data: bytes) -> None: ...

    def close_stdin(self) -> None: ...

    def resize(self, columns: int, rows: int) -> None: ...

    def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """(1 or 2, data), until the end of both streams."""
        ...

    async def wait(self) -> int: ...

    def close(self) -> None: ...


class Runtime(Protocol):
    """Sandboxes and runs, by pod uid and container name. Methods raise RuntimeFailure."""

    name: str

    async def sandboxes(self) -> list[PodStatus]:
        """Every sandbox of this node, also those of an earlier agent."""
        ...

    async def create(self, pod: PodSpec) -> None: ...

    async def inspect(self, uid: str) -> PodStatus | None:
        """None when there is no such sandbox; not `alive` when it has died."""
        ...

    async def start(self, uid: str, container: ContainerSpec) -> None: ...

    async def signal(self, uid: str, container: str, signum: int) -> None: ...

    async def remove(self, uid: str) -> None: ...

    async def exec(self, uid: str, container: str, command: ExecSpec) -> Session: ...

    async def attach(self, uid: str, container: str, *, stdin: bool) -> Session: ...

    async def close_stdin(self, uid: str, container: str) -> None:
        """No more input for the container's first process, from anyone. A terminal stays open."""
        ...

    async def dial(self, uid: str, port: int, *, host: str = "127.0.0.1") -> socket.socket:
        """A connection made inside the pod's network."""
        ...

    async def node_dial(self, host: str, port: int) -> socket.socket:
        """A connection made from the node's network."""
        ...

    async def usage(self, uid: str) -> list[ContainerUsage]: ...
