"""Whose a process is: from what the node shows of it, never from what the process says of itself.

On a real node the control group carries the pod's uid and the container's id. In the embedded cluster the container's
init carries the container's id, as the pod's status has it, in its title. Both are out of the workload's reach. A
mount namespace belongs to one container, so its number answers for every further process.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from dabbawala.guard.runtime import mounts, processes
from dabbawala.guard.runtime.events import Container
from dabbawala.guard.runtime.mounts import Mounts

CONTAINERS_MAX = 4_096
STRANGERS_REMEMBERED = 4_096
_STEPS_MAX = 32
_INIT, _SHIM = "dabba-init ", "dabba-shim "

_POD = re.compile(r"pod(?P<uid>[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})")
_ID = re.compile(r"(?P<id>[0-9a-f]{64})(?:\.scope)?$")


@dataclass(slots=True)
class Living:
    """A container that runs on this node. `pid` is a process in it (its root is this process's root), `anchor` the one
    whose end is the container's, `started` when its first program did (seconds since the epoch)."""

    container: Container
    pid: int
    anchor: int
    started: float
    network: str
    mounts: Mounts = field(default_factory=Mounts)

    @property
    def root(self) -> str:
        return f"/proc/{self.pid}/root"

    def processes(self) -> list[int]:
        """Those of its pod, commands that were run there from outside included."""
        facts = processes.stat(self.anchor)
        above = facts[1] if facts is not None else 0
        return processes.tree(above if processes.title(above).startswith(_SHIM) else self.anchor)

    def is_changed(self, pid: int, path: str) -> bool:
        """Whether a program's file was made by the container itself."""
        try:
            changed_at = os.stat(f"/proc/{pid}/exe").st_ctime
        except OSError:
            return False
        return self.mounts.is_changed(path, changed_at, self.started)


def from_cgroup(text: str) -> Container | None:
    """The container that a kubelet's control group names."""
    for line in text.splitlines():
        path = line.rpartition(":")[2]
        pod, last = _POD.search(path), _ID.search(path)
        if pod and last:
            uid = pod["uid"].replace("_", "-")
            return Container(last["id"], uid, id=last["id"][:12])
    return None


def from_title(text: str) -> Container | None:
    """The container that its init in the embedded cluster is named after: `dabba-init UID/NAME/ATTEMPT`."""
    if not text.startswith(_INIT):
        return None
    identity = text.removeprefix(_INIT).strip()
    uid, _, rest = identity.partition("/")
    name = rest.partition("/")[0]
    return Container(identity, uid, name, identity) if uid and name else None


class Containers:
    """Those that run here, by mount namespace. `appeared` hears of each new one."""

    def __init__(self, appeared: Callable[[Living], None]) -> None:
        self._appeared = appeared
        self._living: dict[str, Living] = {}
        self._strangers: dict[str, None] = {processes.link("/proc/self/ns/mnt"): None}

    def __iter__(self) -> Iterator[Living]:
        return iter(tuple(self._living.values()))

    def __len__(self) -> int:
        return len(self._living)

    def of(self, pid: int) -> Living | None:
        """None for a process of the node itself, for one that is gone, and for one that is none of our business."""
        namespace = processes.link(f"/proc/{pid}/ns/mnt")
        if not namespace or namespace in self._strangers:
            return None
        known = self._living.get(namespace)
        if known is not None:
            return known
        return self._met(pid, namespace)

    def scan(self) -> None:
        """Meet all that run already."""
        for name in os.listdir("/proc"):
            if name.isdecimal():
                self.of(int(name))

    def ended(self, living: Living) -> bool:
        """The anchor has ended. False when others still live there: one of them is the anchor from now on."""
        namespace = next((name for name, one in self._living.items() if one is living), "")
        for name in os.listdir("/proc"):
            if name.isdecimal() and namespace and processes.link(f"/proc/{name}/ns/mnt") == namespace:
                living.pid = living.anchor = int(name)
                return False
        self._living.pop(namespace, None)
        return True

    def _met(self, pid: int, namespace: str) -> Living | None:
        found = self._identified(pid, namespace)
        if found is None:
            if processes.stat(pid) is not None and not processes.title(pid).startswith(_INIT):
                self._strange(namespace)
            return None
        if len(self._living) >= CONTAINERS_MAX:
            return None
        found.network = processes.link(f"/proc/{found.pid}/ns/net")
        text = processes.whole(f"/proc/{found.pid}/mountinfo").decode(errors="replace")
        found.mounts = mounts.parse(text.splitlines())
        self._living[namespace] = found
        self._appeared(found)
        return found

    def _strange(self, namespace: str) -> None:
        self._strangers[namespace] = None
        if len(self._strangers) > STRANGERS_REMEMBERED:
            own = next(iter(self._strangers))
            self._strangers = {own: None}

    def _identified(self, pid: int, namespace: str) -> Living | None:
        named = from_cgroup(processes.read(f"/proc/{pid}/cgroup").decode(errors="replace"))
        if named is not None:
            first = _first_inside(pid, namespace)
            return _living(named, first, first)
        return _below_init(pid, namespace)


def _living(container: Container, pid: int, anchor: int) -> Living | None:
    facts = processes.stat(pid)
    return None if facts is None else Living(container, pid, anchor, processes.started_at(facts[3]), "")


def _ancestors(pid: int) -> Iterator[int]:
    """Itself and those above, the nearest first."""
    for _ in range(_STEPS_MAX):
        if pid <= 1:
            return
        yield pid
        facts = processes.stat(pid)
        pid = facts[1] if facts is not None else 0


def _first_inside(pid: int, namespace: str) -> int:
    """The uppermost ancestor in the same mount namespace."""
    first = pid
    for one in _ancestors(pid):
        if processes.link(f"/proc/{one}/ns/mnt") != namespace:
            break
        first = one
    return first


def _below_init(pid: int, namespace: str) -> Living | None:
    """Descended from a container's init, or from a shim that sent it into a container of its pod."""
    child = pid
    for one in _ancestors(pid):
        shown = processes.title(one)
        if named := from_title(shown):
            program = child if one != pid else next(iter(_children(one)), 0)
            return _living(named, program, one) if program else None
        if shown.startswith(_SHIM):
            return _beside(one, namespace)
        child = one
    return None


def _beside(shim: int, namespace: str) -> Living | None:
    """The shim's container with that mount namespace."""
    for init in _children(shim):
        named = from_title(processes.title(init))
        for program in _children(init) if named else ():
            if named and processes.link(f"/proc/{program}/ns/mnt") == namespace:
                return _living(named, program, init)
    return None


def _children(pid: int) -> list[int]:
    return [int(child) for child in processes.whole(f"/proc/{pid}/task/{pid}/children").split()]
