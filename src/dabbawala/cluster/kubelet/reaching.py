"""Reaching a container for its probes and hooks, through the runtime: connections inside its pod's network, commands.

A connection to the pod's own address is made inside its network too: the program must listen there, not only on the
loopback, as on any node; and it works wherever the agent itself runs.
"""

from __future__ import annotations

import socket

from dabbawala.cluster.kubelet.node_parts import NodeParts
from dabbawala.cluster.kubelet.probes.ask import Reach
from dabbawala.cluster.kubelet.probes.verdict import NotAsked
from dabbawala.cluster.kubelet.runtimes.runtime import RuntimeFailure
from dabbawala.cluster.sandbox.spec import ExecSpec
from dabbawala.cluster.sandbox.wire import SandboxError

MAX_OUTPUT = 64 * 1024


def reach(parts: NodeParts, uid: str, container: str, address: str) -> Reach:
    async def connect(host: str, port: int) -> socket.socket:
        try:
            if host in (address, "localhost", "127.0.0.1"):
                return await parts.runtime.dial(uid, port, host="127.0.0.1" if host == "localhost" else host)
            return await parts.runtime.node_dial(host, port)
        except RuntimeFailure as failed:
            if isinstance(failed.__cause__, OSError):
                raise failed.__cause__ from failed
            raise NotAsked(failed.message) from failed

    async def run(argv: list[str]) -> tuple[int, bytes]:
        try:
            return await run_command(parts, uid, container, argv)
        except RuntimeFailure as failed:
            raise NotAsked(failed.message) from failed

    return Reach(address, connect, run)


async def run_command(parts: NodeParts, uid: str, container: str, argv: list[str]) -> tuple[int, bytes]:
    """Run a command in a container to its end: exit code and output, both streams together, the rest dropped. Raises
    RuntimeFailure when it could not be asked for, or when the sandbox ended first. Cancelling kills the command."""
    session = await parts.runtime.exec(uid, container, ExecSpec(tuple(argv), ends_with_client=True))
    try:
        collected = bytearray()
        async for _, data in session.output():
            collected += data[: MAX_OUTPUT - len(collected)]
        code = await session.wait()
        return code, bytes(collected) or session.error.encode()
    except (EOFError, OSError, SandboxError) as broken:
        raise RuntimeFailure("SandboxError", str(broken) or type(broken).__name__) from broken
    finally:
        session.close()
