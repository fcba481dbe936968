"""Which directories of a container are watched one by one, and how they are held: by descriptor, because a path through
a running container's files may mean something else the next moment.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dabbawala.guard.runtime import kernel
from dabbawala.guard.runtime.containers import Living

DIRECTORIES_MAX = 64
"""Of one container."""

DEPTH_MAX = 4
ENTRIES_MAX = 256
"""Entries of one directory that are looked at."""

ALWAYS = ("/etc", "/root", "/home", "/tmp", "/var/tmp", "/dev/shm", "/var/log", "/run/secrets", "/var/run/secrets")


@dataclass(frozen=True, slots=True)
class Directory:
    """`descriptor` is O_PATH, `path` as the container sees it."""

    descriptor: int
    path: str
    depth: int

    def below(self, name: str) -> str:
        return f"{self.path.rstrip('/')}/{name}"

    def handle(self) -> bytes:
        """File system and file, as fanotify spells them."""
        return struct.pack("=Q", os.fstatvfs(self.descriptor).f_fsid) + kernel.handle_of(self.descriptor)

    def stat(self, name: str) -> os.stat_result | None:
        try:
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except OSError:
            return None

    def may_have_more(self, count: int) -> bool:
        return count < DIRECTORIES_MAX and self.depth < DEPTH_MAX

    def descend(self, name: str) -> Directory | None:
        """A directory in it; never through a link."""
        flags = os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECTORY
        try:
            return Directory(os.open(name, flags, dir_fd=self.descriptor), self.below(name), self.depth + 1)
        except OSError:
            return None

    def _entries(self) -> list[os.DirEntry[str]]:
        try:
            fd = os.open(f"/proc/self/fd/{self.descriptor}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return []
        try:
            with os.scandir(fd) as found:
                return [entry for entry, _ in zip(found, range(ENTRIES_MAX), strict=False)]
        except OSError:
            return []
        finally:
            os.close(fd)

    def files(self) -> Iterator[os.stat_result]:
        for entry in self._entries():
            status = self.stat(entry.name)
            if status is not None:
                yield status

    def directories(self) -> Iterator[Directory]:
        for entry in self._entries():
            found = self.descend(entry.name)
            if found is not None:
                yield found


def found_below(living: Living, bases: Iterable[str]) -> Iterator[Directory]:
    """Those that rules name, where people and programs keep secrets and logs, and the container's volumes, nearest
    first; only what is the container's own. The caller closes their descriptors."""
    try:
        root = os.open(living.root, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    volumes = [mount.point for mount in living.mounts.own if mount.lasting]
    try:
        waiting = [found for base in dict.fromkeys((*bases, *ALWAYS, *volumes)) if (found := _base(root, base))]
    finally:
        os.close(root)
    seen: set[str] = set()
    while waiting:
        directory = waiting.pop(0)
        mount = living.mounts.of(directory.path)
        if directory.path in seen or len(seen) >= DIRECTORIES_MAX or mount is None or not mount.own:
            os.close(directory.descriptor)
            continue
        seen.add(directory.path)
        if directory.depth < DEPTH_MAX:
            waiting.extend(directory.directories())
        yield directory


def _base(root: int, path: str) -> Directory | None:
    """The directory, or the one that a file of this name would be in."""
    for candidate in dict.fromkeys((path, os.path.dirname(path.rstrip("/")))):
        if len(candidate) < 2:
            continue
        try:
            fd = kernel.open_inside(root, candidate)
        except OSError:
            continue
        found = Directory(fd, os.path.normpath(candidate), 0)
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            return found
        os.close(fd)
    return None
