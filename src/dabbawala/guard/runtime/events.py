"""What a source has seen: one event, the process that did it, and the container it happened in.

Plain values, so that a rule is tested without a kernel. Names follow the system calls that Falco's rules speak of,
although no system call was traced: `execve` is a program that has started, `open` a file that was opened (`flags` has
O_TRUNC when it was empty afterwards and not before), `unlink` and `rename` a name that went away, `connect` a socket
with a peer, `listen` one that waits for peers, `ptrace` a process that was attached to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

EXECVE, OPEN, UNLINK, RENAME, CONNECT, LISTEN, PTRACE = (
    "execve", "openat", "unlink", "rename", "connect", "listen", "ptrace",
)  # fmt: skip
AUDIT = "k8s_audit"
"""Not a system call: one line of an API server's audit log, of the rule source with the same name."""

ANCESTORS_MAX = 32

EXACT, INFERRED = "exact", "inferred"
"""How the process of an event is known: the kernel named it, or it is the only likely one."""


@dataclass(slots=True, eq=False)
class Process:
    """A process as it was when its program started. `start` is in clock ticks since boot: with the pid, its identity;
    `began` is the same in seconds since the epoch.

    `entered` says that it descends from a command that somebody ran in the container from outside (exec), not from the
    container's own program. `changed` says that the program's file is not as the image brought it.
    """

    pid: int
    ppid: int = 0
    start: int = 0
    began: float = 0.0
    name: str = ""
    exepath: str = ""
    argv: tuple[str, ...] = ()
    tty: int = 0
    uid: int = -1
    cwd: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    streams: tuple[str, ...] = ()
    parent: Process | None = None
    entered: bool = False
    changed: bool = False

    @property
    def from_memory(self) -> bool:
        return self.exepath.startswith("/memfd:")

    def speaks_of(self, path: str) -> bool:
        """Whether its command line, or where it runs, has to do with a file: names it, or a directory above it."""
        directory, _, name = path.rpartition("/")
        if len(self.cwd) > 1 and (directory + "/").startswith(self.cwd.rstrip("/") + "/"):
            return True
        words = [word.rstrip("/") for word in self.argv[1:]]
        return any(name in word or (word[:1] == "/" and directory.startswith(word)) for word in words)

    def ancestors(self) -> Iterator[Process]:
        """Itself, its parent, and so on, as far as known."""
        at: Process | None = self
        for _ in range(ANCESTORS_MAX):
            if at is None:
                return
            yield at
            at = at.parent


@dataclass(frozen=True, slots=True)
class Container:
    """What the node itself shows of a container: whose it is, without what the API knows of it."""

    key: str
    pod_uid: str = ""
    name: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Workload:
    """What the API says of a container and its pod. `pod` is the object itself, for events about it."""

    namespace: str = ""
    pod_name: str = ""
    container: str = ""
    container_id: str = ""
    image: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    pod: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class File:
    """A file that was opened or went away. `target` is where a renamed one went, if known."""

    path: str
    read: bool = False
    written: bool = False
    emptied: bool = False
    target: str = ""


@dataclass(frozen=True, slots=True)
class Peer:
    """A socket's two ends. `protocol` is tcp or udp; a port is 0 where the kernel no longer knew it."""

    protocol: str
    local: str
    local_port: int
    remote: str = ""
    remote_port: int = 0

    @property
    def v6(self) -> bool:
        return ":" in (self.remote or self.local)


@dataclass(frozen=True, slots=True)
class Event:
    """`at` is seconds since the epoch. Without a container it happened on the node itself."""

    type: str
    at: float
    process: Process | None = None
    container: Container | None = None
    workload: Workload | None = None
    file: File | None = None
    peer: Peer | None = None
    audit: Mapping[str, Any] | None = None
    attribution: str = EXACT
    source: str = ""
    node: str = ""
