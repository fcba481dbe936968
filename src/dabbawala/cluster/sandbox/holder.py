"""Pid 1 of the cluster: keeps the network namespaces, forks what runs in them, reaps it, and does nothing else.

It lives in a user, pid, mount, ipc and uts namespace of its own but in the host's network, outlives the control plane
that started it, and its end ends everything below it: that is what makes `down` sure. It answers at one unix socket.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from dabbawala.cluster.sandbox import container as containers
from dabbawala.cluster.sandbox import idmap, init, kernel, limits, loop, network, shim, spec, view, wire

_KEPT_PROCESSES = 128
_LOG_BYTES = 10 * 1024 * 1024
_MAX_PODS = 4096


@dataclass(slots=True)
class Process:
    """A named process and whoever waits for its end."""

    spec: spec.ProcessSpec
    status: spec.ProcessStatus
    waiting: list[loop.Request]


@dataclass(slots=True)
class Pod:
    """What the holder itself knows of a pod: enough to say that its shim has died."""

    spec: spec.PodSpec
    pid: int
    socket_path: str


class Holder:
    def __init__(self, run_dir: str) -> None:
        self._run_dir = run_dir
        self._nodes: dict[str, network.NodeNetwork] = {}
        self._processes: dict[str, Process] = {}
        self._pods: dict[str, Pod] = {}
        self._place = view.Place(f"{run_dir}/view", f"{run_dir}/scratch")
        self._groups = limits.detect(f"dabbawala-{os.path.basename(run_dir)}")
        self._loop = loop.Loop(self._reap)
        self._operations: dict[str, Callable[[loop.Request], None]] = {
            "info": self._info,
            "create_node": self._create_node,
            "remove_node": self._remove_node,
            "partition": self._partition,
            "heal": self._heal,
            "socket": self._socket,
            "spawn": self._spawn,
            "list": self._list,
            "signal": self._signal,
            "wait": self._wait,
            "create_pod": self._create_pod,
            "pods": self._list_pods,
            "forget_pod": self._forget_pod,
        }

    def run(self, ready: int) -> None:
        """Open the door, tell the launcher, serve until killed."""
        for path in (self._place.root, self._place.scratch, f"{self._run_dir}/pods", f"{self._run_dir}/processes"):
            os.makedirs(path, mode=0o700, exist_ok=True)
        containers.write_record(f"{self._run_dir}/cgroups.json", list(self._groups.bases.values()))
        loop.Door(self._loop, f"{self._run_dir}/holder.sock", self._serve)
        os.write(ready, b"ok\n")
        os.close(ready)
        self._loop.run()

    def _serve(self, request: loop.Request) -> None:
        operation = self._operations.get(request.message.get("op", ""))
        if operation is None:
            raise wire.SandboxError("UnknownOperation", f"the holder does not know {request.message.get('op')!r}")
        operation(request)

    def _info(self, request: loop.Request) -> None:
        limited_by = f"cgroup v{self._groups.version}" if self._groups.bases else "sampling"
        nodes = {name: {"address": node.address, "index": node.index, "partitioned": node.partitioned}
                 for name, node in self._nodes.items()}  # fmt: skip
        request.finish({"one_id": idmap.knows_one_id(), "limits": limited_by, "nodes": nodes})

    # --- nodes

    def _node(self, name: str) -> network.NodeNetwork:
        if name not in self._nodes:
            raise wire.SandboxError("NotFound", f"node {name!r} has no network here; create it first")
        return self._nodes[name]

    def _create_node(self, request: loop.Request) -> None:
        name, index = request.message["name"], int(request.message["index"])
        taken = next((node for node in self._nodes.values() if node.index == index or node.name == name), None)
        if taken is None:
            node = network.NodeNetwork(name, index)
            for other in self._nodes.values():
                node.join(other)
            self._nodes[name] = node
        elif (taken.name, taken.index) != (name, index):
            raise wire.SandboxError("AlreadyExists", f"node {taken.name!r} already has index {taken.index}")
        request.finish({"address": network.gateway(index)})

    def _remove_node(self, request: loop.Request) -> None:
        node = self._node(request.message["name"])
        if any(pod.spec.node == node.name for pod in self._pods.values()):
            raise wire.SandboxError("InUse", f"node {node.name!r} still has pods")
        del self._nodes[node.name]
        for other in self._nodes.values():
            with contextlib.suppress(OSError):
                other.netlink.delete(f"n{node.index}")
        node.close()
        request.finish({})

    def _others(self, node: network.NodeNetwork) -> list[network.NodeNetwork]:
        return [other for other in self._nodes.values() if other is not node]

    def _partition(self, request: loop.Request) -> None:
        node = self._node(request.message["name"])
        node.partition(self._others(node))
        request.finish({})

    def _heal(self, request: loop.Request) -> None:
        node = self._node(request.message["name"])
        node.heal(self._others(node))
        request.finish({})

    def _socket(self, request: loop.Request) -> None:
        kind = socket.SOCK_DGRAM if request.message.get("udp") else socket.SOCK_STREAM
        with self._node(request.message["node"]).open_socket(kind) as made:
            if request.message.get("bind"):
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                made.bind(tuple(request.message["bind"]))
            request.finish({}, (made.fileno(),))

    # --- named processes

    def _spawn(self, request: loop.Request) -> None:
        wanted = spec.process_from(request.message["process"])
        known = self._processes.get(wanted.name)
        if known is not None and known.status.running:
            raise wire.SandboxError("AlreadyRunning", f"process {wanted.name!r} runs as pid {known.status.pid}")
        inside = self._node(wanted.node).namespace if wanted.node else -1
        beside = self._node(wanted.with_network_of).namespace if wanted.with_network_of else -1
        verdict, told = os.pipe2(os.O_CLOEXEC)
        kept = tuple(fd for fd in (inside, beside, told) if fd >= 0)
        pid = loop.fork(lambda: _become_process(wanted, inside, beside, told), kept)
        os.close(told)
        said = os.read(verdict, 4096).decode()
        os.close(verdict)
        if said:
            raise wire.SandboxError("StartError", said)
        status = spec.ProcessStatus(wanted.name, True, pid, started_at=time.time(), node=wanted.node)
        self._forget_old_processes()
        self._processes[wanted.name] = Process(wanted, status, [])
        request.finish({"pid": pid})

    def _forget_old_processes(self) -> None:
        ended = [name for name, process in self._processes.items() if not process.status.running]
        for name in ended[: max(0, len(self._processes) - _KEPT_PROCESSES)]:
            del self._processes[name]

    def _list(self, request: loop.Request) -> None:
        request.finish({"processes": [spec.to_json(process.status) for process in self._processes.values()]})

    def _process(self, request: loop.Request) -> Process:
        name = request.message["name"]
        if name not in self._processes:
            raise wire.SandboxError("NotFound", f"no process {name!r} was started here")
        return self._processes[name]

    def _signal(self, request: loop.Request) -> None:
        status = self._process(request).status
        if status.running:
            os.kill(status.pid, int(request.message["signal"]))
        request.finish({"running": status.running})

    def _wait(self, request: loop.Request) -> None:
        process = self._process(request)
        if process.status.running:
            process.waiting.append(request)
        else:
            request.finish(spec.to_json(process.status))

    # --- pods

    def _create_pod(self, request: loop.Request) -> None:
        """Fork the shim and leave the request to it: it answers when the pod's network stands."""
        wanted = spec.pod_from(request.message["pod"])
        if wanted.uid in self._pods:
            raise wire.SandboxError("AlreadyExists", f"pod {wanted.uid} already has a sandbox")
        if len(self._pods) >= _MAX_PODS:
            raise wire.SandboxError("TooManyPods", f"one cluster holds at most {_MAX_PODS} pods with processes")
        node = self._node(wanted.node)
        path = f"{self._run_dir}/pods/{wanted.uid}.sock"
        around = shim.Surroundings(path, self._place, node.namespace, node.index, self._groups)
        kept = (node.namespace, request.connection.fileno())
        pid = loop.fork(lambda: shim.Shim(wanted, around).run(request), kept)
        self._pods[wanted.uid] = Pod(wanted, pid, path)
        request.close()

    def _list_pods(self, request: loop.Request) -> None:
        listed = [
            spec.to_json(spec.PodStatus(uid, pod.spec.namespace, pod.spec.name, pod.spec.node, pod.spec.address, pod.pid > 0))
            for uid, pod in self._pods.items()
        ]  # fmt: skip
        request.finish({"pods": listed})

    def _forget_pod(self, request: loop.Request) -> None:
        pod = self._pods.get(request.message["uid"])
        if pod is not None and pod.pid > 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pod.pid, signal.SIGKILL)
        self._pods.pop(request.message["uid"], None)
        request.finish({})

    # --- reaping

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                self._process_ended(pid, status)
                self._shim_ended(pid, status)

    def _process_ended(self, pid: int, status: int) -> None:
        process = next((each for each in self._processes.values() if each.status.pid == pid), None)
        if process is None or not process.status.running:
            return
        code, signum = init.describe(status)
        process.status = dataclasses.replace(
            process.status, running=False, finished_at=time.time(), exit_code=code, signal=signum
        )
        ended = spec.to_json(process.status)
        containers.write_record(f"{self._run_dir}/processes/{process.spec.name}.json", ended)
        for request in process.waiting:
            request.finish(ended)
        process.waiting = []

    def _shim_ended(self, pid: int, status: int) -> None:
        pod = next((each for each in self._pods.values() if each.pid == pid), None)
        if pod is None:
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(pod.socket_path)
        node = self._nodes.get(pod.spec.node)
        if node is not None:
            with contextlib.suppress(OSError):
                node.netlink.delete(network.link_of(pod.spec.address))
        if status == 0:
            del self._pods[pod.spec.uid]
        else:
            pod.pid = 0


def _become_process(wanted: spec.ProcessSpec, inside: int, beside: int, told: int) -> int:
    """In the child: enter the network, redirect, exec; what fails is told through the pipe that exec closes."""
    try:
        if inside >= 0:
            kernel.setns(inside, kernel.CLONE_NEWNET)
        env = dict(wanted.env)
        if beside >= 0:
            os.set_inheritable(beside, True)
            env["DABBAWALA_NETNS"] = str(beside)
        log = _open_log(wanted.log_path)
        init.execute(wanted.argv, env, wanted.cwd, (-1, log, log), False)
    except OSError as error:
        os.write(told, f"cannot start {wanted.name}: {wanted.argv[0]}: {error.strerror or error}".encode())
    return 127


def _open_log(path: str) -> int:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if os.stat(path).st_size > _LOG_BYTES:
            os.replace(path, f"{path}.1")
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)


def main(run_dir: str, ready: int) -> None:
    """Run as pid 1. The launcher has set up the user namespace and forked into the pid namespace."""
    kernel.set_process_name("dabba-holder")
    os.umask(0o077)
    os.chdir("/")
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_SLAVE)
    kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    Holder(run_dir).run(ready)
