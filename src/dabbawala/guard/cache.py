"""What a start would otherwise work out anew: the checks, read, and their expressions, compiled.

It is one file in the user's cache folder, for one installation of the product as its files are now. Whatever is wrong
with it (somebody else's, broken, of another version, not to be written) is as if it were not there: then everything is
worked out, a second later. Compiled expressions are code, so the file is believed only where nobody else can write it.
"""

from __future__ import annotations

import marshal
import os
import stat
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from importlib.machinery import PathFinder
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from typing import Any, NamedTuple

from dabbawala.cel.environment import Store
from dabbawala.guard import checks
from dabbawala.guard.checks import Check

BYTES_MAX = 64 * 1024 * 1024
"""A file that is larger was not written here; all checks take a tenth."""

FILES_MAX = 8
"""Files that are kept, one for each installation; the oldest go first."""

_NAME, _SUFFIX = "guard-", ".cache"
_MARK = b"dabbawala guard 1\n"
_PACKAGE = Path(__file__).parent.parent
_SOURCES = (
    ("cel", ".py"), ("policy", ".py"), ("guard", ".py"), ("guard/relations", ".py"), ("guard/policies", ".yaml"),
)  # fmt: skip
_FRONT_END = "cel_expr_python"
_NOT_OTHERS = stat.S_IWGRP | stat.S_IWOTH

Stamp = tuple[Any, ...]


class _Kept(NamedTuple):
    stamp: Stamp
    documents: list[tuple[str, Any]]
    programs: dict[bytes, tuple[bytes, ...]]


class Cache:
    """The checks that come with the product, and a store of their expressions. What was compiled meanwhile is there
    for the next process after `save`."""

    def __init__(self, folder: Path | None) -> None:
        """Without a folder nothing is kept."""
        self._folder = folder
        self._stamp = stamp()
        self._kept = None if folder is None else _read(folder / _name(), self._stamp)
        self.store = Store(self._kept.programs if self._kept is not None else {})

    @cached_property
    def checks(self) -> Mapping[str, Check]:
        """By id, in the order of ids. Raises BadCheck."""
        if self._kept is None:
            return checks.shipped()
        found = (checks.of(document, area=area, where=area) for area, document in self._kept.documents)
        return {check.id: check for check in found}

    def save(self) -> None:
        """Keep what was learnt, if anything was. Of several processes that save at once the last one wins."""
        if self._folder is None or not self.store.learnt:
            return
        documents = [(check.area, check.document) for check in self.checks.values()]
        with suppress(OSError, ValueError):
            _write(self._folder, _packed(_Kept(self._stamp, documents, self.store.programs)))
        self.store.learnt = False


def folder_of(environment: Mapping[str, str]) -> Path | None:
    """The user's cache folder; None where there is no home for one."""
    given = environment.get("XDG_CACHE_HOME", "")
    home = Path(given) if os.path.isabs(given) else Path(environment.get("HOME", "")) / ".cache"
    return home / "dabbawala" if home.is_absolute() else None


def stamp() -> Stamp:
    """What a cache is true for: this Python, this installation, and its files as they are now."""
    return (sys.implementation.cache_tag, MAGIC_NUMBER, str(_PACKAGE), tuple(_files()))


def _files() -> Iterator[tuple[str, int, int]]:
    for name, suffix in _SOURCES:
        for path, found in sorted(_listed(_PACKAGE / name, suffix)):
            yield path, found.st_size, found.st_mtime_ns
    front_end = PathFinder.find_spec(_FRONT_END)
    if front_end is not None and front_end.origin:
        with suppress(OSError):
            found = os.stat(front_end.origin)
            yield front_end.origin, found.st_size, found.st_mtime_ns


def _listed(folder: Path, suffix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Files in a folder and in the folders of it."""
    for entry in os.scandir(folder):
        if entry.name.endswith(suffix):
            yield entry.path, entry.stat()
        elif suffix == ".yaml" and entry.is_dir():
            yield from _listed(Path(entry.path), suffix)


def _name() -> str:
    """One for each installation, so that two do not take turns in writing."""
    return f"{_NAME}{zlib.crc32(f'{sys.implementation.cache_tag} {_PACKAGE}'.encode()):08x}{_SUFFIX}"


def _packed(kept: _Kept) -> bytes:
    data = marshal.dumps(tuple(kept))
    return _MARK + zlib.crc32(data).to_bytes(4, "big") + data


def _read(path: Path, wanted: Stamp) -> _Kept | None:
    """What a file keeps, if it is ours, whole, and of this installation as it is. A checksum comes first: reading
    broken code may end a process."""
    data = _trusted(path)
    at = len(_MARK) + 4
    if data is None or not data.startswith(_MARK) or zlib.crc32(data[at:]) != int.from_bytes(data[at - 4 : at], "big"):
        return None
    try:
        kept = _Kept(*marshal.loads(data[at:]))
    except (EOFError, TypeError, ValueError):
        return None
    return kept if kept.stamp == wanted else None


def _trusted(path: Path) -> bytes | None:
    """The content of a file that nobody but us could have written."""
    try:
        if not _ours(os.lstat(path.parent), stat.S_ISDIR):
            return None
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not _ours(found, stat.S_ISREG) or found.st_size > BYTES_MAX:
                return None
            return file.read(BYTES_MAX)
    except OSError:
        return None


def _ours(found: os.stat_result, is_kind: Any) -> bool:
    return bool(is_kind(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & _NOT_OTHERS)


def _write(folder: Path, data: bytes) -> None:
    """Whole or not at all: whoever reads meanwhile sees the old file or the new one. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _ours(folder.lstat(), stat.S_ISDIR) or len(data) > BYTES_MAX:
        return
    made = folder / f".{_name()}.{os.getpid()}"
    try:
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        made.replace(folder / _name())
    finally:
        made.unlink(missing_ok=True)
    _forget(folder.glob(f"{_NAME}*{_SUFFIX}"))


def _forget(files: Iterable[Path]) -> None:
    """The oldest of too many, of installations that are gone."""
    for path in sorted(files, key=lambda path: path.stat().st_mtime_ns, reverse=True)[FILES_MAX:]:
        path.unlink(missing_ok=True)
