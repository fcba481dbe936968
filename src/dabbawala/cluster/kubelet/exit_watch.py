"""Hearing at once that a container has ended: its shim puts a record into the pod's state directory by a rename.

One inotify instance for all pods of a node; nothing is done while nothing happens. Where the user has no instance left,
`available` is False and the agent looks at its pods every second instead. Source: inotify(7).
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import struct
from collections.abc import Callable, Hashable
from pathlib import Path

log = logging.getLogger("dabbawala.kubelet")

_MOVED_TO, _DELETE_SELF, _IGNORED, _OVERFLOW = 0x80, 0x400, 0x8000, 0x4000
_NONBLOCK, _CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC
_EVENT = struct.Struct("iIII")
_BUFFER = 64 * 1024


class ExitWatch:
    """Watches directories by key. `begin` inside a running loop; `changed` is called with the key of each that changes,
    and with None when events were lost."""

    def __init__(self, changed: Callable[[Hashable | None], None]) -> None:
        self._changed = changed
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = -1
        self._keys: dict[int, Hashable] = {}
        self._numbers: dict[Hashable, int] = {}

    @property
    def available(self) -> bool:
        return self._fd >= 0

    def begin(self) -> None:
        self._fd = self._libc.inotify_init1(_NONBLOCK | _CLOEXEC)
        if self._fd < 0:
            log.warning("no inotify instance left (%s): looking at pods every second", os.strerror(ctypes.get_errno()))
            return
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def close(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def knows(self, key: Hashable) -> bool:
        return key in self._numbers

    def add(self, key: Hashable, folder: Path) -> bool:
        """Watch a directory; False when it cannot be watched (yet). Repeating it is harmless."""
        if key in self._numbers:
            return True
        if self._fd < 0:
            return False
        number = self._libc.inotify_add_watch(self._fd, os.fsencode(folder), _MOVED_TO | _DELETE_SELF)
        if number < 0:
            return False
        self._numbers[key] = number
        self._keys[number] = key
        return True

    def remove(self, key: Hashable) -> None:
        number = self._numbers.pop(key, None)
        if number is not None and self._keys.pop(number, None) is not None:
            self._libc.inotify_rm_watch(self._fd, number)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _BUFFER)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            number, mask, _, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size + length
            if mask & _OVERFLOW:
                self._changed(None)
            elif mask & _IGNORED:
                self._numbers.pop(self._keys.pop(number, None), None)
            elif number in self._keys:
                self._changed(self._keys[number])
