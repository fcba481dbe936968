"""One run of a container, as its shim knows it: its init, what that says, and how it ended."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import time

from dabbawala.cluster.sandbox import idmap, init, kernel, limits, loop, records, spec, streams, wire

_MESSAGE_BYTES = 4096


class Container:
    """Born when asked for, running when the program has been executed, exited when its init has been reaped."""

    def __init__(self, events: loop.Loop, pod: spec.PodSpec, container: spec.ContainerSpec) -> None:
        self._loop = events
        self.pod = pod
        self.spec = container
        self.status = spec.ContainerStatus(container.name, container.attempt, "created")
        self.group = f"{pod.uid}-{container.name}-{container.attempt}"
        self.message_file = spec.message_file(pod, container)
        self.namespaces: dict[int, int] = {}
        self.joins: tuple[str, ...] = ()
        with open(self.message_file, "w") as file:
            os.fchmod(file.fileno(), 0o666)  # whoever the container runs as may leave its last words
        self.streams = streams.Streams(events, container.log_path)
        self._starter: loop.Request | None = None
        self._channel: socket.socket | None = None
        self._inbox = wire.Inbox()
        self._refusal: wire.Message | None = None
        self._outcome: tuple[int, int] | None = None
        self._killed_for_memory = False

    @property
    def running(self) -> bool:
        return self.status.state == "running"

    @property
    def ended(self) -> bool:
        return self.status.state == "exited"

    def started(self, pid: int, channel: socket.socket, starter: loop.Request) -> None:
        """The init has been forked; it speaks through the channel, and the starter waits for what it says."""
        self.status = dataclasses.replace(self.status, pid=pid)
        self._channel, self._starter = channel, starter
        self._loop.watch(channel.fileno(), self._hear)

    def _hear(self) -> None:
        """What the init says: it needs its id maps, it has a terminal, the program runs, could not run, has ended."""
        channel = self._channel
        if channel is None:
            return
        try:
            more = self._inbox.receive(channel)
        except OSError:
            more = False
        while (message := self._inbox.take()) is not None:
            self._obey(channel, message)
        if not more:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._channel is not None:
            self._loop.forget(self._channel.fileno())
            self._channel.close()
            self._channel = None

    def _obey(self, channel: socket.socket, message: wire.Message) -> None:
        if "map" in message:
            try:
                self._admit(channel)
            except (OSError, wire.SandboxError) as error:
                self._refuse(wire.failure(error))
                self.signal(signal.SIGKILL)
        elif "terminal" in message:
            self.streams.use_terminal(self._inbox.take_descriptors()[0])
        elif "started" in message:
            self.status = dataclasses.replace(self.status, state="running", started_at=time.time())
            self._answer({"pid": self.status.pid})
        elif "error" in message:
            self._refuse(message)
        elif "exit_code" in message:
            self._outcome = (message["exit_code"], message["signal"])

    def _admit(self, channel: socket.socket) -> None:
        """Map the init's ids and keep its namespaces open: later the kernel will not show them any more."""
        pid = self.status.pid
        idmap.write_maps(pid, *idmap.container_maps(self.spec.user))
        kinds = {kernel.CLONE_NEWNS: "mnt", kernel.CLONE_NEWUSER: "user", kernel.CLONE_NEWPID: "pid"}
        for kind, name in kinds.items():
            self.namespaces[kind] = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        channel.send(b"y")

    def _refuse(self, message: wire.Message) -> None:
        """Told to the starter only when the init is gone and on record, so that it may start the next run at once."""
        self._outcome = (init.CANNOT_START, 0)
        self.status = dataclasses.replace(self.status, message=message["message"])
        self._refusal = message

    def _answer(self, message: wire.Message) -> None:
        if self._starter is not None:
            self._starter.finish(message)
            self._starter = None

    def signal(self, signum: int) -> None:
        """The init hands signals on to the program; SIGKILL ends the init and with it every process inside."""
        if self.ended or not self.status.pid:
            return
        members = [self.status.pid]
        if signum == signal.SIGKILL and self.pod.share_process_namespace:
            # There the init is not pid 1, and its end would leave the others to the pod.
            members = limits.tree(members)
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)

    def enforce_memory(self, executed: list[int]) -> None:
        """The fallback without control groups."""
        limit = self.spec.limits.memory_bytes
        if limit and self.running and limits.usage(limits.tree([self.status.pid, *executed]))[1] > limit:
            self._killed_for_memory = True
            self.signal(signal.SIGKILL)

    def reaped(self, status: int, groups: limits.ControlGroups) -> None:
        """The init is gone and everything in its pid namespace with it. Take what is left, and put it on record."""
        if self._channel is not None:
            self._channel.setblocking(False)
            self._hear()
        code, signum = self._outcome or init.describe(status)
        oom = self._killed_for_memory or bool(groups.bases and groups.out_of_memory(self.group))
        if self._killed_for_memory:
            code, signum = 128 + signal.SIGKILL, int(signal.SIGKILL)
        self.status = dataclasses.replace(
            self.status,
            state="exited",
            pid=0,
            finished_at=time.time(),
            exit_code=code,
            signal=signum,
            oom=oom,
            message=self.status.message or self._termination_message(),
        )
        groups.remove(self.group)
        self.release()
        records.note(f"{self.pod.state_dir}/{self.spec.name}-{self.spec.attempt}.json", spec.to_json(self.status))
        self._answer(self._refusal or {"error": "StartError", "message": "ended before it could start"})

    def _termination_message(self) -> str:
        with contextlib.suppress(OSError), open(self.message_file, "rb") as file:
            return file.read(_MESSAGE_BYTES).decode(errors="replace")
        return ""

    def release(self) -> None:
        """Close what this run holds open, the rest of its output included."""
        self.streams.close()
        for fd in self.namespaces.values():
            os.close(fd)
        self.namespaces = {}
        self._hang_up()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.message_file)
