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
from pathlib import Path

from dabbawala.cluster.sandbox import asking, launch, probe, sessions, spec, wire
from dabbawala.cluster.sandbox.asking import HolderGone
from dabbawala.cluster.sandbox.wire import SandboxError

__all__ = ["HolderClient", "HolderGone", "SandboxError"]

_START_SECONDS = 10.0
_END_SECONDS = 30.0
_SOCKET_PATH_BYTES = 107
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[3])


class Nodes(asking.Asking):
    """Node networks and named processes."""

    async def create_node(self, name: str, index: int) -> str:
        """The node's network (1-based index) joined to all others; returns its address. Repeating it is harmless."""
        return str((await self.ask({"op": "create_node", "name": name, "index": index}))["address"])

    async def remove_node(self, name: str) -> None:
        await self.ask({"op": "remove_node", "name": name})

    async def partition(self, node: str) -> None:
        """Cut the node's links to all other nodes, until `heal`."""
        await self.ask({"op": "partition", "name": node})

    async def heal(self, node: str) -> None:
        await self.ask({"op": "heal", "name": node})

    async def node_dial(self, node: str, host: str, port: int, *, timeout: float = 5.0) -> socket.socket:
        """A non-blocking socket connected from the node's network."""
        return await asking.connect(await self.node_socket(node), host, port, timeout)

    async def node_socket(self, node: str, *, udp: bool = False) -> socket.socket:
        """An unbound socket of the node's network."""
        return await self.ask_for_socket(self.holder_path(), {"op": "socket", "node": node, "udp": udp})

    async def listen(self, node: str, host: str, port: int, *, udp: bool = False) -> socket.socket:
        """A bound (and for TCP, listening) socket of the node's network."""
        request = {"op": "socket", "node": node, "udp": udp, "bind": [host, port]}
        bound = await self.ask_for_socket(self.holder_path(), request)
        if not udp:
            bound.listen(128)
        return bound

    async def spawn(self, process: spec.ProcessSpec) -> int:
        """Start it; returns its pid inside the holder's pid namespace. AlreadyRunning if it runs."""
        return int((await self.ask({"op": "spawn", "process": spec.to_json(process)}))["pid"])

    async def spawn_netd(self, node: str, address: str, table_path: str, log_path: str) -> int:
        """Start the node's DNS and egress daemon. DESIGN.md has the format of the table file."""
        argv = (sys.executable, "-I", "-S", "-c", _entry("netd"), _PACKAGE_ROOT, address, table_path)
        env = {"PATH": os.defpath, "LANG": "C.UTF-8"}
        return await self.spawn(spec.ProcessSpec(f"netd-{node}", argv, log_path, env=env, with_network_of=node))

    async def processes(self) -> dict[str, spec.ProcessStatus]:
        listed = (await self.ask({"op": "list"}))["processes"]
        return {status["name"]: spec.ProcessStatus(**status) for status in listed}

    async def signal(self, name: str, signum: int) -> bool:
        """Signal a named process; False when it had already ended."""
        return bool((await self.ask({"op": "signal", "name": name, "signal": int(signum)}))["running"])

    async def wait(self, name: str, *, timeout: float | None = None) -> spec.ProcessStatus:
        """Wait for the end of a named process."""
        return spec.ProcessStatus(**await self.ask({"op": "wait", "name": name}, timeout=timeout))


