"""Whether the write-ahead log still holds every transaction that was answered.

SQLite reads its WAL up to the first frame whose checksum is wrong, and takes the rest for what a crash tore. After a
crash that is right: frames behind the last fsync were never answered. Frames before it are not torn by a crash; when
they are damaged, answered writes would be gone without a word. The index of the WAL (`-shm`) tells the two apart: it
counts committed frames only after their fsync, and outlives a killed process. So it is read before SQLite opens the
file, and compared with what SQLite then finds. After a power loss it may be of an earlier WAL; its salts say so.

The layout is that of SQLite's documentation, "WAL-mode File Format", section 2.1; it is the same in all versions of 3.
"""

from __future__ import annotations

import contextlib
import sqlite3
import struct
from pathlib import Path
from typing import NamedTuple

_INDEX = struct.Struct("=12x B 3x I 12x 8s 8x 48x I")


class Frames(NamedTuple):
    """`committed` frames of the WAL with these salts, of which `moved` are in the file already."""

    committed: int
    salts: bytes
    moved: int


NONE = Frames(0, bytes(8), 0)


def missing(path: Path) -> int:
    """How many answered frames SQLite does not find any more in the WAL of this state file; 0 is as it must be.

    Costs nothing after a clean end, which leaves the WAL empty. Nothing is written to the file or its WAL, and when
    frames are missing the index stays as it was found, so that asking again gives the same answer. For the one process
    that holds the directory's lock, before it opens the file.
    """
    index = path.with_name(path.name + "-shm")
    found = _read(index)
    before = _parsed(found)
    if not before.committed:
        return 0
    with contextlib.suppress(sqlite3.Error):  # another damage, which opening it to write will name
        reader = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
        finally:
            reader.close()  # before the index is read: to close a file drops the locks that SQLite holds on it
        gone = _lost(before, _parsed(_read(index)))
        if gone:
            index.write_bytes(found)
        return gone
    return 0


def _read(index: Path) -> bytes:
    try:
        with index.open("rb") as file:
            return file.read(_INDEX.size)
    except OSError:
        return b""


def _parsed(index: bytes) -> Frames:
    if len(index) < _INDEX.size:
        return NONE
    initialized, committed, salts, moved = _INDEX.unpack(index)
    return Frames(committed, salts, moved) if initialized else NONE


def _lost(before: Frames, after: Frames) -> int:
    unread = after.salts == NONE.salts and before.moved < before.committed  # not even the WAL's own header
    if after.salts == before.salts or unread:
        return max(0, before.committed - after.committed)
    return 0
