"""Named processes (Envoy, agents, network daemons): started by the holder, so no other process's end ends them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from dataclasses import dataclass

from dabbawala.cluster.sandbox import init, kernel, loop, nodes, records, spec, wire

_KEPT_ENDED = 128
_LOG_BYTES = 10 * 1024 * 1024


@dataclass(slots=True)
class Process:
    """One of them, and whoever waits for its end."""

    wanted: spec.ProcessSpec
    status: spec.ProcessStatus
    waiting: list[loop.Request]


class Processes:
    """The latest run of each name. Ends are also written to files, for whoever asks after the holder itself."""

    def __init__(self, events: loop.Loop, known_nodes: nodes.Nodes, directory: str) -> None:
        self._loop = events
        self._nodes = known_nodes
        self._directory = directory
        self._processes: dict[str, Process] = {}

    def operations(self) -> loop.Operations:
        return {"spawn": self._spawn, "list": self._list, "signal": self._signal, "wait": self._wait}

    def _spawn(self, request: loop.Request) -> None:
        wanted = spec.process_from(request.message["process"])
        known = self._processes.get(wanted.name)
        if known is not None and known.status.running:
            raise wire.SandboxError("AlreadyRunning", f"process {wanted.name!r} runs as pid {known.status.pid}")
        inside = self._nodes.get(wanted.node).namespace if wanted.node else -1
        beside = self._nodes.get(wanted.with_network_of).namespace if wanted.with_network_of else -1
        verdict, told = os.pipe2(os.O_CLOEXEC)
        kept = tuple(fd for fd in (inside, beside, told) if fd >= 0)
        pid = loop.fork(lambda: _become(wanted, inside, beside, told), kept)
        os.close(told)
        said = os.read(verdict, 4096).decode()
        os.close(verdict)
        if said:
            raise wire.SandboxError("StartError", said)
        self._forget_old()
        status = spec.ProcessStatus(wanted.name, True, pid, started_at=time.time(), node=wanted.node)
        self._processes[wanted.name] = Process(wanted, status, [])
        request.finish({"pid": pid})

    def _forget_old(self) -> None:
        ended = [name for name, process in self._processes.items() if not process.status.running]
        for name in ended[: max(0, len(ended) - _KEPT_ENDED)]:
            del self._processes[name]

    def _list(self, request: loop.Request) -> None:
        request.finish({"processes": [spec.to_json(process.status) for process in self._processes.values()]})

    def _named(self, request: loop.Request) -> Process:
        name = request.message["name"]
        if name not in self._processes:
            raise wire.SandboxError("NotFound", f"no process {name!r} was started here")
        return self._processes[name]

    def _signal(self, request: loop.Request) -> None:
        status = self._named(request).status
        if status.running:
            os.kill(status.pid, int(request.message["signal"]))
        request.finish({"running": status.running})

    def _wait(self, request: loop.Request) -> None:
        process = self._named(request)
        if process.status.running:
            process.waiting.append(request)
            # A control plane that is killed while it waits must not leave its connection here for ever.
            self._loop.watch(request.connection.fileno(), lambda: self._gave_up(process, request))
        else:
            request.finish(spec.to_json(process.status))

    def _gave_up(self, process: Process, request: loop.Request) -> None:
        self._loop.forget(request.connection.fileno())
        process.waiting.remove(request)
        request.close()

    def ended(self, pid: int, status: int) -> None:
        process = next((each for each in self._processes.values() if each.status.pid == pid), None)
        if process is None or not process.status.running:
            return
        code, signum = init.describe(status)
        process.status = dataclasses.replace(
            process.status, running=False, finished_at=time.time(), exit_code=code, signal=signum
        )
        ended = spec.to_json(process.status)
        records.note(f"{self._directory}/{process.wanted.name}.json", ended)
        for request in process.waiting:
            self._loop.forget(request.connection.fileno())
            request.finish(ended)
        process.waiting = []


def _become(wanted: spec.ProcessSpec, inside: int, beside: int, told: int) -> int:
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
    """Append; a large log of earlier runs is set aside first, so two files bound what a restarting process leaves."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if os.stat(path).st_size > _LOG_BYTES:
            os.replace(path, f"{path}.1")
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