class Pods(asking.Asking):
    """Pods and their containers."""

    async def create_pod(self, pod: spec.PodSpec) -> None:
        await self.ask({"op": "create_pod", "pod": spec.to_json(pod)})

    async def list_pods(self) -> list[spec.PodStatus]:
        """Every pod with a sandbox, containers included; those whose shim has died say `alive=False`."""
        listed = (await self.ask({"op": "pods"}))["pods"]
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
        return spec.pod_status_from(await self.ask_pod(uid, {"op": "status"}))

    async def remove_pod(self, uid: str) -> None:
        """Kill what still runs in it and take the sandbox down. Harmless when it is gone."""
        with contextlib.suppress(HolderGone):
            await self.ask_pod(uid, {"op": "stop"})
        await self.ask({"op": "forget_pod", "uid": uid})

    async def start_container(self, uid: str, container: spec.ContainerSpec) -> int:
        """Start one run; returns the pid of its init when the program has been executed. StartError says why not."""
        answer = await self.ask_pod(uid, {"op": "start", "container": spec.to_json(container)})
        return int(answer["pid"])

    async def signal_container(self, uid: str, container: str, signum: int) -> None:
        await self.ask_pod(uid, {"op": "signal", "container": container, "signal": int(signum)})

    async def stats(self, uid: str) -> list[spec.ContainerUsage]:
        answer = await self.ask_pod(uid, {"op": "stats"})
        return [spec.ContainerUsage(**usage) for usage in answer["containers"]]

    async def dial(self, uid: str, port: int, *, host: str = "127.0.0.1", timeout: float = 5.0) -> socket.socket:
        """A non-blocking socket connected from inside the pod's network (so also to its loopback)."""
        made = await self.ask_for_socket(self.pod_path(uid), {"op": "socket"})
        return await asking.connect(made, host, port, timeout)

    async def exec(self, uid: str, container: str, command: spec.ExecSpec) -> sessions.Session:
        """Run a further command in a container. A command that cannot start ends with 126 or 127 and `error` set."""
        connection = await self.open(self.pod_path(uid))
        request = {"op": "exec", "container": container, "exec": spec.to_json(command)}
        return await sessions.start(connection, request, command)

    async def attach(self, uid: str, container: str, *, stdin: bool = False) -> sessions.Session:
        """Follow the output of the running program from now on, and write to its input when `stdin` was asked for."""
        connection = await self.open(self.pod_path(uid))
        return await sessions.attach(connection, {"op": "attach", "container": container}, stdin=stdin)

    async def close_container_stdin(self, uid: str, container: str) -> None:
        await self.ask_pod(uid, {"op": "close_stdin", "container": container})


class HolderClient(Nodes, Pods):
    """Speaks to the holder of one cluster, by its run directory."""

    def __init__(self, run_dir: str | Path) -> None:
        super().__init__(str(run_dir))

    async def start(self) -> None:
        """Make sure that a holder runs here. RuntimeError says why it cannot, with the remedy."""
        if launch.recorded(self.run_dir)[0]:
            with contextlib.suppress(HolderGone):
                await self.info()
                return
            await self.stop()
        longest = f"{self.run_dir}/pods/{'0' * 36}.sock"
        if len(longest.encode()) > _SOCKET_PATH_BYTES:
            raise RuntimeError(f"{self.run_dir} is too long for unix sockets; set XDG_RUNTIME_DIR to a shorter path")
        os.makedirs(self.run_dir, mode=0o700, exist_ok=True)
        os.chmod(self.run_dir, 0o700)
        launching = asyncio.ensure_future(self._launch())
        try:
            said = (await asyncio.shield(launching)).strip()
        except asyncio.CancelledError:
            with contextlib.suppress(OSError, TimeoutError):
                await launching  # to its end, so that there is a record by which it can be found and ended
            raise
        if said != "ok":
            verdict = await asyncio.to_thread(probe.run)
            raise RuntimeError(f"the sandbox did not start: {said}" if verdict.possible else verdict.explain())

    async def _launch(self) -> str:
        reader, writer = os.pipe()
        argv = [sys.executable, "-I", "-S", "-c", _entry("launch"), _PACKAGE_ROOT, self.run_dir, str(writer)]
        try:
            # A clean environment: what is in this one (keys, tokens) is nobody's business down there.
            env = {"PATH": os.defpath, "LANG": "C.UTF-8"}
            null = asyncio.subprocess.DEVNULL
            child = await asyncio.create_subprocess_exec(*argv, pass_fds=[writer], env=env, stdin=null)
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
        return await self.ask({"op": "info"})


def _entry(module: str) -> str:
    """Code that runs a module of this package with nothing else on the path: 20 ms less than -m with its site."""
    start = "import sys; sys.path.insert(0, sys.argv[1]); "
    return start + f"from dabbawala.cluster.sandbox import {module}; {module}.main(*sys.argv[2:])"


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
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signum)
        await asyncio.wait_for(sessions.readable(descriptor), _END_SECONDS)
    finally:
        os.close(descriptor)
