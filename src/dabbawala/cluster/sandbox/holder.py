"""Pid 1 of the cluster: keeps the network namespaces, forks what runs in them, reaps it, and does nothing else.

It lives in a user, pid, mount, ipc and uts namespace of its own but in the host's network, outlives the control plane
that started it, and its end ends everything below it: that is what makes `down` sure. It answers at one unix socket.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import zlib
from dataclasses import dataclass

from dabbawala.cluster.sandbox import (
    idmap,
    kernel,
    limits,
    loop,
    nodes,
    processes,
    records,
    shim,
    spec,
    view,
    wire,
)

_MAX_PODS = 4096
_DESCRIPTORS = 65536


@dataclass(slots=True)
class Pod:
    """What the holder itself knows of a pod: enough to say that its shim has died (pid 0)."""

    wanted: spec.PodSpec
    pid: int
    socket_path: str

    def status(self) -> spec.PodStatus:
        pod = self.wanted
        return spec.PodStatus(pod.uid, pod.namespace, pod.name, pod.node, pod.address, self.pid > 0)


class Holder:
    """Serves requests, and hands those about a pod's inside to the pod's own shim."""

    def __init__(self, run_dir: str) -> None:
        self._run_dir = run_dir
        self._nodes = nodes.Nodes()
        self._pods: dict[str, Pod] = {}
        self._place = view.Place(f"{run_dir}/view", f"{run_dir}/scratch")
        self._groups = limits.detect(f"dabbawala-{os.path.basename(run_dir)}-{zlib.crc32(run_dir.encode()):08x}")
        self._loop = loop.Loop(self._reap)
        self._processes = processes.Processes(self._loop, self._nodes, f"{run_dir}/processes")
        self._operations: loop.Operations = {
            "info": self._info,
            "create_pod": self._create_pod,
            "pods": self._list_pods,
            "forget_pod": self._forget_pod,
            **self._nodes.operations(),
            **self._processes.operations(),
        }

    def run(self, ready: int) -> None:
        """Open the door, tell the launcher, serve until killed."""
        for path in (self._place.root, self._place.scratch, f"{self._run_dir}/pods", f"{self._run_dir}/processes"):
            os.makedirs(path, mode=0o700, exist_ok=True)
        records.write(f"{self._run_dir}/cgroups.json", list(self._groups.bases.values()))
        loop.Door(self._loop, f"{self._run_dir}/holder.sock", self._operations)
        os.write(ready, b"ok\n")
        os.close(ready)
        self._loop.run()

    def _info(self, request: loop.Request) -> None:
        limited_by = f"cgroup v{self._groups.version}" if self._groups.bases else "sampling"
        told = {"one_id": idmap.knows_one_id(), "limits": limited_by, "nodes": self._nodes.describe()}
        request.finish(told)

    def _create_pod(self, request: loop.Request) -> None:
        """Fork the shim and leave the request to it: it answers when the pod's network stands."""
        wanted = spec.pod_from(request.message["pod"])
        self._check_new(wanted)
        node = self._nodes.get(wanted.node)
        path = f"{self._run_dir}/pods/{wanted.uid}.sock"
        around = shim.Surroundings(path, self._place, node.namespace, node.index, self._groups)
        kept = (node.namespace, request.connection.fileno())
        pid = loop.fork(lambda: shim.Shim(wanted, around).run(request), kept)
        self._pods[wanted.uid] = Pod(wanted, pid, path)
        request.close()

    def _check_new(self, wanted: spec.PodSpec) -> None:
        if wanted.uid in self._pods:
            raise wire.SandboxError("AlreadyExists", f"pod {wanted.uid} already has a sandbox")
        if not wanted.uid or "/" in wanted.uid or wanted.uid.startswith("."):
            raise wire.SandboxError("BadRequest", f"{wanted.uid!r} is no pod uid")
        if len(self._pods) >= _MAX_PODS:
            raise wire.SandboxError("TooManyPods", f"one cluster holds at most {_MAX_PODS} pods with processes")
        taken = next((pod for pod in self._pods.values() if pod.pid and pod.wanted.address == wanted.address), None)
        if taken is not None:
            raise wire.SandboxError("AddressInUse", f"{wanted.address} is the address of pod {taken.wanted.name}")

    def _list_pods(self, request: loop.Request) -> None:
        request.finish({"pods": [spec.to_json(pod.status()) for pod in self._pods.values()]})

    def _forget_pod(self, request: loop.Request) -> None:
        pod = self._pods.get(request.message["uid"])
        if pod is not None and pod.pid > 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pod.pid, signal.SIGKILL)
            self._take_down(pod)
        self._pods.pop(request.message["uid"], None)
        request.finish({})

    def _take_down(self, pod: Pod) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(pod.socket_path)
        self._nodes.forget_link(pod.wanted.node, pod.wanted.address)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                self._processes.ended(pid, status)
                self._shim_ended(pid, status)

    def _shim_ended(self, pid: int, status: int) -> None:
        """A shim that was stopped leaves no trace; one that died is remembered until its pod is removed."""
        pod = next((each for each in self._pods.values() if each.pid == pid), None)
        if pod is None:
            return
        self._take_down(pod)
        pod.pid = 0
        if status == 0:
            del self._pods[pod.wanted.uid]


def _allow_descriptors() -> None:
    """Pods, Envoys and this process inherit it; a login's usual 1,024 is too few for a proxy."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def main(run_dir: str, ready: int) -> None:
    """Run as pid 1. The launcher has set up the user namespace and forked into the pid namespace."""
    kernel.set_process_name("dabba-holder")
    os.umask(0o077)
    os.chdir("/")
    _allow_descriptors()
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_SLAVE)
    kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    Holder(run_dir).run(ready)
