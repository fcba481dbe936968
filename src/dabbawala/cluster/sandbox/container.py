"""One run of a container, as its shim knows it: processes, log, standard input, followers, and how it ended."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import signal
import socket
import time

from dabbawala.cluster.sandbox import idmap, init, kernel, limits, logs, loop, spec, wire

_MESSAGE_BYTES = 4096
_READ_BYTES = 65536
_STREAMS = {1: b"stdout", 2: b"stderr"}


def write_record(path: str, value: object) -> None:
    """Replace a small JSON file so that a reader sees the old or the new one, never a part."""
    temporary = f"{path}.new"
    with open(temporary, "w") as file:
        json.dump(value, file)
    os.replace(temporary, path)


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
        self.starter: loop.Request | None = None
        self.terminal = -1
        self.stdin = -1
        with open(self.message_file, "w") as file:
            os.fchmod(file.fileno(), 0o666)  # whoever the container runs as may leave its last words
        self._log = logs.LogFile(container.log_path)
        self._streams: dict[int, bytes] = {}
        self._followers: list[tuple[bytes, int]] = []
        self._channel: socket.socket | None = None
        self._inbox = wire.Inbox()
        self._outcome: tuple[int, int] | None = None
        self._killed_for_memory = False

    @property
    def running(self) -> bool:
        return self.status.state == "running"

    @property
    def ended(self) -> bool:
        return self.status.state == "exited"

    # --- starting

    def open_stdio(self) -> tuple[int, int, int]:
        """The program's ends of its standard streams; the shim's ends are watched from here on."""
        if self.spec.tty:
            return -1, -1, -1
        inward = -1
        if self.spec.stdin:
            inward, self.stdin = os.pipe2(os.O_CLOEXEC)
        ends = []
        for number in (1, 2):
            reader, writer = os.pipe2(os.O_CLOEXEC)
            self._read_from(reader, _STREAMS[number])
            ends.append(writer)
        return inward, ends[0], ends[1]

    def _read_from(self, fd: int, stream: bytes) -> None:
        os.set_blocking(fd, False)
        self._streams[fd] = stream
        self._loop.watch(fd, lambda: self._drain(fd))

    def started(self, pid: int, channel: socket.socket, starter: loop.Request) -> None:
        self.status = dataclasses.replace(self.status, pid=pid)
        self._channel, self.starter = channel, starter
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
            self._loop.forget(channel.fileno())
            channel.close()
            self._channel = None

    def _obey(self, channel: socket.socket, message: wire.Message) -> None:
        if "map" in message:
            try:
                self._admit(channel)
            except (OSError, wire.SandboxError) as error:
                self._refuse(wire.failure(error))
                self.signal(signal.SIGKILL)
        elif "terminal" in message:
            self.terminal = self._inbox.take_descriptors()[0]
            self.stdin = fcntl.fcntl(self.terminal, fcntl.F_DUPFD_CLOEXEC, 3)
            self._read_from(self.terminal, b"stdout")
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
        self._outcome = (init.CANNOT_START, 0)
        self.status = dataclasses.replace(self.status, message=message["message"])
        self._answer(message)

    def _answer(self, message: wire.Message) -> None:
        if self.starter is not None:
            self.starter.finish(message)
            self.starter = None

    # --- running

    def signal(self, signum: int) -> None:
        """The init hands signals on to the program; SIGKILL ends the init and with it every process inside."""
        if not self.ended and self.status.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.status.pid, signum)

    def enforce_memory(self, executed: list[int]) -> None:
        """The fallback without control groups."""
        limit = self.spec.limits.memory_bytes
        if limit and self.running and limits.usage(limits.tree([self.status.pid, *executed]))[1] > limit:
            self._killed_for_memory = True
            self.signal(signal.SIGKILL)

    def follow(self, stream: bytes, fd: int) -> None:
        os.set_blocking(fd, False)
        self._followers.append((stream, fd))

    def close_stdin(self) -> None:
        if self.stdin >= 0 and not self.spec.tty:
            os.close(self.stdin)
            self.stdin = -1

    def _drain(self, fd: int) -> None:
        try:
            data = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:  # a terminal whose last user has gone says EIO
            data = b""
        stream = self._streams[fd]
        if data:
            self._log.write(stream, data)
            self._pass_on(stream, data)
            return
        self._close_stream(fd)

    def _close_stream(self, fd: int) -> None:
        self._loop.forget(fd)
        self._log.end(self._streams.pop(fd))
        os.close(fd)
        if fd == self.terminal:
            self.terminal = -1

    def _pass_on(self, stream: bytes, data: bytes) -> None:
        for follower in list(self._followers):
            wanted, fd = follower
            if wanted != stream:
                continue
            try:
                os.write(fd, data)
            except OSError:  # gone, or so slow that its pipe is full: it must not hold up the program
                os.close(fd)
                self._followers.remove(follower)

    # --- ending

    def reaped(self, status: int, groups: limits.ControlGroups) -> None:
        """The init is gone and everything in its pid namespace with it. Take what is left, and put it on record."""
        if self._channel is not None:
            with contextlib.suppress(OSError, ValueError):
                self._channel.setblocking(False)
                self._hear()
        code, signum = self._outcome or init.describe(status)
        for fd in list(self._streams):
            self._finish_reading(fd)
        oom = self._killed_for_memory or bool(groups.bases and groups.out_of_memory(self.group))
        if self._killed_for_memory:
            code, signum = 137, int(signal.SIGKILL)
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
        self._answer({"error": "StartError", "message": self.status.message or "ended before it could start"})
        write_record(f"{self.pod.state_dir}/{self.spec.name}-{self.spec.attempt}.json", spec.to_json(self.status))
        self.release()

    def _finish_reading(self, fd: int) -> None:
        """Read to the end of what the ended processes wrote. A descriptor passed elsewhere must not hold this up."""
        for _ in range(1024):
            try:
                data = os.read(fd, _READ_BYTES)
            except OSError:
                break
            if not data:
                break
            self._log.write(self._streams[fd], data)
            self._pass_on(self._streams[fd], data)
        self._close_stream(fd)

    def _termination_message(self) -> str:
        with contextlib.suppress(OSError), open(self.message_file, "rb") as file:
            return file.read(_MESSAGE_BYTES).decode(errors="replace")
        return ""

    def release(self) -> None:
        self._log.close()
        for fd in (*self.namespaces.values(), *(fd for _, fd in self._followers)):
            os.close(fd)
        self.namespaces, self._followers = {}, []
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1
        if self._channel is not None:
            self._loop.forget(self._channel.fileno())
            self._channel.close()
            self._channel = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.message_file)
