"""The sandbox as the rest of the cluster sees it: start the holder, ask it and the pods, end it all.

Every method is one request on one connection. What the sandbox refuses is a `SandboxError` with a reason; that it does
not run at all is `HolderGone`. Nothing is remembered here, so any number of clients may speak to one holder.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from dabbawala.cluster.sandbox import launch, probe, sessions, spec, wire
from dabbawala.cluster.sandbox.wire import SandboxError

__all__ = ["HolderClient", "HolderGone", "SandboxError"]

_START_SECONDS = 10.0
_END_SECONDS = 30.0
_REQUEST_SECONDS = 30.0
_SOCKET_PATH_BYTES = 107
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[3])


class HolderGone(Exception):
    """The holder, or the shim of the pod, does not answer: it was never started, or it has ended."""


class HolderClient:
    """Speaks to the holder of one cluster, by its run directory."""

    def __init__(self, run_dir: str | Path) -> None:
        self.run_dir = str(run_dir)

    # --- the holder itself

    async def start(self) -> None:
        """Make sure that a holder runs here. RuntimeError says why it cannot, with the remedy."""
        if launch.recorded(self.run_dir)[0]:
            with contextlib.suppress(HolderGone):
                await self.info()
                return
            await self.stop()
        longest = f"{self.run_dir}/pods/{'0' * 36}.sock"
        if len(longest.encode()) > _SOCKET_PATH_BYTES:
            raise RuntimeError(f"{self.run_dir} is too long a path for unix sockets; set XDG_RUNTIME_DIR to a shorter one")
        os.makedirs(self.run_dir, mode=0o700, exist_ok=True)
        os.chmod(self.run_dir, 0o700)
        said = await self._launch()
        if said.strip() != "ok":
            verdict = await asyncio.to_thread(probe.run)
            raise RuntimeError(verdict.explain() if not verdict.possible else f"the sandbox did not start: {said.strip()}")

    async def _launch(self) -> str:
        reader, writer = os.pipe()
        code = "import sys; sys.path.insert(0, sys.argv[1]); from dabbawala.cluster.sandbox import launch; "
        code += "launch.main(sys.argv[2], int(sys.argv[3]))"
        argv = [sys.executable, "-I", "-S", "-c", code, _PACKAGE_ROOT, self.run_dir, str(writer)]
        try:
            child = await asyncio.create_subprocess_exec(*argv, pass_fds=[writer], stdin=asyncio.subprocess.DEVNULL)
        finally:
            os.close(writer)
        try:
            said = await asyncio.wait_for(asyncio.to_thread(_read_all, reader), _START_SECONDS)
        finally:
            os.close(reader)
        await child.wait()
        return said

    async def stop(self) -> None:
        """End the holder and everything in it, now. Returns when nothing of it is left."""
        holding, tending = launch.recorded(self.run_dir)
        for pid, signum in ((holding, signal.SIGKILL), (tending, 0)):
            await _end(pid, signum)
        launch.clean(self.run_dir)

    def running(self) -> bool:
        return launch.recorded(self.run_dir)[0] > 0

    async def info(self) -> wire.Message:
        """`one_id` (bool), `limits` (how they are enforced) and `nodes` by name."""
        return await self._ask({"op": "info"})

    # --- nodes

    async def create_node(self, name: str, index: int) -> str:
        """The node's network (1-based index) joined to all others; returns its address. Repeating it is harmless."""
        return str((await self._ask({"op": "create_node", "name": name, "index": index}))["address"])

    async def remove_node(self, name: str) -> None:
        await self._ask({"op": "remove_node", "name": name})

    async def partition(self, node: str) -> None:
        """Cut the node's links to all other nodes, until `heal`."""
        await self._ask({"op": "partition", "name": node})

    async def heal(self, node: str) -> None:
        await self._ask({"op": "heal", "name": node})

    async def node_dial(self, node: str, host: str, port: int, *, timeout: float = 5.0) -> socket.socket:
        """A non-blocking socket connected from the node's network."""
        return await self._connect(await self.node_socket(node), host, port, timeout)

    async def node_socket(self, node: str, *, udp: bool = False) -> socket.socket:
        """An unbound socket of the node's network."""
        return await self._socket(self._holder_path(), {"op": "socket", "node": node, "udp": udp})

    async def listen(self, node: str, host: str, port: int, *, udp: bool = False) -> socket.socket:
        """A bound (and for TCP, listening) socket of the node's network."""
        request = {"op": "socket", "node": node, "udp": udp, "bind": [host, port]}
        bound = await self._socket(self._holder_path(), request)
        if not udp:
            bound.listen(128)
        return bound

    # --- named processes

    async def spawn(self, process: spec.ProcessSpec) -> int:
        """Start it; returns its pid inside the holder's pid namespace. AlreadyRunning if it runs."""
        return int((await self._ask({"op": "spawn", "process": spec.to_json(process)}))["pid"])

    async def processes(self) -> dict[str, spec.ProcessStatus]:
        listed = (await self._ask({"op": "list"}))["processes"]
        return {status["name"]: spec.ProcessStatus(**status) for status in listed}

    async def signal(self, name: str, signum: int) -> bool:
        """Signal a named process; False when it had already ended."""
        return bool((await self._ask({"op": "signal", "name": name, "signal": int(signum)}))["running"])

    async def wait(self, name: str, *, timeout: float | None = None) -> spec.ProcessStatus:
        """Wait for the end of a named process."""
        return spec.ProcessStatus(**await self._ask({"op": "wait", "name": name}, timeout=timeout))

    # --- pods

    async def create_pod(self, pod: spec.PodSpec) -> None:
        await self._ask({"op": "create_pod", "pod": spec.to_json(pod)})

    async def list_pods(self) -> list[spec.PodStatus]:
        """Every pod with a sandbox, containers included; those whose shim has died say `alive=False`."""
        listed = (await self._ask({"op": "pods"}))["pods"]
        pods = [spec.pod_status_from(status) for status in listed]
        return list(await asyncio.gather(*(self._refreshed(pod) for pod in pods)))

    async def _refreshed(self, pod: spec.PodStatus) -> spec.PodStatus:
        if not pod.alive:
            return pod
        try:
            return await self.pod_status(pod.uid)
        except HolderGone:
            return spec.PodStatus(pod.uid, pod.namespace, pod.name, pod.node, pod.address, False)

    async def pod_status(self, uid: str) -> spec.PodStatus:
        """HolderGone when there is no shim for it."""
        return spec.pod_status_from(await self._ask_pod(uid, {"op": "status"}))

    async def remove_pod(self, uid: str) -> None:
        """Kill what still runs in it and take the sandbox down. Harmless when it is gone."""
        with contextlib.suppress(HolderGone):
            await self._ask_pod(uid, {"op": "stop"})
        await self._ask({"op": "forget_pod", "uid": uid})

    async def start_container(self, uid: str, container: spec.ContainerSpec) -> int:
        """Start one run; returns the pid of its init when the program has been executed. StartError says why not."""
        answer = await self._ask_pod(uid, {"op": "start", "container": spec.to_json(container)})
        return int(answer["pid"])

    async def signal_container(self, uid: str, container: str, signum: int) -> None:
        await self._ask_pod(uid, {"op": "signal", "container": container, "signal": int(signum)})

    async def stats(self, uid: str) -> list[spec.ContainerUsage]:
        answer = await self._ask_pod(uid, {"op": "stats"})
        return [spec.ContainerUsage(**usage) for usage in answer["containers"]]

    async def dial(self, uid: str, port: int, *, host: str = "127.0.0.1", timeout: float = 5.0) -> socket.socket:
        """A non-blocking socket connected from inside the pod's network (so also to its loopback)."""
        made = await self._socket(self._pod_path(uid), {"op": "socket"})
        return await self._connect(made, host, port, timeout)

    async def exec(self, uid: str, container: str, command: spec.ExecSpec) -> sessions.Session:
        """Run a further command in a container. A command that cannot start ends with 126 or 127 and `error` set."""
        connection = await self._open(self._pod_path(uid))
        request = {"op": "exec", "container": container, "exec": spec.to_json(command)}
        return await sessions.start(connection, request, command)

    async def attach(self, uid: str, container: str, *, stdin: bool = False) -> sessions.Session:
        """Follow the output of the running program from now on, and write to its input when `stdin` was asked for."""
        connection = await self._open(self._pod_path(uid))
        return await sessions.attach(connection, {"op": "attach", "container": container}, stdin=stdin)

    async def close_container_stdin(self, uid: str, container: str) -> None:
        await self._ask_pod(uid, {"op": "close_stdin", "container": container})

    # --- one request

    def _holder_path(self) -> str:
        return f"{self.run_dir}/holder.sock"

    def _pod_path(self, uid: str) -> str:
        return f"{self.run_dir}/pods/{uid}.sock"

    async def _ask(self, request: wire.Message, *, timeout: float | None = _REQUEST_SECONDS) -> wire.Message:
        return await self._ask_at(self._holder_path(), request, timeout)

    async def _ask_pod(self, uid: str, request: wire.Message) -> wire.Message:
        return await self._ask_at(self._pod_path(uid), request, _REQUEST_SECONDS)

    async def _open(self, path: str) -> sessions.Connection:
        try:
            return await sessions.connect(path)
        except OSError as error:
            raise HolderGone(f"nothing answers at {path}: {error.strerror or error}") from error

    async def _ask_at(self, path: str, request: wire.Message, timeout: float | None) -> wire.Message:
        connection = await self._open(path)
        try:
            async with asyncio.timeout(timeout):
                await connection.send(request)
                return await connection.answer()
        except (ConnectionError, EOFError) as error:
            raise HolderGone(f"{path} ended without an answer") from error
        finally:
            connection.close()

    async def _socket(self, path: str, request: wire.Message) -> socket.socket:
        connection = await self._open(path)
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                await connection.send(request)
                await connection.answer()
            (descriptor,) = connection.take_descriptors()
        except (ConnectionError, EOFError) as error:
            raise HolderGone(f"{path} ended without an answer") from error
        finally:
            connection.close()
        made = socket.socket(fileno=descriptor)
        made.setblocking(False)
        return made

    async def _connect(self, made: socket.socket, host: str, port: int, timeout: float) -> socket.socket:
        try:
            async with asyncio.timeout(timeout):
                await asyncio.get_running_loop().sock_connect(made, (host, port))
        except BaseException:
            made.close()
            raise
        return made


def _read_all(fd: int) -> str:
    parts = []
    while part := os.read(fd, 4096):
        parts.append(part)
    return b"".join(parts).decode(errors="replace")


async def _end(pid: int, signum: int) -> None:
    """Signal a process (0: only wait) and wait until it is gone; pids are not reused while a pidfd is open."""
    if not pid:
        return
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if signum:
            signal.pidfd_send_signal(descriptor, signum)
        await asyncio.wait_for(sessions.readable(descriptor), _END_SECONDS)
    finally:
        os.close(descriptor)
