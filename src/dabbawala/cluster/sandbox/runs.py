"""What a shim knows of its containers: the latest runs of each, and the commands executed in them."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass

from dabbawala.cluster.sandbox import container as containers
from dabbawala.cluster.sandbox import init, limits, loop, spec, wire

_KEPT_RUNS = 3  # of each container: the current one and the ended ones before it


@dataclass(frozen=True, slots=True)
class Execution:
    """A command in a container, and who waits for its end."""

    container: str
    request: loop.Request


class Runs:
    """By container name, oldest first; a name in here has at least one run."""

    def __init__(self, events: loop.Loop, pod: spec.PodSpec, groups: limits.ControlGroups) -> None:
        self._loop = events
        self._pod = pod
        self._groups = groups
        self._runs: dict[str, list[containers.Container]] = {}
        self._executions: dict[int, Execution] = {}

    def operations(self) -> loop.Operations:
        return {
            "signal": self._signal,
            "status": lambda request: request.finish(spec.to_json(self.status())),
            "stats": self._stats,
            "attach": lambda request: _attach(self.running(request.message["container"]), request),
            "close_stdin": lambda request: _close_stdin(self.running(request.message["container"]), request),
        }

    def check_new(self, wanted: spec.ContainerSpec) -> None:
        runs = self._runs.get(wanted.name)
        if runs and not runs[-1].ended:
            raise wire.SandboxError("AlreadyRunning", f"container {wanted.name!r} still runs")

    def add(self, run: containers.Container) -> None:
        runs = self._runs.setdefault(run.spec.name, [])
        runs.append(run)
        del runs[:-_KEPT_RUNS]

    def executed(self, pid: int, container: str, request: loop.Request, *, ends_with_client: bool) -> None:
        self._executions[pid] = Execution(container, request)
        if ends_with_client:
            self._loop.watch(request.connection.fileno(), lambda: _end_execution(self._loop, pid, request))

    def _latest(self, name: str) -> containers.Container:
        if name not in self._runs:
            raise wire.SandboxError("NotFound", f"container {name!r} was never started in this pod")
        return self._runs[name][-1]

    def running(self, name: str) -> containers.Container:
        latest = self._latest(name)
        if not latest.running:
            raise wire.SandboxError("NotRunning", f"container {name!r} is not running")
        return latest

    def alive(self) -> bool:
        return any(not runs[-1].ended for runs in self._runs.values())

    def kill(self) -> None:
        for runs in self._runs.values():
            runs[-1].signal(signal.SIGKILL)

    def status(self) -> spec.PodStatus:
        pod = self._pod
        every = tuple(run.status for runs in self._runs.values() for run in runs)
        return spec.PodStatus(pod.uid, pod.namespace, pod.name, pod.node, pod.address, True, every)

    def enforce_memory(self) -> None:
        for name, runs in self._runs.items():
            runs[-1].enforce_memory(self._executed_in(name))

    def _executed_in(self, name: str) -> list[int]:
        return [pid for pid, execution in self._executions.items() if execution.container == name]

    def ended(self, pid: int, status: int) -> None:
        """A child of the shim has been reaped: a command, or a container's init."""
        execution = self._executions.pop(pid, None)
        if execution is not None:
            code, signum = init.describe(status)
            self._loop.forget(execution.request.connection.fileno())
            execution.request.finish({"exit_code": code, "signal": signum})
            return
        for runs in self._runs.values():
            if runs[-1].status.pid == pid:
                runs[-1].reaped(status, self._groups)
                return

    def _signal(self, request: loop.Request) -> None:
        self._latest(request.message["container"]).signal(int(request.message["signal"]))
        request.finish({})

    def _stats(self, request: loop.Request) -> None:
        used = []
        for name, runs in self._runs.items():
            if runs[-1].running:
                processes = limits.tree([runs[-1].status.pid, *self._executed_in(name)])
                used.append(spec.to_json(spec.ContainerUsage(name, *limits.usage(processes))))
        request.finish({"containers": used})


def _end_execution(events: loop.Loop, pid: int, request: loop.Request) -> None:
    """Nobody waits any more. Not reaped yet, so the number is still its own; it may not lead its group yet."""
    events.forget(request.connection.fileno())
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)


def _attach(run: containers.Container, request: loop.Request) -> None:
    """The client's pipes get what the program writes from now on; it gets the program's standard input."""
    for stream, fd in zip((b"stdout", b"stderr"), request.descriptors, strict=False):
        run.streams.follow(stream, os.dup(fd))
    answered = (run.streams.stdin,) if run.streams.stdin >= 0 else ()
    request.finish({"stdin": bool(answered), "tty": run.spec.tty}, answered)


def _close_stdin(run: containers.Container, request: loop.Request) -> None:
    if not run.spec.tty:
        run.streams.close_stdin()
    request.finish({})
