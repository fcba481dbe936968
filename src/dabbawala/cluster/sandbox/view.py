"""The file system that a container sees, built from nothing in a mount namespace of its own.

The root is a tmpfs. The host's programs and libraries appear read-only; of /etc only what programs need to run; home
directories, the cluster's state and everything else do not exist. The image's files are laid over that at their final
paths, then the volumes. After `pivot_root` the host's tree is gone, and because the workload lives in a user namespace
below the one that made these mounts, it can neither undo nor remount any of them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from dataclasses import dataclass

from dabbawala.cluster.sandbox import beneath, kernel, spec

_ROOT_BYTES = 1024 * 1024 * 1024
_SHM_BYTES = 64 * 1024 * 1024
_MAX_LINKS = 64
_COPY_BYTES = 256 * 1024

_HOST_DIRECTORIES = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "opt", "nix", "gnu")
_OWN_DIRECTORIES = ("home", "mnt", "root", "run", "srv", "var", "var/cache", "var/lib", "var/log")
_SHARED_DIRECTORIES = ("tmp", "var/tmp")
# What programs and language runtimes read at start; never passwords, keys, or how this host is set up.
_ETC = (
    "alternatives", "bash.bashrc", "ca-certificates", "ca-certificates.conf", "debian_version", "fonts", "gai.conf",
    "host.conf", "inputrc", "java-11-openjdk", "java-17-openjdk", "java-21-openjdk", "ld.so.cache", "ld.so.conf",
    "ld.so.conf.d", "locale.alias", "locale.conf", "localtime", "magic", "mime.types", "networks", "os-release",
    "pki/ca-trust", "pki/tls/certs", "protocols", "python3", "python3.11", "python3.12", "python3.13", "python3.14",
    "redhat-release", "services", "shells", "ssl/certs", "ssl/openssl.cnf", "terminfo", "timezone",
)  # fmt: skip
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
# As container engines do: a pod of root keeps the host's uid 0, to which the kernel grants these by file mode alone.
_PROC_HIDDEN = ("acpi", "kcore", "keys", "latency_stats", "sched_debug", "scsi", "timer_list", "timer_stats")
_PROC_READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")


@dataclass(frozen=True, slots=True)
class Place:
    """Two empty directories of the cluster's own on which a container's trees are mounted while being built."""

    root: str
    scratch: str


class Tree:
    """A root under construction."""

    def __init__(self, place: Place) -> None:
        self.root = place.root
        self._scratch = place.scratch
        self._overlays = 0
        self._host_owned: list[str] = []
        self._volumes: list[str] = []
        kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_SLAVE)
        flags = kernel.MS_NOSUID | kernel.MS_NODEV
        kernel.mount("root", place.root, "tmpfs", flags, f"mode=755,size={_ROOT_BYTES}")
        kernel.mount("scratch", place.scratch, "tmpfs", flags, f"mode=700,size={_ROOT_BYTES}")

    def at(self, path: str, *, follow: bool = True) -> str:
        """Where a path of the container is now, its links followed as the container would: none leads out."""
        resolved: list[str] = []
        rest = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        for _ in range(_MAX_LINKS + len(rest)):
            if not rest:
                break
            part = rest.pop()
            if part == "..":
                resolved = resolved[:-1]
                continue
            here = "/".join((self.root, *resolved, part))
            if (rest or follow) and os.path.islink(here):
                target = os.readlink(here)
                resolved = [] if target.startswith("/") else resolved
                rest.extend(piece for piece in reversed(target.split("/")) if piece not in ("", "."))
                continue
            resolved.append(part)
        if rest:
            raise OSError(errno.ELOOP, f"{path}: too many symbolic links")
        return "/".join((self.root, *resolved))

    def open(self, path: str, make: beneath.Make | None = None) -> int:
        """The same as a descriptor, for paths that may lead through volumes, where others change links meanwhile."""
        root = os.open(self.root, os.O_PATH | os.O_CLOEXEC)
        try:
            return beneath.open_below(root, path, beneath.Links.ROOTED, make)
        finally:
            os.close(root)

    def directory(self, path: str, mode: int = 0o755) -> str:
        here = self.at(path)
        os.makedirs(here, exist_ok=True)
        os.chmod(here, mode)
        return here

    def file(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        data = content.encode() if isinstance(content, str) else content
        fd = os.open(self.at(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
        finally:
            os.close(fd)

    def bind(self, source: str, target: str, *, read_only: bool) -> None:
        """Show a host file or directory, with what is mounted below it, at a path of the container."""
        shown = os.open(source, os.O_PATH | os.O_CLOEXEC)
        try:
            self._show(shown, target, read_only=read_only)
        finally:
            os.close(shown)

    def volume(self, mount: spec.Mount) -> None:
        shown = beneath.open_in(mount.source, mount.sub_path)
        try:
            self._show(shown, mount.target, read_only=mount.read_only)
        finally:
            os.close(shown)
        self._volumes.append(self.at(mount.target)[len(self.root) :])

    def _show(self, shown: int, target: str, *, read_only: bool) -> None:
        attributes = kernel.MOUNT_ATTR_NOSUID | kernel.MOUNT_ATTR_NODEV
        here = self._place(target, is_directory=stat.S_ISDIR(os.fstat(shown).st_mode))
        try:
            kernel.show_at(shown, here, attributes | (kernel.MOUNT_ATTR_RDONLY if read_only else 0))
        finally:
            os.close(here)

    def show_host(self, path: str) -> None:
        """A top-level host directory (or link) exactly where the host has it, read-only."""
        if os.path.islink(path):
            os.symlink(os.readlink(path), self.at(path))
        elif os.path.isdir(path):
            self.bind(path, path, read_only=True)
            self._host_owned.append(path)

    def _place(self, target: str, *, is_directory: bool) -> int:
        """Something to mount on, made where it is missing, also below a read-only host directory."""
        with contextlib.suppress(FileNotFoundError):
            return self.open(target)
        self._make_writable(os.path.dirname(self.at(target))[len(self.root) :])
        return self.open(target, beneath.Make(file=not is_directory))

    def _make_writable(self, path: str) -> None:
        """Lay a writable layer over the nearest existing directory when that is the host's; volumes are as they are."""
        if _is_in(path, self._volumes) or not _is_in(path, self._host_owned):
            return
        while not os.path.isdir(self.at(path)):
            path = os.path.dirname(path)
        with contextlib.suppress(OSError):
            self.overlay(path, (self.at(path),))

    def overlay(self, target: str, lowers: tuple[str, ...]) -> None:
        """Lower directories, the first on top, with a writable layer that lives as long as the container."""
        self._overlays += 1
        upper, work = (f"{self._scratch}/{self._overlays}/{part}" for part in ("upper", "work"))
        os.makedirs(upper)
        os.makedirs(work)
        os.chmod(upper, stat.S_IMODE(os.stat(lowers[0]).st_mode))
        layers = ":".join(_escape(lower) for lower in lowers)
        options = f"lowerdir={layers},upperdir={_escape(upper)},workdir={_escape(work)},userxattr"
        kernel.mount("overlay", self.at(target), "overlay", kernel.MS_NOSUID | kernel.MS_NODEV, options)


