"""Connections and listeners of pods, by socket diagnosis in each pod's own network.

Live sockets are listed every few seconds, and soon after a program has started; TCP sockets that end are told by the
kernel, so that a short connection is seen too, at its end. A connection from a port at which the pod listens, or has
listened, was accepted there. What is missed: UDP that comes and goes between two looks, packets without a socket of its
kind (raw, packet), the peer's port of a connection that was refused, and whatever leaves from a listener's port.
Source: sock_diag(7), include/uapi/linux/inet_diag.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from dabbawala.guard.runtime import events
from dabbawala.guard.runtime.events import Peer

NAME = "socket diagnosis"
_BY_FAMILY = 20
_REQUEST_DUMP = 0x301
_DONE, _ERROR = 3, 2
_ESTABLISHED, _SYN_SENT, _CLOSE_WAIT, _LISTEN = 1, 2, 8, 10
_STATES = {
    "tcp": 1 << _ESTABLISHED | 1 << _SYN_SENT | 1 << _CLOSE_WAIT | 1 << _LISTEN, "udp": 1 << _ESTABLISHED,
}  # fmt: skip
_MESSAGE = struct.Struct("=BBBB")
_PORT = struct.Struct(">H")
_MAPPED = bytes(10) + b"\xff\xff"
_READ_BYTES = 64 * 1024
_READS_MAX = 64
_BUFFER_BYTES = 1024 * 1024
SOCKETS_REMEMBERED = 4_096
"""Of one pod: sockets already reported."""

_PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}


@dataclass(frozen=True, slots=True)
class Found:
    """A socket that was not known yet. `inode` is 0 for one that has ended."""

    type: str
    peer: Peer
    inode: int


@dataclass(slots=True)
class Network:
    """One pod's network, through two sockets made there. `losses` counts ends that the kernel could not tell;
    `listened` has the ports, by protocol, at which something has ever listened: what was accepted there may end after
    the listener."""

    asking: socket.socket
    hearing: socket.socket
    losses: int = 0
    listened: set[tuple[str, int]] = field(default_factory=set)
    _known: OrderedDict[bytes, None] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self.hearing.setblocking(False)
        self.hearing.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)

    def close(self) -> None:
        self.asking.close()
        self.hearing.close()

    def look(self) -> Iterator[Found]:
        """All sockets there are now; those not reported before. OSError when the kernel refuses."""
        rows = [(name, row) for name, states in _STATES.items() for row in self._rows(name, states)]
        self.listened |= {(name, row.peer.local_port) for name, row in rows if row.listens}
        fresh = [(name, row) for name, row in rows if self._is_new(row.cookie)]
        for name, row in fresh:
            if row.listens:
                here = Peer(name, row.peer.local, row.peer.local_port)
                yield Found(events.LISTEN, here, row.inode)
            elif row.peer.remote_port and (name, row.peer.local_port) not in self.listened:
                yield Found(events.CONNECT, row.peer, row.inode)

    def hear(self) -> Iterator[Found]:
        """TCP sockets that have ended, unless they were reported while they lived. Who listens is asked anew where it
        matters: a server may have begun, and answered, since the last look."""
        ended = list(self._ended())
        if ended:
            with suppress(OSError):  # the next look says that the kernel refuses
                self.listened |= {("tcp", row.peer.local_port) for row in self._rows("tcp", 1 << _LISTEN)}
        for row in ended:
            if ("tcp", row.peer.local_port) not in self.listened and self._is_new(row.cookie):
                yield Found(events.CONNECT, row.peer, 0)

    def _ended(self) -> Iterator[_Row]:
        """Those that the kernel has told of, but for what is known to have been accepted: of that there is the most."""
        for _ in range(_READS_MAX):
            try:
                data = self.hearing.recv(_READ_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.losses += 1
                continue
            (local_port,) = _PORT.unpack_from(data, 20)
            if ("tcp", local_port) in self.listened:
                continue
            row = _row("tcp", data, 16)
            if not _is_nowhere(row.peer.remote):
                yield row

    def _is_new(self, cookie: bytes) -> bool:
        if cookie in self._known:
            return False
        self._known[cookie] = None
        if len(self._known) > SOCKETS_REMEMBERED:
            self._known.popitem(last=False)
        return True

    def _rows(self, protocol: str, states: int) -> Iterator[_Row]:
        for family in (socket.AF_INET, socket.AF_INET6):
            body = struct.pack("=BBBBI48x", family, _PROTOCOLS[protocol], 0, 0, states)
            self.asking.send(struct.pack("=IHHII", 16 + len(body), _BY_FAMILY, _REQUEST_DUMP, 1, 0) + body)
            yield from self._answers(protocol)

    def _answers(self, protocol: str) -> Iterator[_Row]:
        while True:
            data, at = self.asking.recv(_READ_BYTES), 0
            while at + 16 <= len(data):
                length, kind = struct.unpack_from("=IH", data, at)
                if kind == _ERROR:
                    (code,) = struct.unpack_from("=i", data, at + 16)
                    raise OSError(-code, f"{NAME}: {os.strerror(-code)}")
                if kind == _DONE:
                    return
                yield _row(protocol, data, at + 16)
                at += (length + 3) & ~3


@dataclass(frozen=True, slots=True)
class _Row:
    peer: Peer
    listens: bool
    cookie: bytes
    inode: int


def _row(protocol: str, data: bytes, at: int) -> _Row:
    """struct inet_diag_msg."""
    family, state, _, _ = _MESSAGE.unpack_from(data, at)
    local_port, remote_port = struct.unpack_from(">HH", data, at + 4)
    size = 4 if family == socket.AF_INET else 16
    local, remote = _address(data[at + 8 : at + 8 + size]), _address(data[at + 24 : at + 24 + size])
    (inode,) = struct.unpack_from("=I", data, at + 68)
    listens = state == _LISTEN
    return _Row(Peer(protocol, local, local_port, remote, remote_port), listens, data[at + 44 : at + 52], inode)


def _address(packed: bytes) -> str:
    if len(packed) == 4:
        return socket.inet_ntop(socket.AF_INET, packed)
    if packed.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed)


def _is_nowhere(address: str) -> bool:
    return address in ("0.0.0.0", "::", "")


def holders(inodes: set[int], pids: list[int]) -> dict[int, int]:
    """Which process has each socket open, among these."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, int] = {}
    for pid in pids:
        try:
            numbers = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for number in numbers:
            try:
                inode = wanted.get(os.readlink(f"/proc/{pid}/fd/{number}"))
            except OSError:
                continue
            if inode is not None:
                found.setdefault(inode, pid)
    return found
