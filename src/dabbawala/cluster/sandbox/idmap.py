"""Which user ids exist where.

An ordinary user without subordinate ids can map exactly one id into a user namespace: their own. So the cluster's
namespace knows one id, 0, and each container sees that id under the number its manifest asks for. Root maps all ids,
and containers then really run as whom they say.
"""

from __future__ import annotations

import os

from dabbawala.cluster.sandbox import spec, wire

Lines = tuple[str, ...]


def _extents(path: str) -> list[tuple[int, int, int]]:
    with open(path) as file:
        rows = [line.split() for line in file]
    return [(int(inside), int(outside), int(count)) for inside, outside, count in rows]


def _identity(path: str) -> Lines:
    return tuple(f"{inside} {inside} {count}" for inside, _, count in _extents(path))


def knows_one_id() -> bool:
    """Whether this process's user namespace maps a single user id."""
    return sum(count for _, _, count in _extents("/proc/self/uid_map")) == 1


def cluster_maps(uid: int, gid: int) -> tuple[Lines, Lines]:
    """The maps of the cluster's namespace: everything for root, one id that shows as 0 for everybody else."""
    if uid == 0:
        return _identity("/proc/self/uid_map"), _identity("/proc/self/gid_map")
    return (f"0 {uid} 1",), (f"0 {gid} 1",)


def container_maps(user: spec.User) -> tuple[Lines, Lines]:
    """The maps of a container's namespace, or the reason why one id cannot express the wish."""
    if not knows_one_id():
        return _identity("/proc/self/uid_map"), _identity("/proc/self/gid_map")
    others = [gid for gid in user.supplemental_groups if gid != user.gid]
    if others:
        raise wire.SandboxError(
            "IdsNotMapped",
            f"supplemental groups {others} need more than one group id, and this cluster runs as a user without "
            "subordinate ids; all files of a pod belong to one id here, so leave fsGroup and supplementalGroups out, "
            "or run the cluster as root",
        )
    return (f"{user.uid} 0 1",), (f"{user.gid} 0 1",)


def write_maps(pid: int, uid_lines: Lines, gid_lines: Lines) -> None:
    """Set a process's maps from the parent namespace. With one id the kernel wants setgroups denied first."""
    if len(uid_lines) == 1 and uid_lines[0].endswith(" 1"):
        _write(f"/proc/{pid}/setgroups", "deny")
    _write(f"/proc/{pid}/uid_map", "\n".join(uid_lines) + "\n")
    _write(f"/proc/{pid}/gid_map", "\n".join(gid_lines) + "\n")


def _write(path: str, text: str) -> None:
    """os.write, because a buffered file raises its error in its destructor, where nobody sees it."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