def _is_in(path: str, folders: list[str]) -> bool:
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def _escape(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def build(place: Place, pod: spec.PodSpec, container: spec.ContainerSpec) -> None:
    """Build the view and make it this process's root. The caller is alone in a fresh mount namespace."""
    tree = Tree(place)
    for name in _OWN_DIRECTORIES:
        tree.directory(name)
    for name in _SHARED_DIRECTORIES:
        tree.directory(name, 0o1777)
    for name in _HOST_DIRECTORIES:
        tree.show_host("/" + name)
    _build_etc(tree, pod, container.user)
    _build_proc(tree)
    _build_devices(tree)
    for path in interpreter_paths() + container.host_paths:
        if os.path.isdir(path) and not os.path.lexists(tree.at(path)):
            tree.bind(path, path, read_only=True)
    if container.image_root:
        _place_image(tree, container.image_root, "", writable=not container.read_only_root)
    for mount in container.mounts:
        tree.volume(mount)
    if container.termination_message_path:
        tree.bind(spec.message_file(pod, container), container.termination_message_path, read_only=False)
    os.close(tree.open(container.cwd, beneath.Make()))
    _enter(tree, read_only=container.read_only_root)


def interpreter_paths() -> tuple[str, ...]:
    """Where this Python lives, when that is not part of the host's own directories (a version under a home)."""
    prefix = os.path.realpath(sys.base_prefix)
    return () if prefix == "/" or prefix.startswith(("/usr", "/opt")) else (prefix,)


def _build_etc(tree: Tree, pod: spec.PodSpec, user: spec.User) -> None:
    tree.directory("etc")
    for name in _ETC:
        source = f"/etc/{name}"
        os.makedirs(os.path.dirname(tree.at(source)), exist_ok=True)
        if os.path.islink(source):
            os.symlink(os.readlink(source), tree.at(source))
        elif os.path.isdir(source):
            tree.bind(source, source, read_only=True)
        elif os.path.isfile(source) and os.access(source, os.R_OK):
            _place_file(tree, source, source)
    home = "/root" if user.uid == 0 else f"/home/u{user.uid}"
    here = tree.directory(home)
    with contextlib.suppress(OSError):  # with one id there is nobody else, and the directory is theirs already
        os.chown(here, user.uid, user.gid)
    users = ["root:x:0:0:root:/root:/bin/sh", "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin"]
    groups = ["root:x:0:", "tty:x:5:", "nogroup:x:65534:"]
    if user.uid not in (0, 65534):
        users.append(f"u{user.uid}:x:{user.uid}:{user.gid}::{home}:/bin/sh")
    if user.gid not in (0, 5, 65534):
        groups.append(f"g{user.gid}:x:{user.gid}:")
    tree.file("etc/passwd", "\n".join(users) + "\n")
    tree.file("etc/group", "\n".join(groups) + "\n")
    tree.file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n")
    tree.file("etc/hostname", pod.hostname + "\n")
    tree.file("etc/hosts", pod.hosts or f"127.0.0.1\tlocalhost\n{pod.address}\t{pod.hostname}\n")
    tree.file("etc/resolv.conf", pod.resolv_conf)


def _build_proc(tree: Tree) -> None:
    proc, sys_ = tree.directory("proc"), tree.directory("sys")
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("proc", proc, "proc", flags)
    kernel.mount("sysfs", sys_, "sysfs", flags | kernel.MS_RDONLY)
    empty = tree.directory("mnt")
    for name in _PROC_HIDDEN:
        here = f"{proc}/{name}"
        if os.path.isdir(here):
            kernel.mount(empty, here, "", kernel.MS_BIND)
            kernel.set_mount_attributes(here, kernel.MOUNT_ATTR_RDONLY)
        elif os.path.exists(here):
            kernel.mount("/dev/null", here, "", kernel.MS_BIND)
    for name in _PROC_READ_ONLY:
        here = f"{proc}/{name}"
        if os.path.exists(here):
            kernel.mount(here, here, "", kernel.MS_BIND | kernel.MS_REC)
            kernel.set_mount_attributes(here, kernel.MOUNT_ATTR_RDONLY)


def _build_devices(tree: Tree) -> None:
    dev = tree.directory("dev")
    kernel.mount("dev", dev, "tmpfs", kernel.MS_NOSUID, "mode=755,size=65536k")
    for name in _DEVICES:
        os.close(os.open(f"{dev}/{name}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
        kernel.mount(f"/dev/{name}", f"{dev}/{name}", "", kernel.MS_BIND)
    for name, target in _DEVICE_LINKS.items():
        os.symlink(target, f"{dev}/{name}")
    for name in ("pts", "shm", "mqueue"):
        os.mkdir(f"{dev}/{name}")
    flags = kernel.MS_NOSUID | kernel.MS_NOEXEC
    kernel.mount("devpts", f"{dev}/pts", "devpts", flags, "newinstance,ptmxmode=0666,mode=0620")
    kernel.mount("shm", f"{dev}/shm", "tmpfs", flags | kernel.MS_NODEV, f"mode=1777,size={_SHM_BYTES}")


def _place_image(tree: Tree, source: str, target: str, *, writable: bool) -> None:
    """Lay the image's files over the view: merged where the view has the directory, else a directory of their own."""
    for entry in sorted(os.scandir(source), key=lambda each: each.name):
        path = f"{target}/{entry.name}"
        here = tree.at(path)
        if entry.is_symlink():
            _place_link(tree, entry.path, path)
        elif not entry.is_dir():
            _place_file(tree, entry.path, path)
        elif not os.path.isdir(here):
            _place_directory(tree, entry.path, path, writable=writable)
        elif os.access(here, os.W_OK) or _only_known_directories(entry.path, here):
            _place_image(tree, entry.path, path, writable=writable)
        else:
            tree.overlay(path, (entry.path, here))


def _only_known_directories(source: str, here: str) -> bool:
    """Nothing is to be added at this level, so the layer can go deeper: the smaller, the fewer mounts it covers."""
    return all(
        entry.is_dir(follow_symlinks=False) and os.path.isdir(f"{here}/{entry.name}") for entry in os.scandir(source)
    )


def _place_link(tree: Tree, source: str, path: str) -> None:
    here = tree.at(path, follow=False)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(here)
    os.symlink(os.readlink(source), here)


def _place_directory(tree: Tree, source: str, path: str, *, writable: bool) -> None:
    os.mkdir(tree.at(path))
    if writable:
        # Where the kernel has no overlay for user namespaces, the image's own directories are read-only.
        with contextlib.suppress(OSError):
            tree.overlay(path, (source,))
            return
    tree.bind(source, path, read_only=True)


def _place_file(tree: Tree, source: str, path: str) -> None:
    status = os.stat(source)
    if status.st_size > _COPY_BYTES:
        tree.bind(source, path, read_only=True)
        return
    with open(source, "rb") as file:
        tree.file(path, file.read(), stat.S_IMODE(status.st_mode))


def _enter(tree: Tree, *, read_only: bool) -> None:
    os.chdir(tree.root)
    kernel.pivot_root(".", ".")
    kernel.unmount(".")
    os.chdir("/")
    if read_only:
        kernel.set_mount_attributes("/", kernel.MOUNT_ATTR_RDONLY, recursive=False)
