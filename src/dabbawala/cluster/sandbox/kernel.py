"""The Linux calls that Python 3.11 does not offer: namespaces, mounts, process attributes.

One thin function per call, each raising `OSError` with the kernel's errno, so that callers read like the order of
calls they depend on. glibc is reached by ctypes; nothing here keeps state.
"""

from __future__ import annotations

import _thread
import ctypes
import os
import struct
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 4096
MS_REC = 16384
MS_SLAVE = 1 << 19
MNT_DETACH = 2

MOUNT_ATTR_RDONLY = 1
MOUNT_ATTR_NOSUID = 2
MOUNT_ATTR_NODEV = 4
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_EMPTY_PATHS = 0x4 | 0x40
# The same numbers on every architecture; the newest of them is of Linux 5.12.
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_MOUNT_SETATTR = 442

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_LAST_CAPABILITY = 63  # the kernel refuses numbers it does not know, and that ends the loop

_LIBC = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def unshare(flags: int) -> None:
    _check(_LIBC.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    _check(_LIBC.setns(fd, kind), "setns")


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    code = _LIBC.mount(
        source.encode(), target.encode(), fstype.encode() or None, ctypes.c_ulong(flags), data.encode() or None
    )
    _check(code, f"mount {source} on {target}")


def unmount(target: str, flags: int = MNT_DETACH) -> None:
    _check(_LIBC.umount2(target.encode(), flags), f"umount {target}")


def pivot_root(new_root: str, put_old: str) -> None:
    _check(_LIBC.pivot_root(new_root.encode(), put_old.encode()), "pivot_root")


def set_mount_attributes(path: str, attributes: int, *, recursive: bool = True) -> None:
    """Turn attributes on for a mount and all below it; locked flags need not be repeated (unlike a remount)."""
    attr = struct.pack("=QQQQ", attributes, 0, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    code = _LIBC.syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, path.encode(), flags, attr, ctypes.c_size_t(len(attr)))
    _check(code, f"mount_setattr {path}")


def show_at(source: int, target: int, attributes: int) -> None:
    """Show what one descriptor (O_PATH) is open on, with all that is mounted below it, at what the other is open on.

    The attributes hold before anybody can see it, and no path is looked up on the way.
    """
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_EMPTY_PATH | _AT_RECURSIVE
    tree = _check(_LIBC.syscall(_SYS_OPEN_TREE, source, b"", flags), "open_tree")
    try:
        attr = struct.pack("=QQQQ", attributes, 0, 0, 0)
        flags = _AT_EMPTY_PATH | _AT_RECURSIVE
        _check(_LIBC.syscall(_SYS_MOUNT_SETATTR, tree, b"", flags, attr, ctypes.c_size_t(len(attr))), "mount_setattr")
        _check(_LIBC.syscall(_SYS_MOVE_MOUNT, tree, b"", target, b"", _MOVE_MOUNT_EMPTY_PATHS), "move_mount")
    finally:
        os.close(tree)


def _prctl(option: int, value: int | bytes, what: str) -> None:
    argument = value if isinstance(value, bytes) else ctypes.c_ulong(value)
    zero = ctypes.c_ulong(0)
    _check(_LIBC.prctl(option, argument, zero, zero, zero), what)


def become_subreaper() -> None:
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, "become subreaper")


def die_with_parent(signum: int) -> None:
    _prctl(_PR_SET_PDEATHSIG, signum, "set parent death signal")


def forbid_inspection() -> None:
    """Nobody below the initial user namespace may ptrace this process or open what its /proc entries point at.

    exec undoes it. It also closes this process's namespace links to its own parent: open those first.
    """
    _prctl(_PR_SET_DUMPABLE, 0, "set dumpable")


def set_process_name(name: str, detail: str = "") -> None:
    """Name the process everywhere, its command line included: that would show host paths inside containers.

    `detail` stands behind the name on the command line, as far as there is room.
    """
    _prctl(_PR_SET_NAME, name.encode()[:15], "set name")
    with open("/proc/self/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    start, end = int(fields[45]), int(fields[46])
    if 0 < start < end:
        title = f"{name} {detail}".strip().encode()[: end - start - 1]
        ctypes.memset(start, 0, end - start)
        ctypes.memmove(start, title, len(title))


def forbid_new_privileges() -> None:
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, "set no_new_privs")


def limit_capabilities(keep: Iterable[int]) -> None:
    """Shrink the bounding set to `keep`: after the next exec not even uid 0 has more."""
    kept = frozenset(keep)
    for capability in range(_LAST_CAPABILITY + 1):
        if capability in kept:
            continue
        try:
            _prctl(_PR_CAPBSET_DROP, capability, "drop capability")
        except OSError as error:
            if error.errno == 22:
                return
            raise


def in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a thread of its own that ends with it.

    A thread may change its network namespace without moving the process; what it opened (sockets, namespace
    descriptors) stays where it was opened. Never do this in a thread that is used again.
    """
    done = _thread.allocate_lock()
    done.acquire()
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(work())
        except BaseException as error:  # handed to the caller below
            errors.append(error)
        finally:
            done.release()

    _thread.start_new_thread(body, ())
    done.acquire()
    if errors:
        raise errors[0]
    return results[0]


def new_network_namespace() -> int:
    """A new network namespace, kept open by the returned descriptor; the caller stays where it is."""

    def body() -> int:
        unshare(CLONE_NEWNET)
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    return in_thread(body)


def in_network(namespace: int, work: Callable[[], T]) -> T:
    """Run `work` inside the network namespace behind the descriptor."""

    def body() -> T:
        setns(namespace, CLONE_NEWNET)
        return work()

    return in_thread(body)
