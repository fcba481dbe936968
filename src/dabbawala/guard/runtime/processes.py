"""Processes of containers, read from /proc while they are there and remembered when they are gone.

A file event names a pid that may have ended by the time it is read; the start of its program came before it, so what
was read then answers. A pid is only believed together with its start time.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable

from dabbawala.guard.runtime.events import Process

REMEMBERED = 8_192
ARGUMENT_BYTES_MAX = 32 * 1024
TREE_MAX = 4_096
LIST_BYTES_MAX = 1024 * 1024
ENVIRONMENT_BYTES_MAX = 64 * 1024
_TICKS = os.sysconf("SC_CLK_TCK")
_INIT = ("dabba-init", "dabba-pause")
_ENTRANCES = ("dabba-shim", "containerd-shim", "conmon", "runc", "crun")


def read(path: str, limit: int = 4096) -> bytes:
    """The beginning of a file of /proc; empty when it cannot be had. Of a list the kernel gives no more than a page at
    once, whatever the limit: `whole` reads on."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, limit)
    except OSError:
        return b""
    finally:
        os.close(fd)


def whole(path: str) -> bytes:
    """A list of /proc, such as mounts or children; empty when it cannot be had, and without what follows its first
    LIST_BYTES_MAX."""
    try:
        with open(path, "rb") as file:
            return file.read(LIST_BYTES_MAX)
    except OSError:
        return b""


def link(path: str) -> str:
    try:
        return text(os.readlink(path))
    except OSError:
        return ""


def text(name: str) -> str:
    """A file's name as text that can be written anywhere: what is no UTF-8 in it is replaced."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def stat(pid: int) -> tuple[str, int, int, int] | None:
    """Name, parent, controlling terminal and start (ticks since boot); None for what has ended."""
    line = read(f"/proc/{pid}/stat", 1024).decode(errors="replace")
    head, closing, rest = line.rpartition(")")
    parts = rest.split()
    if not closing or len(parts) < 20 or parts[0] in "ZX":
        return None
    return head.partition("(")[2], int(parts[1]), int(parts[4]), int(parts[19])


def title(pid: int) -> str:
    """The command line of a process that named itself, as text."""
    return read(f"/proc/{pid}/cmdline", 512).split(b"\0")[0].decode(errors="replace")


def tree(root: int) -> list[int]:
    """A process and all below it, as far as they can be seen."""
    found: list[int] = []
    waiting = [root]
    while waiting and len(found) < TREE_MAX:
        pid = waiting.pop()
        found.append(pid)
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for thread in threads:
            waiting.extend(int(child) for child in whole(f"/proc/{pid}/task/{thread}/children").split())
    return found


def started_at(ticks: int) -> float:
    """When that was, in seconds since the epoch, rounded up to the clock's resolution."""
    booted = time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_BOOTTIME)
    return booted + (ticks + 1) / _TICKS


class Processes:
    """By pid, least recently used first out. `environments` says whether some rule wants to see them."""

    def __init__(self, *, environments: bool = False) -> None:
        self._known: OrderedDict[int, Process] = OrderedDict()
        self._environments = environments

    def begun(self, pid: int, changed: Callable[[int, str], bool]) -> Process | None:
        """Read a process whose program has just started; None when it is gone already. `changed` tells whether the
        file of a program (by pid and path) is not as the image brought it."""
        found = self._read(pid)
        if found is None:
            return None
        found.cwd = link(f"/proc/{pid}/cwd")
        found.streams = tuple(link(f"/proc/{pid}/fd/{number}") for number in range(3))
        if self._environments:
            found.environment = _environment(read(f"/proc/{pid}/environ", ENVIRONMENT_BYTES_MAX))
        found.changed = bool(found.exepath) and changed(pid, found.exepath)
        self._keep(found)
        return found

    def get(self, pid: int) -> Process | None:
        """A process by pid: as remembered while that is still the same one, or gone; read anew otherwise."""
        known, now = self._known.get(pid), stat(pid)
        if known is not None and (now is None or now[3] == known.start):
            self._known.move_to_end(pid)
            return known
        if now is None:
            return None
        found = self._read(pid)
        if found is not None:
            self._keep(found)
        return found

    def _keep(self, process: Process) -> None:
        self._known[process.pid] = process
        self._known.move_to_end(process.pid)
        while len(self._known) > REMEMBERED:
            _, forgotten = self._known.popitem(last=False)
            forgotten.parent = None

    def _read(self, pid: int, depth: int = 0) -> Process | None:
        facts = stat(pid)
        if facts is None:
            return None
        name, ppid, tty, start = facts
        argv = read(f"/proc/{pid}/cmdline", ARGUMENT_BYTES_MAX).decode(errors="replace").rstrip("\0").split("\0")
        exe = link(f"/proc/{pid}/exe")
        found = Process(pid, ppid, start, name=name, exepath=exe.removesuffix(" (deleted)"), argv=tuple(argv), tty=tty)
        found.uid = _owner(pid)
        found.began = started_at(start)
        found.parent = self._parent(ppid, depth)
        found.entered = _is_entered(found)
        return found

    def _parent(self, pid: int, depth: int) -> Process | None:
        if pid <= 0 or depth > 16:
            return None
        known = self._known.get(pid)
        if known is not None:
            return known
        return self._read(pid, depth + 1)


def _is_entered(process: Process) -> bool:
    """Whether somebody outside ran it: the runtime itself is its parent, and it is not the container's own init."""
    parent = process.parent
    if parent is None or process.name in _INIT:
        return False
    if parent.name in _INIT:
        return False
    if parent.name.startswith(_ENTRANCES):
        return not _is_first(process.pid)
    return parent.entered


def _is_first(pid: int) -> bool:
    """Whether it is pid 1 of its own pid namespace."""
    for line in read(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"NSpid:"):
            return line.split()[-1] == b"1"
    return False


def _owner(pid: int) -> int:
    """The user id as the container itself sees it."""
    try:
        outside = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return -1
    for line in read(f"/proc/{pid}/uid_map").splitlines():
        first, mapped, count = (int(part) for part in line.split())
        if mapped <= outside < mapped + count:
            return first + outside - mapped
    return outside


def _environment(data: bytes) -> dict[str, str]:
    pairs = (one.decode(errors="replace").partition("=") for one in data.split(b"\0") if b"=" in one)
    return {name: value for name, _, value in pairs}
