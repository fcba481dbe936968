"""The event loop of the holder and of the shims: descriptors, ended children, a few timers. Nothing else.

asyncio would cost each shim 8 MB and 40 ms of imports; a pod's parent must be cheap.
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import signal
import socket
import struct
import time
from collections.abc import Callable

from dabbawala.cluster.sandbox import wire

_BACKLOG = 128


class Loop:
    """Runs callbacks until `stop`; a callback must not block."""

    def __init__(self, on_child: Callable[[], None]) -> None:
        self._selector = selectors.DefaultSelector()
        self._on_child = on_child
        self._running = True
        self._timers: list[tuple[float, float, Callable[[], None]]] = []
        self._wake, self._woken = socket.socketpair()
        for end in (self._wake, self._woken):
            end.setblocking(False)
        self.watch(self._woken.fileno(), self._children_changed)

    def watch(self, fd: int, callback: Callable[[], None], *, writing: bool = False) -> None:
        events = selectors.EVENT_WRITE if writing else selectors.EVENT_READ
        self._selector.register(fd, events, callback)

    def forget(self, fd: int) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(fd)

    def every(self, seconds: float, callback: Callable[[], None]) -> None:
        self._timers.append((time.monotonic() + seconds, seconds, callback))

    def stop(self) -> None:
        self._running = False

    def run(self) -> None:
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        self._on_child()
        while self._running:
            for key, _ in self._selector.select(self._fire_timers()):
                # An earlier callback of this round may have closed it, and the number may be another's by now.
                current = self._selector.get_map().get(key.fd)
                if current is not None and current.data is key.data:
                    key.data()

    def _children_changed(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass
        self._on_child()

    def _fire_timers(self) -> float | None:
        if not self._timers:
            return None
        now = time.monotonic()
        for position, (due, period, callback) in enumerate(self._timers):
            if due <= now:
                self._timers[position] = (now + period, period, callback)
                callback()
        return max(0.0, min(due for due, _, _ in self._timers) - time.monotonic())


class Request:
    """One request that arrived at a door, with the connection to answer on."""

    def __init__(self, connection: socket.socket, message: wire.Message, descriptors: list[int]) -> None:
        self.connection = connection
        self.message = message
        self.descriptors = descriptors

    def answer(self, message: wire.Message, descriptors: tuple[int, ...] = ()) -> None:
        """Say one line; a client that has gone away is no error of ours."""
        with contextlib.suppress(OSError):
            wire.send(self.connection, message, descriptors)

    def finish(self, message: wire.Message, descriptors: tuple[int, ...] = ()) -> None:
        self.answer(message, descriptors)
        self.close()

    def close(self) -> None:
        for fd in self.descriptors:
            os.close(fd)
        self.descriptors = []
        self.connection.close()


Operations = dict[str, Callable[[Request], None]]


class Door:
    """A unix socket at which the owner, and nobody else, may ask."""

    def __init__(self, loop: Loop, path: str, operations: Operations) -> None:
        self._loop = loop
        self._operations = operations
        self.path = path
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self._listener.bind(path)
        os.chmod(path, 0o600)
        self._listener.listen(_BACKLOG)
        self._listener.setblocking(False)
        loop.watch(self._listener.fileno(), self._accept)

    def close(self) -> None:
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # gone again, or too many descriptors: whoever asks tries again, everybody else lives on
            return
        _, uid, _ = struct.unpack("=iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        # Inside the cluster's user namespace its owner is uid 0, root or not; everybody else is not.
        if uid != os.getuid():
            connection.close()
            return
        connection.setblocking(False)
        inbox = wire.Inbox()
        self._loop.watch(connection.fileno(), lambda: self._read(connection, inbox))

    def _read(self, connection: socket.socket, inbox: wire.Inbox) -> None:
        try:
            more = inbox.receive(connection)
            message = inbox.take()
        except BlockingIOError:
            return
        except (OSError, ValueError, RecursionError, wire.SandboxError) as error:
            self._loop.forget(connection.fileno())
            Request(connection, {}, inbox.take_descriptors()).finish(wire.failure(error))
            return
        if message is None and more:
            return
        self._loop.forget(connection.fileno())
        request = Request(connection, message or {}, inbox.take_descriptors())
        if message is None:
            request.close()
            return
        connection.setblocking(True)
        connection.settimeout(5.0)
        self._dispatch(request)

    def _dispatch(self, request: Request) -> None:
        try:
            name = request.message.get("op")
            if name not in self._operations:
                raise wire.SandboxError("UnknownOperation", f"there is no operation {name!r} here")
            self._operations[name](request)
        except Exception as error:  # whatever a request did wrong is told to whoever asked, and ends there
            request.finish(wire.failure(error))


def fork(work: Callable[[], int], keep: tuple[int, ...] = ()) -> int:
    """Run `work` in a child that holds no descriptor but stdio and `keep`, and ends with its result."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        _become_fresh(keep)
        code = work()
    except BaseException as error:  # the child must never return into its parent's stack
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def _become_fresh(keep: tuple[int, ...]) -> None:
    # Objects of the parent must not be collected here: they would close descriptors that are no longer theirs.
    gc.freeze()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    start = 3
    for fd in sorted(keep):
        os.closerange(start, fd)
        start = fd + 1
    os.closerange(start, 1 << 20)
