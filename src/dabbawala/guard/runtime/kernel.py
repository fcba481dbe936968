"""The system calls that Python has no name for. Numbers are those of the kernel's own headers."""

from __future__ import annotations

import ctypes
import os
import struct

FAN_CLOEXEC, FAN_NONBLOCK, FAN_CLASS_NOTIF = 0x1, 0x2, 0x0
FAN_UNLIMITED_QUEUE, FAN_UNLIMITED_MARKS = 0x10, 0x20
FAN_REPORT_FID, FAN_REPORT_DIR_FID, FAN_REPORT_NAME = 0x200, 0x400, 0x800

FAN_CLOSE_WRITE, FAN_OPEN = 0x8, 0x20
FAN_MOVED_FROM, FAN_MOVED_TO, FAN_CREATE, FAN_DELETE = 0x40, 0x80, 0x100, 0x200
FAN_OPEN_EXEC, FAN_Q_OVERFLOW = 0x1000, 0x4000
FAN_EVENT_ON_CHILD, FAN_ONDIR = 0x0800_0000, 0x4000_0000

FAN_MARK_ADD, FAN_MARK_REMOVE, FAN_MARK_MOUNT, FAN_MARK_ONLYDIR = 0x1, 0x2, 0x10, 0x8

CLONE_NEWUSER, CLONE_NEWNET = 0x1000_0000, 0x4000_0000
AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000

_SYS_OPENAT2 = 437
_RESOLVE_IN_ROOT, _RESOLVE_NO_MAGICLINKS = 0x10, 0x02
_HANDLE_BYTES_MAX = 128

_LIBC = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def fanotify_init(flags: int) -> int:
    """A group; events that carry a descriptor carry one that is open for reading."""
    opened = os.O_RDONLY | os.O_CLOEXEC | os.O_LARGEFILE | os.O_NONBLOCK  # so that no fifo holds us up
    return _check(_LIBC.fanotify_init(ctypes.c_uint(flags), ctypes.c_uint(opened)), "fanotify_init")


def fanotify_mark(group: int, flags: int, mask: int, path: str) -> None:
    code = _LIBC.fanotify_mark(
        group, ctypes.c_uint(flags), ctypes.c_uint64(mask), ctypes.c_int(AT_FDCWD), os.fsencode(path)
    )
    _check(code, f"fanotify_mark {path}")


def open_inside(root: int, path: str) -> int:
    """A path as whoever has that root sees it: links are followed, none leads out (O_PATH)."""
    how = struct.pack("=QQQ", os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    return _check(_LIBC.syscall(_SYS_OPENAT2, root, os.fsencode(path), how, ctypes.c_size_t(len(how))), path)


def handle_of(descriptor: int) -> bytes:
    """What the kernel calls the file: its type and handle, as fanotify reports them."""
    buffer = ctypes.create_string_buffer(struct.pack("=Ii", _HANDLE_BYTES_MAX, 0), 8 + _HANDLE_BYTES_MAX)
    mount = ctypes.c_int()
    code = _LIBC.name_to_handle_at(descriptor, b"", buffer, ctypes.byref(mount), AT_EMPTY_PATH)
    _check(code, "name_to_handle_at")
    (length,) = struct.unpack_from("=I", buffer.raw)
    return buffer.raw[: 8 + length]
