"""Notices of changes in folders, from the kernel; where it has none to give, by looking again and again.

Source: inotify(7). There is no module for it in Python's library, and three calls of libc are all it takes.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

LOOK_AGAIN_SECONDS = 1.0
"""Between two looks where the kernel gives no notice."""

SETTLE_SECONDS = 0.002
"""Programs write a file in several steps; what comes within this is one change."""

_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x8, 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF = 0x400, 0x800
_WANTED = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
_EVENT = struct.Struct("iIII")
_BUFFER_BYTES = 64 * 1024


class Notices:
    """Changes in some folders, of what is directly in them."""

    def __init__(self) -> None:
        self._folders: dict[int, Path] = {}
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._queue = -1
        if hasattr(self._libc, "inotify_init1"):
            self._queue = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> Notices:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def follow(self, folders: Iterable[Path]) -> None:
        """Of these folders, from now on. Where the kernel has no room for them, there are no notices any more."""
        if self._queue < 0:
            return
        for folder in folders:
            number = self._libc.inotify_add_watch(self._queue, os.fsencode(folder), _WANTED)
            if number >= 0:
                self._folders[number] = folder
            elif ctypes.get_errno() not in (2, 20):  # it is gone already
                self._end()
                return

    def wait(self) -> tuple[set[Path], bool]:
        """Wait for a change: the files that were written to, and whether more may have changed."""
        if self._queue < 0:
            time.sleep(LOOK_AGAIN_SECONDS)
            return set(), True
        written, more, patience = set(), False, None
        while select.select([self._queue], [], [], patience)[0]:
            for path in self._taken():
                if path is None:
                    more = True
                else:
                    written.add(path)
            patience = SETTLE_SECONDS
        return written, more

    def _taken(self) -> Iterator[Path | None]:
        """The files that were written to; None for anything else."""
        data, at = os.read(self._queue, _BUFFER_BYTES), 0
        while at < len(data):
            number, mask, _, size = _EVENT.unpack_from(data, at)
            name = os.fsdecode(data[at + _EVENT.size : at + _EVENT.size + size].rstrip(b"\0"))
            at += _EVENT.size + size
            folder = self._folders.get(number)
            yield folder / name if folder is not None and name and mask & _CLOSE_WRITE else None

    def _end(self) -> None:
        if self._queue >= 0:
            os.close(self._queue)
        self._queue = -1
