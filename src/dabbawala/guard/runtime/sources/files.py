"""Files that are opened, emptied, removed and executed in containers, by fanotify.

Root marks whole mounts, so every file of the container's own is seen, with the pid. Everybody else may mark single
directories: those that rules name, home and log directories and volumes, bounded; the kernel then keeps the pid for
itself. Neither sees what was opened before the marks were set, some milliseconds after a container's start. An open
does not say what for: it counts as reading, and as writing when the file is closed or was emptied.
Source: fanotify(7); unprivileged groups since Linux 5.13.
"""

from __future__ import annotations

import os
import stat
import struct
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dabbawala.guard.runtime import events, kernel, processes
from dabbawala.guard.runtime.containers import Living
from dabbawala.guard.runtime.events import File
from dabbawala.guard.runtime.sieve import Sieve
from dabbawala.guard.runtime.sources.directories import Directory, found_below
from dabbawala.guard.runtime.sources.source import Unavailable

NAME = "fanotify"
_METADATA = struct.Struct("=IBBHQii")
_READ_BYTES = 64 * 1024
_READS_MAX = 16
FILES_REMEMBERED = 8_192
FRESH_SECONDS = 1.0
"""A file found empty whose inode changed within this time has just been emptied."""

_WHOLE = kernel.FAN_OPEN | kernel.FAN_CLOSE_WRITE | kernel.FAN_OPEN_EXEC
_NAMES = kernel.FAN_DELETE | kernel.FAN_MOVED_FROM | kernel.FAN_CREATE | kernel.FAN_MOVED_TO
_EDGES = kernel.FAN_EVENT_ON_CHILD | kernel.FAN_ONDIR
_DFID_NAME = 2


@dataclass(frozen=True, slots=True)
class Seen:
    """One act on a file. `living` is known when the kernel does not name the process (pid 0)."""

    type: str
    pid: int
    file: File
    living: Living | None
    changed_at: float = 0.0


@dataclass(frozen=True, slots=True)
class _Act:
    """What an event says besides the file."""

    mask: int
    pid: int
    now: float


@dataclass(slots=True)
class _Watch:
    """What is open for one container."""

    directories: dict[bytes, Directory] = field(default_factory=dict)
    mounts: set[int] = field(default_factory=set)


class _Files:
    """Files seen before with their size then, least recently seen first out: only these can have been emptied."""

    def __init__(self) -> None:
        self._sizes: OrderedDict[tuple[int, int], int] = OrderedDict()

    def was_emptied(self, status: os.stat_result, now: float) -> bool:
        """It has shrunk, or has just become, or been made, empty."""
        size = self._sizes.get((status.st_dev, status.st_ino))
        if size is None:
            return False
        return status.st_size < size or (status.st_size == 0 and now - status.st_ctime < FRESH_SECONDS)

    def add(self, status: os.stat_result) -> None:
        self._sizes[status.st_dev, status.st_ino] = status.st_size
        self._sizes.move_to_end((status.st_dev, status.st_ino))
        while len(self._sizes) > FILES_REMEMBERED:
            self._sizes.popitem(last=False)


