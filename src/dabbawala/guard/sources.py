"""What a scan reads: files, folders, charts, kustomizations, the standard input; each once, in the same order on every
machine.

A folder is read with all below it, but for what holds no manifests of its own: version control, dependencies, caches.
A chart's folder is rendered by helm; a kustomization that no other builds on, by kustomize; the files beside it are
its parts and not objects. Scripts and Dockerfiles are read too; a file that is named is, whatever its suffix. What
cannot be read is a Problem.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from dabbawala.guard import charts, decoding, embedding, kustomize
from dabbawala.guard.charts import PLAIN, Values
from dabbawala.guard.decoding import FILE_BYTES_MAX
from dabbawala.guard.documents import Reading
from dabbawala.guard.findings import Place, Problem
from dabbawala.guard.languages import shapes

FOLDERS_DEEP_MAX = 64
"""Levels of folders below the one that is named."""

SUFFIXES = (".yaml", ".yml", ".json")
SKIPPED = frozenset((
    ".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", ".tox", ".terraform", ".cache",
))  # fmt: skip
STDIN = "-"
STDIN_NAME = "<stdin>"
FILE, CHART, KUSTOMIZATION, STREAM = "file", "chart", "kustomization", "stream"

_ACCESS = "Give read access to it, or leave it out of the scan."
_OTHERS = frozenset(("not-an-object", "template", "json-syntax"))
"""Problems of files that are something else than manifests."""
_KINDS = (
    (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """A file's name as it is reported, its content, and what went wrong before it could be read. What must be rendered
    first has no content but says how to `render` it. `met` is what was not named itself, but is below what was."""

    file: str
    data: bytes = b""
    problems: tuple[Problem, ...] = ()
    render: Callable[[], Reading] | None = None
    met: bool = False

    def read(self) -> Reading:
        """The documents; never raises."""
        if self.problems:
            return Reading([], list(self.problems))
        if self.render is not None:
            return self.render()
        reading = embedding.read(self.file, self.data)
        if reading.problems and self.met and _is_no_manifest(self.data):
            return reading._replace(problems=[found for found in reading.problems if found.code not in _OTHERS])
        return reading


class Entry(NamedTuple):
    """Something to read. `failed` stands for what cannot even be looked at; `met` as of a Source."""

    path: Path
    kind: str
    size: int = 0
    failed: Problem | None = None
    met: bool = False


def find(paths: Iterable[str | Path], *, values: Values = PLAIN, stdin: BinaryIO | None = None) -> Iterator[Source]:
    """The sources of these paths, in their order, a folder's by name. `-` is the standard input; `values` are what
    charts are rendered with."""
    return (opened(entry, values, stdin) for entry in listed(paths))


def listed(paths: Iterable[str | Path]) -> Iterator[Entry]:
    """What there is to read, without reading it."""
    seen: set[tuple[int, int]] = set()
    for path in paths:
        if str(path) == STDIN:
            yield Entry(Path(STDIN), STREAM)
        else:
            yield from _listed(Path(path), seen)


def _listed(path: Path, seen: set[tuple[int, int]]) -> Iterator[Entry]:
    entries = list(_named(path, seen))
    inner = _built_on(entries)
    for entry in entries:
        if entry.kind != KUSTOMIZATION or len(entries) == 1 or not _is_part(entry.path, inner):
            yield entry if _is_text(entry.path) else _nameless(entry.path)


def _is_no_manifest(data: bytes) -> bool:
    """Whether nothing in a file says of itself what an object says: a playbook, a template of other things, JSON with
    comments."""
    return b"kind" not in data and b"apiVersion" not in data and b"\0" not in data


def _is_text(path: Path) -> bool:
    """Whether a path can be written into a report: Linux takes any bytes for a name, a report is UTF-8."""
    name = str(path)
    return name.isascii() or not any("\udc80" <= char <= "\udcff" for char in name)


def _nameless(path: Path) -> Entry:
    shown = os.fsencode(path).decode(errors="backslashreplace")
    problem = Problem(Place(shown), "name-not-utf-8", f"the name of {shown} is not UTF-8", "Rename it.")
    return Entry(path, FILE, failed=problem)


def folders(path: Path) -> Iterator[Path]:
    """A folder and those below it."""
    for folder, below, _ in os.walk(path):
        below[:] = [name for name in below if name not in SKIPPED]
        yield Path(folder)


def stamps(entry: Entry) -> Iterator[tuple[str, int, int]]:
    """What changes when a file does that something is rendered from."""
    waiting, seen = [entry.path], set()
    while waiting:
        folder = waiting.pop()
        if folder in seen:
            continue
        seen.add(folder)
        for path in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
            with suppress(OSError):
                found = path.stat()
                yield str(path), found.st_mtime_ns, found.st_size
        if entry.kind == KUSTOMIZATION:
            waiting += kustomize.included(folder)


def _built_on(entries: list[Entry]) -> set[Path]:
    return {inner for entry in entries if entry.kind == KUSTOMIZATION for inner in kustomize.included(entry.path)}


def _is_part(folder: Path, inner: set[Path]) -> bool:
    return folder.resolve() in inner or kustomize.is_component(folder)


def opened(entry: Entry, values: Values = PLAIN, stdin: BinaryIO | None = None) -> Source:
    """The source of an entry, its content read."""
    if entry.kind == STREAM:
        return Source(STDIN_NAME, (stdin or sys.stdin.buffer).read(FILE_BYTES_MAX + 1))
    name = str(entry.path)
    if entry.failed is not None:
        return Source(entry.failed.place.file, problems=(entry.failed,))
    if entry.kind == CHART:
        return Source(name, render=lambda: charts.read(name, values))
    if entry.kind == KUSTOMIZATION:
        return Source(name, render=lambda: kustomize.read(name))
    return _content(entry)


def _named(path: Path, seen: set[tuple[int, int]]) -> Iterator[Entry]:
    try:
        found = path.stat()
    except OSError as wrong:
        yield _failed(path, wrong)
        return
    if stat.S_ISDIR(found.st_mode):
        yield from _folder(path, seen, 0)
    elif path.name.endswith(charts.PACKAGE_SUFFIX):
        yield Entry(path, CHART)
    elif path.name in kustomize.FILES:
        yield Entry(path.parent, KUSTOMIZATION)
    else:
        yield from _file(path, found, seen)


def _folder(folder: Path, seen: set[tuple[int, int]], depth: int) -> Iterator[Entry]:
    """All below a folder. A link back to a folder that has been read ends there."""
    try:
        if _met(folder.stat(), seen):
            return
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError as wrong:
        yield _failed(folder, wrong)
        return
    if charts.CHART_FILE in names:
        yield Entry(folder, CHART)
        return
    if depth > FOLDERS_DEEP_MAX:
        message = f"{folder} is more than {FOLDERS_DEEP_MAX} folders deep"
        yield _refused(folder, "too-deep", message, "Name it as a path of its own.")
        return
    parts_only = kustomize.file_of(folder) is not None
    if parts_only:
        yield Entry(folder, KUSTOMIZATION)
    for name in names:
        for entry in _below(folder / name, seen, depth):
            if not parts_only or entry.kind != FILE:
                yield entry


def _below(path: Path, seen: set[tuple[int, int]], depth: int) -> Iterator[Entry]:
    is_manifest = path.suffix.lower() in SUFFIXES or bool(shapes.of_text(path.name))
    try:
        found = path.stat()
    except OSError as wrong:
        if is_manifest:
            yield _failed(path, wrong)
        return
    if stat.S_ISDIR(found.st_mode):
        if path.name not in SKIPPED:
            yield from _folder(path, seen, depth + 1)
    elif is_manifest:
        yield from (entry._replace(met=True) for entry in _file(path, found, seen))


def _met(found: os.stat_result, seen: set[tuple[int, int]]) -> bool:
    key = (found.st_dev, found.st_ino)
    if key in seen:
        return True
    seen.add(key)
    return False


def _file(path: Path, found: os.stat_result, seen: set[tuple[int, int]]) -> Iterator[Entry]:
    what = next((name for test, name in _KINDS if test(found.st_mode)), "")
    if what:
        yield _refused(path, "not-a-file", f"{path} is {what}, not a file", "Leave it out of the scan.")
    elif not _met(found, seen):
        yield Entry(path, FILE, found.st_size)


def _content(entry: Entry) -> Source:
    """What is too large is not read at all."""
    path, size = entry.path, entry.size
    if size > FILE_BYTES_MAX:
        problem = decoding.too_large(str(path), size)
        return Source(str(path), problems=(problem,))
    try:
        with path.open("rb") as file:
            return Source(str(path), file.read(FILE_BYTES_MAX + 1), met=entry.met)
    except OSError as wrong:
        return opened(_failed(path, wrong))


def _failed(path: Path, wrong: OSError) -> Entry:
    message = f"{path} cannot be read: {wrong.strerror or wrong}"
    remedy = _ACCESS if isinstance(wrong, PermissionError) else "Check the path."
    return _refused(path, "unreadable", message, remedy)


def _refused(path: Path, code: str, message: str, remedy: str) -> Entry:
    return Entry(path, FILE, failed=Problem(Place(str(path)), code, message, remedy))
