"""The client's side of a connection to the sandbox, and the sessions (exec, attach) that live on one.

A session's streams are pipes or a terminal between the client and the program itself: bytes do not pass through the
shim on their way to a command, and a resize is an ioctl on the terminal that the client holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import struct
import termios
from collections.abc import AsyncIterator, Sequence

from dabbawala.cluster.sandbox import spec, wire

STDOUT, STDERR = 1, 2
_READ_BYTES = 65536


async def readable(fd: int) -> None:
    """Wait until the descriptor can be read (or has ended)."""
    await _ready(fd, reading=True)


async def _ready(fd: int, *, reading: bool) -> None:
    events = asyncio.get_running_loop()
    done: asyncio.Future[None] = events.create_future()

    def fire() -> None:
        if not done.done():
            done.set_result(None)

    add, remove = (events.add_reader, events.remove_reader) if reading else (events.add_writer, events.remove_writer)
    add(fd, fire)
    try:
        await done
    finally:
        remove(fd)


class Connection:
    """One request to the holder or a shim."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._inbox = wire.Inbox()

    async def send(self, request: wire.Message, descriptors: Sequence[int] = ()) -> None:
        data = memoryview(wire.encode(request))
        if descriptors:
            data = data[socket.send_fds(self._socket, [data], list(descriptors)) :]
        if data:
            await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def answer(self) -> wire.Message:
        """The next line; SandboxError when it is a refusal, EOFError when there is none."""
        while (message := self._inbox.take()) is None:
            await readable(self._socket.fileno())
            more = True
            with contextlib.suppress(BlockingIOError):
                more = self._inbox.receive(self._socket)
            if not more:
                raise EOFError("the connection ended")
        if "error" in message:
            raise wire.SandboxError(message["error"], message["message"])
        return message

    def take_descriptors(self) -> list[int]:
        return self._inbox.take_descriptors()

    def close(self) -> None:
        for fd in self._inbox.take_descriptors():
            os.close(fd)
        self._socket.close()


async def connect(path: str) -> Connection:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        await asyncio.get_running_loop().sock_connect(sock, path)
    except BaseException:
        sock.close()
        raise
    return Connection(sock)


class Session:
    """A running command or an attachment: its input, its output, its end."""

    def __init__(self, connection: Connection, stdin: int, outputs: dict[int, int], *, tty: bool) -> None:
        self._connection = connection
        self._stdin = stdin
        self._outputs = outputs
        self.tty = tty
        self.error = ""
        for fd in {stdin, *outputs.values()} - {-1}:
            os.set_blocking(fd, False)

    async def write(self, data: bytes) -> None:
        """To the program's input; BrokenPipeError when it no longer reads."""
        view = memoryview(data)
        while view and self._stdin >= 0:
            try:
                view = view[os.write(self._stdin, view) :]
            except BlockingIOError:
                await _ready(self._stdin, reading=False)

    def close_stdin(self) -> None:
        """End of input. On a terminal that is a typed character, so write b'\\x04' there."""
        if self._stdin >= 0 and not self.tty:
            os.close(self._stdin)
            self._stdin = -1

    def resize(self, columns: int, rows: int) -> None:
        terminal = self._outputs.get(STDOUT, self._stdin)
        if self.tty and terminal >= 0:
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """(STDOUT or STDERR, data) as it comes, until the program and all its children have closed both."""
        queue: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(maxsize=4)
        readers = [asyncio.ensure_future(self._read(number, fd, queue)) for number, fd in self._outputs.items()]
        left = len(readers)
        try:
            while left:
                number, data = await queue.get()
                if data:
                    yield number, data
                else:
                    left -= 1
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)

    async def _read(self, number: int, fd: int, queue: asyncio.Queue[tuple[int, bytes]]) -> None:
        data = b"begun"
        while data:
            await readable(fd)
            try:
                data = os.read(fd, _READ_BYTES)
            except BlockingIOError:
                continue
            except OSError:  # a terminal without users says EIO
                data = b""
            await queue.put((number, data))

    async def wait(self) -> int:
        """The exit code. A command that could not start gives 126 or 127, and `error` says why."""
        while True:
            try:
                message = await self._connection.answer()
            except wire.SandboxError as refusal:
                if refusal.reason != "StartError":
                    raise
                self.error = refusal.message
                continue
            if "exit_code" in message:
                return int(message["exit_code"])

    def close(self) -> None:
        """Let go of it; the program goes on until it notices that its streams are closed."""
        for fd in {self._stdin, *self._outputs.values()} - {-1}:
            os.close(fd)
        self._stdin, self._outputs = -1, {}
        self._connection.close()


async def start(connection: Connection, request: wire.Message, command: spec.ExecSpec) -> Session:
    """Send an exec request and build its session; the caller closes it."""
    try:
        if command.tty:
            return await _start_on_terminal(connection, request)
        return await _start_on_pipes(connection, request, stdin=command.stdin)
    except BaseException:
        connection.close()
        raise


async def _start_on_terminal(connection: Connection, request: wire.Message) -> Session:
    await connection.send(request)
    try:
        await connection.answer()
    except wire.SandboxError as refusal:
        if refusal.reason != "StartError":
            raise
        failed = Session(connection, -1, {}, tty=True)
        failed.error = refusal.message
        return failed
    (master,) = connection.take_descriptors()
    return Session(connection, master, {STDOUT: master}, tty=True)


async def _start_on_pipes(connection: Connection, request: wire.Message, *, stdin: bool) -> Session:
    inward_reader, inward = os.pipe() if stdin else (os.open(os.devnull, os.O_RDONLY), -1)
    out, out_writer = os.pipe()
    err, err_writer = os.pipe()
    theirs = (inward_reader, out_writer, err_writer)
    try:
        await connection.send(request, theirs)
    finally:
        for fd in theirs:
            os.close(fd)
    return Session(connection, inward, {STDOUT: out, STDERR: err}, tty=False)


async def attach(connection: Connection, request: wire.Message, *, stdin: bool) -> Session:
    out, out_writer = os.pipe()
    err, err_writer = os.pipe()
    try:
        await connection.send(request, (out_writer, err_writer))
        answer = await connection.answer()
    except BaseException:
        connection.close()
        os.close(out)
        os.close(err)
        raise
    finally:
        os.close(out_writer)
        os.close(err_writer)
    given = connection.take_descriptors()
    for fd in given[1 if stdin else 0 :]:
        os.close(fd)
    return Session(connection, given[0] if stdin and given else -1, {STDOUT: out, STDERR: err}, tty=bool(answer["tty"]))