class FileWatch:
    """`whole` says whether mounts are marked (root) or directories only. `losses` counts overflown queues,
    `unwatched` what could not be marked."""

    def __init__(self, bases: Iterable[str], sieve: Sieve, *, mounts: bool = True) -> None:
        """`bases` are the directories that rules name, and the sieve knows what they look for; without `mounts` only
        directories are watched, as everybody may. Raises Unavailable."""
        self._sieve = sieve
        self.losses = 0
        self.unwatched = 0
        self._bases = tuple(bases)
        self._watches: dict[str, _Watch] = {}
        self._livings: dict[str, Living] = {}
        self._owners: dict[bytes, list[str]] = {}
        self._marked: dict[int, str] = {}
        self._files = _Files()
        flags = kernel.FAN_CLOEXEC | kernel.FAN_NONBLOCK | kernel.FAN_CLASS_NOTIF
        try:
            self._names = kernel.fanotify_init(flags | kernel.FAN_REPORT_DIR_FID | kernel.FAN_REPORT_NAME)
        except OSError as error:
            raise Unavailable(NAME, f"{error.strerror}; as an ordinary user it needs Linux 5.13") from error
        self._mounts = _initiated(flags) if mounts else -1
        self._own_pid = os.getpid()

    @property
    def whole(self) -> bool:
        return self._mounts >= 0

    def filenos(self) -> tuple[int, ...]:
        """The program starts that the mounts report come first."""
        return (self._mounts, self._names) if self.whole else (self._names,)

    def close(self) -> None:
        for key in tuple(self._watches):
            self.forget(self._livings[key])
        for fd in self.filenos():
            os.close(fd)

    def watch(self, living: Living) -> None:
        """Mark what is the container's own. Harmless when it has ended meanwhile."""
        key = living.container.key
        watch = self._watches[key] = _Watch()
        self._livings[key] = living
        if self.whole:
            for mount in living.mounts.own:
                self._mark_mount(living, mount.point, watch)
        for directory in found_below(living, self._bases):
            self._mark_directory(key, watch, directory)

    def forget(self, living: Living) -> None:
        key = living.container.key
        watch = self._watches.pop(key, None)
        self._livings.pop(key, None)
        for mount in watch.mounts if watch else ():
            self._marked.pop(mount, None)
        for handle, directory in watch.directories.items() if watch else ():
            owners = self._owners.get(handle, [])
            if key in owners:
                owners.remove(key)
            if not owners:
                self._owners.pop(handle, None)
                self._unmark(directory)
            os.close(directory.descriptor)

    def _mark_mount(self, living: Living, point: str, watch: _Watch) -> None:
        try:
            root = os.open(living.root, os.O_PATH | os.O_CLOEXEC)
            try:
                fd = kernel.open_inside(root, point)
            finally:
                os.close(root)
            try:
                path = f"/proc/self/fd/{fd}"
                kernel.fanotify_mark(self._mounts, kernel.FAN_MARK_ADD | kernel.FAN_MARK_MOUNT, _WHOLE, path)
                mount = _mount_of(fd)
                watch.mounts.add(mount)
                self._marked[mount] = living.container.key
            finally:
                os.close(fd)
        except OSError:
            self.unwatched += 1

    def _mark_directory(self, key: str, watch: _Watch, directory: Directory) -> None:
        mask = _NAMES | _EDGES | (0 if self.whole else kernel.FAN_OPEN | kernel.FAN_CLOSE_WRITE)
        path = f"/proc/self/fd/{directory.descriptor}"
        try:
            kernel.fanotify_mark(self._names, kernel.FAN_MARK_ADD | kernel.FAN_MARK_ONLYDIR, mask, path)
            handle = directory.handle()
        except OSError:
            self.unwatched += 1
            os.close(directory.descriptor)
            return
        if handle in watch.directories:
            os.close(directory.descriptor)
            return
        watch.directories[handle] = directory
        self._owners.setdefault(handle, []).append(key)
        for status in directory.files():
            self._files.add(status)

    def _unmark(self, directory: Directory) -> None:
        mask = _NAMES | _EDGES | (0 if self.whole else kernel.FAN_OPEN | kernel.FAN_CLOSE_WRITE)
        try:
            kernel.fanotify_mark(self._names, kernel.FAN_MARK_REMOVE, mask, f"/proc/self/fd/{directory.descriptor}")
        except OSError:  # it went with its file system
            return

    def read(self, fileno: int, now: float) -> Iterator[Seen]:
        """What has happened; `now` in seconds since the epoch tells what is fresh."""
        for _ in range(_READS_MAX):
            try:
                data = os.read(fileno, _READ_BYTES)
            except BlockingIOError:
                return
            at = 0
            while at < len(data):
                length, _, _, header, mask, descriptor, pid = _METADATA.unpack_from(data, at)
                if mask & kernel.FAN_Q_OVERFLOW:
                    self.losses += 1
                elif descriptor >= 0:
                    yield from self._opened(descriptor, _Act(mask, pid, now))
                elif pid != self._own_pid:
                    yield from self._named(data[at + header : at + length], _Act(mask, pid, now))
                at += length

    def _opened(self, descriptor: int, act: _Act) -> Iterator[Seen]:
        try:
            path = processes.link(f"/proc/self/fd/{descriptor}").removesuffix(" (deleted)")
            if act.pid == self._own_pid or not (act.mask & kernel.FAN_OPEN_EXEC or self._sieve.may_matter(path)):
                return
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return
            for kind, file in self._acts(act, path, status):
                living = self._livings.get(self._marked.get(_mount_of(descriptor), ""))
                yield Seen(kind, act.pid, file, living, status.st_ctime)
        finally:
            os.close(descriptor)

    def _acts(self, act: _Act, path: str, status: os.stat_result) -> Iterator[tuple[str, File]]:
        """What was done with a file, as far as a rule may look for it."""
        if act.mask & kernel.FAN_OPEN_EXEC:
            yield events.EXECVE, File(path)
            return
        emptied = self._files.was_emptied(status, act.now)
        self._files.add(status)
        file = None
        if act.mask & kernel.FAN_CLOSE_WRITE or emptied:
            file = File(path, written=True, emptied=emptied)
        elif act.mask & kernel.FAN_OPEN:
            file = File(path, read=True)
        if file is not None and self._sieve.matters(events.OPEN, file):
            yield events.OPEN, file

    def _named(self, record: bytes, act: _Act) -> Iterator[Seen]:
        """An event that names a directory by its handle, and an entry of it."""
        if len(record) < 20 or record[0] != _DFID_NAME:
            return
        (length,) = struct.unpack_from("=I", record, 12)
        handle, name = record[4 : 20 + length], os.fsdecode(record[20 + length :].split(b"\0")[0])
        for key in tuple(self._owners.get(handle, ())):
            directory = self._watches[key].directories[handle]
            if act.mask & kernel.FAN_ONDIR:
                self._descend(key, directory, name, mask=act.mask)
                continue
            yield from self._entry(key, directory, name, act=act)

    def _entry(self, key: str, directory: Directory, name: str, *, act: _Act) -> Iterator[Seen]:
        living, path = self._livings[key], processes.text(directory.below(name))
        if not self._sieve.may_matter(path):
            return
        if act.mask & kernel.FAN_DELETE:
            yield Seen(events.UNLINK, act.pid, File(path), living)
        if act.mask & kernel.FAN_MOVED_FROM:
            yield Seen(events.RENAME, act.pid, File(path), living)
        if act.mask & (kernel.FAN_OPEN | kernel.FAN_CLOSE_WRITE):
            status = directory.stat(name)
            if status is not None and stat.S_ISREG(status.st_mode):
                for kind, file in self._acts(act, path, status):
                    yield Seen(kind, act.pid, file, living, status.st_ctime)

    def _descend(self, key: str, directory: Directory, name: str, *, mask: int) -> None:
        """A directory that is new in a watched one is watched too; tokens and settings are renewed that way."""
        watch = self._watches[key]
        if mask & (kernel.FAN_CREATE | kernel.FAN_MOVED_TO) and directory.may_have_more(len(watch.directories)):
            made = directory.descend(name)
            if made is not None:
                self._mark_directory(key, watch, made)


def _mount_of(descriptor: int) -> int:
    """The number of the mount that a descriptor was opened through: a container's, even when its process is gone."""
    for line in processes.read(f"/proc/self/fdinfo/{descriptor}").splitlines():
        if line.startswith(b"mnt_id:"):
            return int(line.split()[1])
    return -1


def _initiated(flags: int) -> int:
    try:
        return kernel.fanotify_init(flags)
    except OSError:
        return -1
