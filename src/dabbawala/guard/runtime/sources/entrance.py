"""A program of its own: it enters the network of each given process and hands back sockets that were made there.

Entering a user namespace takes a process with one thread, so the detector cannot do it itself; a socket, once made,
can be used from anywhere. Run as `python -I -S entrance.py DESCRIPTOR PID...`, with the standard library alone.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import socket
import sys

CLONE_NEWUSER, CLONE_NEWNET = 0x1000_0000, 0x4000_0000
NS_GET_USERNS = 0xB701
SOCK_DIAG = 4
TCP_ENDS = 0x1 | 0x4
"""Multicast groups: the ends of TCP sockets, IPv4 and IPv6."""


def main(channel: int, pids: list[int]) -> None:
    """For each pid one message: two sockets (to ask, and to hear ends), or none and the reason."""
    with socket.socket(fileno=channel) as connection:
        for pid in pids:
            _visit(connection, pid)


def _visit(connection: socket.socket, pid: int) -> None:
    """In a child, because there is no way back out of a user namespace."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        made = _enter(pid)
    except OSError as error:
        connection.send(f"{error.strerror or error}".encode())
        os._exit(1)
    passed = array.array("i", [one.fileno() for one in made])
    connection.sendmsg([b"ok"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
    os._exit(0)


def _enter(pid: int) -> tuple[socket.socket, socket.socket]:
    libc = ctypes.CDLL(None, use_errno=True)
    network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    owner = fcntl.ioctl(network, NS_GET_USERNS)
    if os.fstat(owner).st_ino != os.stat("/proc/self/ns/user").st_ino:
        _check(libc.setns(owner, CLONE_NEWUSER))
    _check(libc.setns(network, CLONE_NEWNET))
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    asking = socket.socket(socket.AF_NETLINK, kind, SOCK_DIAG)
    hearing = socket.socket(socket.AF_NETLINK, kind, SOCK_DIAG)
    hearing.bind((0, TCP_ENDS))
    return asking, hearing


def _check(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


if __name__ == "__main__":
    main(int(sys.argv[1]), [int(pid) for pid in sys.argv[2:]])
