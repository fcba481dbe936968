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
from dabbawala.cluster.sandbox import idmap, init, kernel, limits, loop, network, rtnetlink, spec, view, wire

_KEPT_RUNS = 3  # ended runs remembered of each container


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a shim takes over from the holder."""

    socket_path: str
    place: view.Place
    node_namespace: int
    node_index: int
    groups: limits.ControlGroups


@dataclass(slots=True)
class Execution:
    """A further command in a container, and who waits for its end."""

    container: str
    request: loop.Request


class Shim:
    def __init__(self, pod: spec.PodSpec, around: Surroundings) -> None:
        self.pod = pod
        self._around = around
        self._one_id = idmap.knows_one_id()
        self._runs: dict[str, list[containers.Container]] = {}
        self._executions: dict[int, Execution] = {}
        self._own_pid_namespace = -1
        self._pause = 0
        self._stopping: loop.Request | None = None
        self._sampling = False
        self._loop = loop.Loop(self._reap)
        self._operations: dict[str, Callable[[loop.Request], None]] = {
            "start": self._start,
            "signal": self._signal,
            "status": self._report,
            "stats": self._stats,
            "exec": self._exec,
            "attach": self._attach,
            "close_stdin": self._close_stdin,
            "socket": self._socket,
            "stop": self._stop,
        }

    def run(self, ready: loop.Request) -> int:
        """Build the pod's namespaces, say so to whoever asked for it, and serve until it is stopped."""
        kernel.set_process_name("dabba-shim")
        try:
            self._enter()
            door = loop.Door(self._loop, self._around.socket_path, self._serve)
        except Exception as error:  # told to whoever asked for the pod
            ready.finish(wire.failure(error))
            return 1
        ready.finish({"socket": self._around.socket_path})
        self._loop.run()
        door.close()
        return 0

    def _enter(self) -> None:
        os.makedirs(self.pod.state_dir, mode=0o700, exist_ok=True)
        network.wire_pod(self._around.node_namespace, self._around.node_index, self.pod.address, self.pod.sysctls)
        os.close(self._around.node_namespace)
        kernel.unshare(kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS)
        socket.sethostname(self.pod.hostname)
        self._own_pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        if self.pod.share_process_namespace:
            self._pause = self._fork_into(None, init.pause, ())

    def _serve(self, request: loop.Request) -> None:
        operation = self._operations.get(request.message.get("op", ""))
        if operation is None:
            raise wire.SandboxError("UnknownOperation", f"a pod does not know {request.message.get('op')!r}")
        operation(request)

    def _current(self, name: str) -> containers.Container:
        runs = self._runs.get(name)
        if not runs:
            raise wire.SandboxError("NotFound", f"container {name!r} was never started in this pod")
        return runs[-1]

    def _running(self, name: str) -> containers.Container:
        current = self._current(name)
        if not current.running:
            raise wire.SandboxError("NotRunning", f"container {name!r} is not running")
        return current

    def _started(self) -> list[list[containers.Container]]:
        return [runs for runs in self._runs.values() if runs]

    # --- containers

    def _start(self, request: loop.Request) -> None:
        wanted = spec.container_from(request.message["container"])
        runs = self._runs.setdefault(wanted.name, [])
        if runs and not runs[-1].ended:
            raise wire.SandboxError("AlreadyRunning", f"container {wanted.name!r} still runs")
        idmap.container_maps(wanted.user)
        run = containers.Container(self._loop, self.pod, wanted)
        try:
            self._launch(run, request)
        except BaseException:
            run.release()
            raise
        runs.append(run)
        del runs[:-_KEPT_RUNS]

    def _launch(self, run: containers.Container, request: loop.Request) -> None:
        run.joins = self._around.groups.limit(run.group, run.spec.limits)
        self._watch_memory(run.spec)
        stdio = run.open_stdio()
        ours, theirs = socket.socketpair()
        start = init.Start(self.pod, run.spec, self._around.place, run.joins, self._one_id, theirs, stdio)
        shared = self._pause_namespace()
        pid = self._fork_into(shared, lambda: init.run(start), start.descriptors())
        for fd in (*stdio, theirs.detach(), -1 if shared is None else shared):
            if fd >= 0:
                os.close(fd)
        run.started(pid, ours, request)

    def _pause_namespace(self) -> int | None:
        if not self._pause:
            return None
        return os.open(f"/proc/{self._pause}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

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
            self._loop.every(limits.SAMPLE_SECONDS, self._sample)

    def _sample(self) -> None:
        for runs in self._started():
            runs[-1].enforce_memory(self._executed_in(runs[-1].spec.name))

    def _executed_in(self, name: str) -> list[int]:
        return [pid for pid, execution in self._executions.items() if execution.container == name]

    def _signal(self, request: loop.Request) -> None:
        self._current(request.message["container"]).signal(int(request.message["signal"]))
        request.finish({})

    def status(self) -> spec.PodStatus:
        pod = self.pod
        every = tuple(run.status for runs in self._runs.values() for run in runs)
        return spec.PodStatus(pod.uid, pod.namespace, pod.name, pod.node, pod.address, True, every)

    def _report(self, request: loop.Request) -> None:
        request.finish(spec.to_json(self.status()))

    def _stats(self, request: loop.Request) -> None:
        used = []
        for runs in self._started():
            name = runs[-1].spec.name
            if runs[-1].running:
                processes = limits.tree([runs[-1].status.pid, *self._executed_in(name)])
                used.append(spec.to_json(spec.ContainerUsage(name, *limits.usage(processes))))
        request.finish({"containers": used})

    # --- commands, streams, sockets

    def _exec(self, request: loop.Request) -> None:
        run = self._running(request.message["container"])
        wanted = spec.exec_from(request.message["exec"])
        inside = Inside(run, wanted, self._one_id, request)
        pid = self._fork_into(run.namespaces[kernel.CLONE_NEWPID], inside.enter, inside.descriptors())
        self._executions[pid] = Execution(run.spec.name, request)

    def _attach(self, request: loop.Request) -> None:
        """The client's pipes get what the program writes from now on; it gets the program's standard input."""
        run = self._running(request.message["container"])
        for stream, fd in zip((b"stdout", b"stderr"), request.descriptors, strict=False):
            run.follow(stream, os.dup(fd))
        answered = (run.stdin,) if run.stdin >= 0 else ()
        request.finish({"stdin": bool(answered), "tty": run.spec.tty}, answered)

    def _close_stdin(self, request: loop.Request) -> None:
        self._running(request.message["container"]).close_stdin()
        request.finish({})

    def _socket(self, request: loop.Request) -> None:
        """A socket belongs to the network in which it was made: the client connects it from wherever it is."""
        kind = socket.SOCK_DGRAM if request.message.get("udp") else socket.SOCK_STREAM
        with socket.socket(socket.AF_INET, kind) as made:
            request.finish({}, (made.fileno(),))

    # --- the end

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                self._ended(pid, status)
        if self._stopping is not None and not self._alive():
            self._leave()

    def _ended(self, pid: int, status: int) -> None:
        execution = self._executions.pop(pid, None)
        if execution is not None:
            code, signum = init.describe(status)
            execution.request.finish({"exit_code": code, "signal": signum})
        for runs in self._started():
            if runs[-1].status.pid == pid:
                runs[-1].reaped(status, self._around.groups)

    def _alive(self) -> bool:
        return any(not runs[-1].ended for runs in self._started())

    def _stop(self, request: loop.Request) -> None:
        """Kill what still runs and end the pod. Whoever wants it gentler signals the containers first."""
        self._stopping = request
        for runs in self._started():
            runs[-1].signal(signal.SIGKILL)
        if not self._alive():
            self._leave()

    def _leave(self) -> None:
        if self._pause:
            os.kill(self._pause, signal.SIGKILL)
        with contextlib.suppress(OSError):
            # Gone at once on both sides; left to the namespace's end it would linger and block its name.
            rtnetlink.Netlink().delete("eth0")
        if self._stopping is not None:
            self._stopping.finish(spec.to_json(self.status()))
            self._stopping = None
        self._loop.stop()


@dataclass(frozen=True, slots=True)
class Inside:
    """A command on its way into a container. The client's connection tells it about the terminal and the end."""

    run: containers.Container
    wanted: spec.ExecSpec
    one_id: bool
    request: loop.Request

    def descriptors(self) -> tuple[int, ...]:
        kept = (self.run.namespaces[kernel.CLONE_NEWNS], self.run.namespaces[kernel.CLONE_NEWUSER])
        return (*kept, self.request.connection.fileno(), *self.request.descriptors)

    def enter(self) -> int:
        connection = self.request.connection
        try:
            self._enter(connection)
        except OSError as error:
            program = self.wanted.argv[0] if self.wanted.argv else ""
            refusal = wire.SandboxError("StartError", f'exec: "{program}": {os.strerror(error.errno or 0).lower()}')
            wire.send(connection, wire.failure(refusal))
            return 126 if error.errno == 13 else 127
        return 0

    def _enter(self, connection: socket.socket) -> None:
        kernel.forbid_inspection()
        container = self.run.spec
        # The mount namespace first: it belongs to the cluster's user namespace, over which the next step ends all power.
        for path in self.run.joins:
            init.join_cgroup(path)
        kernel.setns(self.run.namespaces[kernel.CLONE_NEWNS], kernel.CLONE_NEWNS)
        kernel.setns(self.run.namespaces[kernel.CLONE_NEWUSER], kernel.CLONE_NEWUSER)
        os.umask(0o022)
        init.become(container.user, one_id=self.one_id)
        kernel.forbid_inspection()
        wanted = self.wanted
        if wanted.tty:
            stdio = init.open_terminal(connection)
        else:
            given = [*self.request.descriptors, -1, -1, -1]
            stdio = (given[0], given[1], given[2])
        env = init.environment(self.run.pod.hostname, {**container.env, **wanted.env}, container.user, wanted.tty)
        init.execute(wanted.argv, env, wanted.cwd or container.cwd or "/", stdio, wanted.tty)
