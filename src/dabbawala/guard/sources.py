"""What a scan reads: files, folders, the standard input; each file once, in the same order on every machine.

A folder is read with all below it, but for what holds no manifests of its own: version control, dependencies, caches.
A file that is named is read whatever its suffix. What cannot be read is a Problem of its source.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dabbawala.guard import documents
from dabbawala.guard.documents import FILE_BYTES_MAX, Reading
from dabbawala.guard.findings import Place, Problem

SUFFIXES = (".yaml", ".yml", ".json")
SKIPPED = frozenset((".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", ".tox", ".terraform"))
STDIN = "-"
STDIN_NAME = "<stdin>"

_ACCESS = "Give read access to it, or leave it out of the scan."
_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass(frozen=True, slots=True)
class Source:
    """A file's name as it is reported, its content, and what went wrong before it could be read."""

    file: str
    data: bytes = b""
    problems: tuple[Problem, ...] = ()

    def read(self) -> Reading:
        if self.problems:
            return Reading([], list(self.problems))
        return documents.read(self.file, self.data)


def find(paths: Iterable[str | Path], *, stdin: BinaryIO | None = None) -> Iterator[Source]:
    """The sources of these paths, in their order, a folder's by name. `-` is the standard input."""
    seen: set[tuple[int, int]] = set()
    for path in paths:
        if str(path) == STDIN:
            data = (stdin or sys.stdin.buffer).read(FILE_BYTES_MAX + 1)
            yield Source(STDIN_NAME, data)
        else:
            yield from _path(Path(path), seen)


def _path(path: Path, seen: set[tuple[int, int]]) -> Iterator[Source]:
    try:
        found = path.stat()
    except OSError as wrong:
        yield _failed(path, wrong)
        return
    if not stat.S_ISDIR(found.st_mode):
        yield from _file(path, found, seen)
        return
    yield from _folder(path, seen)


def _folder(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Source]:
    """All below a folder. A link back to a folder that has been read ends there."""
    try:
        here = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as wrong:
        yield _failed(folder, wrong)
        return
    if _met(here, seen):
        return
    for entry in entries:
        path = folder / entry.name
        try:
            found = path.stat()
        except OSError as wrong:
            if path.suffix.lower() in SUFFIXES:
                yield _failed(path, wrong)
            continue
        if stat.S_ISDIR(found.st_mode):
            if entry.name not in SKIPPED:
                yield from _folder(path, seen)
        elif path.suffix.lower() in SUFFIXES:
            yield from _file(path, found, seen)


def _met(found: os.stat_result, seen: set[tuple[int, int]]) -> bool:
    key = (found.st_dev, found.st_ino)
    if key in seen:
        return True
    seen.add(key)
    return False


def _file(path: Path, found: os.stat_result, seen: set[tuple[int, int]]) -> Iterator[Source]:
    what = next((name for test, name in _KINDS if test(found.st_mode)), "")
    if what:
        yield _problem(path, "not-a-file", f"{path} is {what}, not a file", "Leave it out of the scan.")
    elif not _met(found, seen):
        yield _content(path, found.st_size)


def _content(path: Path, size: int) -> Source:
    """What is too large is not read at all."""
    if size > FILE_BYTES_MAX:
        message = f"the file has {size:,} bytes; {FILE_BYTES_MAX:,} are read at most"
        return _problem(path, "too-large", message, "Split the file; dumps of a cluster are scanned with --live.")
    try:
        with path.open("rb") as file:
            return Source(str(path), file.read(FILE_BYTES_MAX + 1))
    except OSError as wrong:
        return _failed(path, wrong)


def _failed(path: Path, wrong: OSError) -> Source:
    message = f"{path} cannot be read: {wrong.strerror or wrong}"
    remedy = _ACCESS if isinstance(wrong, PermissionError) else "Check the path."
    return _problem(path, "unreadable", message, remedy)


def _problem(path: Path, code: str, message: str, remedy: str) -> Source:
    return Source(str(path), problems=(Problem(Place(str(path)), code, message, remedy),))
