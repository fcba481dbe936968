"""What the files of a scan hold, read again only where they change."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from pathlib import Path

from dabbawala.apimachinery.meta import Object
from dabbawala.guard import readers, scanning, sources
from dabbawala.guard.defaulting import Preparation
from dabbawala.guard.documents import Document, Reading
from dabbawala.guard.findings import Problem, Report
from dabbawala.guard.heap import Heap
from dabbawala.guard.inventory import Item
from dabbawala.guard.sources import Entry

State = tuple[int, int, int]


@dataclass(slots=True)
class Part:
    """What one entry of a listing holds. `stamp` is made of its content, `state` is the file's; `met` as of an
    Entry; `items` are there once it has been prepared."""

    stamp: object
    state: State | None
    documents: list[Document]
    unread: list[Problem]
    items: list[Item] | None = None
    unprepared: list[Problem] = field(default_factory=list)
    met: bool = False

    @classmethod
    def of(cls, reading: Reading, *, stamp: object = None, state: State | None = None) -> Part:
        report = Report()
        documents = list(readers.documents_of(reading, report))
        return cls(stamp, state, documents, report.problems)

    @property
    def problems(self) -> list[Problem]:
        """Those of reading it, and of what is no object at all."""
        return [*self.unread, *self.unprepared]

    @property
    def definitions(self) -> list[Object]:
        return [document.object for document in self.documents if document.kind == scanning.DEFINITION]

    def prepare(self, preparation: Preparation) -> None:
        """Make items of the objects, as they would be stored."""
        if self.items is not None:
            return
        report, heap, self.items = Report(), Heap(), []
        for obj, document in scanning.prepared(self.documents, preparation, report):
            resource = preparation.resources.of(obj["apiVersion"], obj["kind"])
            self.items.append(Item(obj, resource, document, heap=heap))
        self.unprepared = report.problems


class Listing:
    """The parts of some paths by where they are, in the order of a scan."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = tuple(paths)
        self.parts: dict[Path, Part] = {}

    @property
    def folders(self) -> set[Path]:
        """Where something may change."""
        found = {path.parent for path in self.parts}
        for path in map(Path, self._paths):
            found |= set(sources.folders(path)) if path.is_dir() else {path.parent}
        for part in self.parts.values():
            if isinstance(part.stamp, tuple):  # of something rendered: the files that it is rendered from
                found |= {Path(name).parent for name, _, _ in part.stamp}
        return found

    def look(self, touched: Set[Path] | None, *, more: bool) -> bool:
        """Look again at all content; or at files that were written to and, with `more`, at what has come, gone or
        changed its state beside them. Whether anything is different, be it an order."""
        before = self.parts
        if touched is not None and not more and self._simply_written(touched):
            self.parts = before | {path: self._again(path) for path in touched}
        else:
            trusted = set() if touched is None else before.keys() - touched
            entries = {entry.path: entry for entry in sources.listed(self._paths)}
            self.parts = {path: self._trusted(entry, trusted) for path, entry in entries.items()}
        same = all(old is new for old, new in zip(before.values(), self.parts.values(), strict=False))
        return not same or list(before) != list(self.parts)

    def _simply_written(self, touched: Set[Path]) -> bool:
        """Whether the changes are within files that are read as they are, and nothing is rendered of any file."""
        known = all(path in self.parts for path in touched)
        return known and not any(isinstance(part.stamp, tuple) for part in self.parts.values())

    def _trusted(self, entry: Entry, trusted: Set[Path]) -> Part:
        """What an entry holds; of one that is trusted as its state says."""
        known = self.parts.get(entry.path)
        if known is not None and known.state is not None and entry.path in trusted and known.state == _state(entry):
            return known
        return self._part(entry)

    def _again(self, path: Path) -> Part:
        """What a file holds that is known, and was written to."""
        return self._part(Entry(path, sources.FILE, met=self.parts[path].met))

    def _part(self, entry: Entry) -> Part:
        """What an entry holds, read again only if it has changed."""
        state, source = _state(entry), sources.opened(entry)
        content = hash((source.data, source.problems))
        stamp: object = content if source.render is None else tuple(sources.stamps(entry))
        known = self.parts.get(entry.path)
        if known is not None and known.stamp == stamp:
            known.state = state
            return known
        part, heap = Part.of(source.read(), stamp=stamp, state=state), Heap()
        for document in part.documents:
            document.pack(heap)
        part.met = entry.met
        return part


def _state(entry: Entry) -> State | None:
    """What changes when a file does; None of what is no plain file."""
    if entry.kind != sources.FILE or entry.failed is not None:
        return None
    try:
        found = entry.path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
