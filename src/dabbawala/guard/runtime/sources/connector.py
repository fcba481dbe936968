"""Programs that start, as the kernel's process connector tells (netlink): every exec of the node, and every attach by
ptrace.

Root may listen anywhere; from Linux 6.6 on everybody may, in the machine's own pid and user namespaces. It gives a pid
and nothing else, so what has ended before /proc was read is lost, and counted. A filter in the kernel drops forks and
ends, which are most of it.
Source: Documentation/driver-api/connector.rst, include/uapi/linux/cn_proc.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket
import struct
from collections.abc import Iterator

from dabbawala.guard.runtime.sources.source import Unavailable

NAME = "process connector"
EXEC, PTRACE = 0x2, 0x100
_NONE = 0x0

_NETLINK_CONNECTOR, _CN_IDX_PROC, _CN_VAL_PROC = 11, 1, 1
_LISTEN, _IGNORE = 1, 2
_DONE = 3
_WHAT, _DATA = 36, 52  # offsets in a message: netlink header, connector header, then the event
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE = 26, 33
_BUFFER_BYTES = 4 * 1024 * 1024
_READS_MAX = 256
"""Messages taken before other work has its turn."""

_ANSWER_SECONDS_MAX = 1.0


class ProcessConnector:
    """An open subscription. `losses` counts how often the kernel dropped messages because we were late."""

    def __init__(self) -> None:
        """Raises Unavailable."""
        self.losses = 0
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _NETLINK_CONNECTOR)
        try:
            _enlarge(self._socket)
            _filter(self._socket, (_NONE, EXEC, PTRACE))
            self._socket.bind((0, _CN_IDX_PROC))
            self._tell(_LISTEN)
            self._await_answer()
        except OSError as error:
            self._socket.close()
            raise Unavailable(NAME, error.strerror or str(error)) from error
        self._socket.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._tell(_IGNORE)
        self._socket.close()

    def read(self) -> Iterator[tuple[int, int]]:
        """What has happened: EXEC or PTRACE, and the pid of whoever did it."""
        for _ in range(_READS_MAX):
            try:
                message = self._socket.recv(1024)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.losses += 1
                continue
            (what,) = struct.unpack_from("=I", message, _WHAT)
            _, pid, tracer = struct.unpack_from("=iii", message, _DATA)
            if what == EXEC:
                yield what, pid
            elif what == PTRACE and tracer:
                yield what, tracer

    def _tell(self, operation: int) -> None:
        body = struct.pack("=I", operation)
        message = struct.pack("=IIIIHH", _CN_IDX_PROC, _CN_VAL_PROC, 0, 0, len(body), 0) + body
        self._socket.send(struct.pack("=IHHII", 16 + len(message), _DONE, 0, 0, os.getpid()) + message)

    def _await_answer(self) -> None:
        """The kernel acknowledges; in a namespace of its own it says nothing."""
        while select.select([self._socket], [], [], _ANSWER_SECONDS_MAX)[0]:
            message = self._socket.recv(1024)
            (what,) = struct.unpack_from("=I", message, _WHAT)
            if what == _NONE:
                (code,) = struct.unpack_from("=I", message, _DATA)
                if code:
                    raise OSError(code, os.strerror(code))
                return
        raise OSError(errno.EPERM, "it tells nothing here: not in the machine's own pid and user namespace")


def _enlarge(connection: socket.socket) -> None:
    try:
        connection.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    except OSError:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)


def _filter(connection: socket.socket, wanted: tuple[int, ...]) -> None:
    """A classic BPF program: keep a message when its event is one of these. It reads words in network order."""
    load, jump, give = 0x20, 0x15, 0x06
    program = [struct.pack("=HBBI", load, 0, 0, _WHAT)]
    for index, what in enumerate(wanted):
        program.append(struct.pack("=HBBI", jump, len(wanted) - index, 0, socket.htonl(what)))
    program += [struct.pack("=HBBI", give, 0, 0, 0), struct.pack("=HBBI", give, 0, 0, 0xFFFF_FFFF)]
    code = ctypes.create_string_buffer(b"".join(program))
    described = struct.pack("HxxxxxxP" if struct.calcsize("P") == 8 else "HxxP", len(program), ctypes.addressof(code))
    connection.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)
