"""The parent of one pod: forked from the holder, so it costs a few megabytes of copied pages and no imports.

It owns the pod's network, ipc and uts namespaces, its containers' logs and exit records, and a unix socket at which
agents ask. Agents come and go; the shim stays, and whoever asks later gets the truth. Its death ends the pod.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass

from dabbawala.cluster.sandbox import container as containers
from dabbawala.cluster.sandbox import (
    idmap,
    init,
    inside,
    kernel,
    limits,
    loop,
    network,
    rtnetlink,
    runs,
    spec,
    sysctls,
    view,
    wire,
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a shim takes over from the holder."""

    socket_path: str
    place: view.Place
    node_namespace: int
    node_index: int
    groups: limits.ControlGroups


class Shim:
    """Starts containers and commands in them, reaps them, and ends when told to."""

    def __init__(self, pod: spec.PodSpec, around: Surroundings) -> None:
        self.pod = pod
        self._around = around
        self._one_id = idmap.knows_one_id()
        self._own_pid_namespace = -1
        self._pause = 0
        self._stopping: loop.Request | None = None
        self._sampling = False
        self._loop = loop.Loop(self._reap)
        self._runs = runs.Runs(self._loop, pod, around.groups)
        self._operations: loop.Operations = {
            "start": self._start,
            "exec": self._exec,
            "socket": self._socket,
            "stop": self._stop,
            **self._runs.operations(),
        }

    def run(self, ready: loop.Request) -> int:
        """Build the pod's namespaces, say so to whoever asked for it, and serve until it is stopped."""
        kernel.set_process_name("dabba-shim", self.pod.uid)
        try:
            self._enter()
            door = loop.Door(self._loop, self._around.socket_path, self._operations)
        except Exception as error:  # told to whoever asked for the pod
            ready.finish(wire.failure(error))
            return 0
        ready.finish({"socket": self._around.socket_path})
        self._loop.run()
        door.close()
        return 0

    def _enter(self) -> None:
        sysctls.check(self.pod.sysctls)
        os.makedirs(self.pod.state_dir, mode=0o700, exist_ok=True)
        network.wire_pod(self._around.node_namespace, self._around.node_index, self.pod.address)
        os.close(self._around.node_namespace)
        kernel.unshare(kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS)
        sysctls.apply(self.pod.sysctls)  # now that every namespace they belong to is the pod's own
        socket.sethostname(self.pod.hostname)
        self._own_pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        if self.pod.share_process_namespace:
            self._pause = self._fork_into(None, init.pause, ())

    def _start(self, request: loop.Request) -> None:
        wanted = spec.container_from(request.message["container"])
        self._runs.check_new(wanted)
        idmap.container_maps(wanted.user)
        run = containers.Container(self._loop, self.pod, wanted)
        try:
            self._launch(run, request)
        except BaseException:
            self._around.groups.remove(run.group)
            run.release()
            raise
        self._runs.add(run)

    def _launch(self, run: containers.Container, request: loop.Request) -> None:
        wanted = run.spec
        run.joins = self._around.groups.limit(run.group, wanted.limits)
        self._watch_memory(wanted)
        stdio = (-1, -1, -1) if wanted.tty else run.streams.open_pipes(stdin=wanted.stdin)
        ours, theirs = socket.socketpair()
        start = init.Start(self.pod, wanted, self._around.place, run.joins, self._one_id, theirs, stdio)
        shared = os.open(f"/proc/{self._pause}/ns/pid", os.O_RDONLY | os.O_CLOEXEC) if self._pause else None
        pid = self._fork_into(shared, lambda: init.run(start), start.descriptors())
        for fd in (*stdio, theirs.detach(), -1 if shared is None else shared):
            if fd >= 0:
                os.close(fd)
        run.started(pid, ours, request)

    def _fork_into(self, namespace: int | None, work: Callable[[], int], keep: tuple[int, ...]) -> int:
        """Fork a child into a pid namespace (a new one when None); this process itself stays where it is."""
        if namespace is None:
            kernel.unshare(kernel.CLONE_NEWPID)
        else:
            kernel.setns(namespace, kernel.CLONE_NEWPID)
        try:
            return loop.fork(work, keep)
        finally:
            kernel.setns(self._own_pid_namespace, kernel.CLONE_NEWPID)

    def _watch_memory(self, wanted: spec.ContainerSpec) -> None:
        if wanted.limits.memory_bytes and not self._around.groups.bases and not self._sampling:
            self._sampling = True
            self._loop.every(limits.SAMPLE_SECONDS, self._runs.enforce_memory)

    def _exec(self, request: loop.Request) -> None:
        run = self._runs.running(request.message["container"])
        wanted = spec.exec_from(request.message["exec"])
        command = inside.Inside(run, wanted, self._one_id, request)
        pid = self._fork_into(run.namespaces[kernel.CLONE_NEWPID], command.enter, command.descriptors())
        self._runs.executed(pid, run.spec.name, request, ends_with_client=wanted.ends_with_client)

    def _socket(self, request: loop.Request) -> None:
        """A socket belongs to the network in which it was made: the client connects it from wherever it is."""
        kind = socket.SOCK_DGRAM if request.message.get("udp") else socket.SOCK_STREAM
        with socket.socket(socket.AF_INET, kind) as made:
            request.finish({}, (made.fileno(),))

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                self._runs.ended(pid, status)
        if self._stopping is not None and not self._runs.alive():
            self._leave(self._stopping)

    def _stop(self, request: loop.Request) -> None:
        """Kill what still runs and end the pod. Whoever wants it gentler signals the containers first."""
        self._stopping = request
        self._runs.kill()
        if not self._runs.alive():
            self._leave(request)

    def _leave(self, request: loop.Request) -> None:
        if self._pause:
            os.kill(self._pause, signal.SIGKILL)
        with contextlib.suppress(OSError):
            # Gone at once on both sides; left to the namespace's end it would linger and block its name.
            rtnetlink.Netlink().delete("eth0")
        request.finish(spec.to_json(self._runs.status()))
        self._stopping = None
        self._loop.stop()
