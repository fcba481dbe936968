"""Reports as files: folders of them to an archive, and what `--scan` writes. The only place here that reads files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from dabbawala.guard.images import reading
from dabbawala.guard.images.archive import Archive
from dabbawala.guard.images.records import Record, Unreadable

FILES_MAX = 50_000
"""Of one folder; a year of daily scans of a hundred images has fewer."""
_SUFFIXES = frozenset({".json", ".jsonl"})


def archive(paths: Iterable[Path]) -> Archive:
    """All that these files and folders tell. A folder without any report is a problem, as is all that cannot be
    read."""
    return Archive(record for path in paths for record in _records(path))


def _records(path: Path) -> Iterator[Record]:
    try:
        is_folder = path.is_dir()
        files = sorted(_files(path)) if is_folder else [path]
    except OSError as wrong:
        yield Unreadable(str(path), f"the folder cannot be read: {wrong.strerror}")
        return
    if not files:
        yield Unreadable(str(path), "the folder has no .json or .jsonl file")
    if len(files) > FILES_MAX:
        yield Unreadable(str(path), f"the folder has more than {FILES_MAX} files; the rest was not read")
    for file in files[:FILES_MAX]:
        if is_folder and file.exists() and not file.is_file():  # one that is named, such as `<(…)`, is waited for
            yield Unreadable(str(file), "it is no file but a pipe, a socket or a device")
        else:
            yield from _read(file)


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(root, name) for name in names if Path(name).suffix in _SUFFIXES and not name.startswith("."))


def _raise(wrong: OSError) -> None:
    raise wrong


def _read(file: Path) -> Iterator[Record]:
    try:
        with file.open("rb") as stream:
            data = stream.read(reading.FILE_BYTES_MAX + 1)
    except OSError as wrong:
        yield Unreadable(str(file), f"the file cannot be read: {wrong.strerror}")
        return
    yield from reading.records(data, str(file))
