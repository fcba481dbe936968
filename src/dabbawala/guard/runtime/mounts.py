"""What of a container's file system is its own, and what is only shown to it. Pure.

A file that the image brought lies on a lower layer, on a read-only mount, or is at least older than the container's
first program. What the container wrote is younger and lies where it may write. That is how a dropped program is told
from an installed one, on overlays, on volumes and on the copies that a sandbox makes.
Source: proc_pid_mountinfo(5).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_PSEUDO = frozenset(
    (
        "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "devtmpfs", "securityfs", "debugfs", "tracefs", "bpf",
        "nsfs", "binfmt_misc", "fusectl", "configfs", "pstore", "efivarfs", "hugetlbfs", "rpc_pipefs", "autofs",
    )
)  # fmt: skip
_OWN_TYPES = frozenset(("tmpfs", "overlay", "ramfs"))
_SYSTEM = ("/proc", "/sys")
MOUNTS_MAX = 512


@dataclass(frozen=True, slots=True)
class Mount:
    """`root` is the part of its file system that it shows; `own` that it belongs to the container: a root of its own,
    a layer, a volume, rather than a directory of the node shown where the node has it."""

    point: str
    root: str
    kind: str
    writable: bool
    own: bool

    @property
    def lasting(self) -> bool:
        """Whether it outlives the container: a volume, not a layer."""
        return self.kind not in _OWN_TYPES


@dataclass(frozen=True, slots=True)
class Mounts:
    """A container's, longest mount point first."""

    all: tuple[Mount, ...] = ()

    def of(self, path: str) -> Mount | None:
        """The mount that a path is on."""
        for mount in self.all:
            if mount.point == "/" or path == mount.point or path.startswith(mount.point + "/"):
                return mount
        return None

    @property
    def own(self) -> tuple[Mount, ...]:
        return tuple(mount for mount in self.all if mount.own)

    def is_changed(self, path: str, changed_at: float, started: float) -> bool:
        """Whether a file is something that the container made since its first program started (`started`, seconds
        since the epoch, like the file's `changed_at`: the time of its last change of content or attributes)."""
        mount = self.of(path) if not path.startswith("/memfd:") else None
        return mount is not None and mount.own and mount.writable and changed_at > started


def parse(lines: Iterable[str]) -> Mounts:
    """From /proc/PID/mountinfo, in which a later mount covers an earlier one at the same place."""
    found: dict[str, Mount] = {}
    for line in lines:
        left, _, right = line.partition(" - ")
        before, after = left.split(), right.split()
        if len(before) < 6 or not after:
            continue
        mount = _mount(_decoded(before[4]), _decoded(before[3]), after[0], before[5].split(","))
        if len(found) < MOUNTS_MAX or mount.point in found:
            found[mount.point] = mount
    return Mounts(tuple(sorted(found.values(), key=lambda mount: -len(mount.point))))


def _mount(point: str, root: str, kind: str, options: list[str]) -> Mount:
    system = kind in _PSEUDO or any(point == place or point.startswith(place + "/") for place in _SYSTEM)
    own = not system and (kind in _OWN_TYPES or root != point)
    return Mount(point, root, kind, "rw" in options, own)


def _decoded(text: str) -> str:
    """Blanks and the like are octal there."""
    if "\\" not in text:
        return text
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
