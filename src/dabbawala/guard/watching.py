"""A scan that is kept true while files change: what a file says is asked again when the file changes, what needs other
objects when it has looked at something that changed (`tracing`).

Whatever is changed, the state is that of a new scan of the same paths. A definition of a kind changes what everything
else means, and what one object owns another is judged by: where those change, everything is asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain
from pathlib import Path

from dabbawala.apimachinery.meta import Object
from dabbawala.guard import scanning, sources
from dabbawala.guard.defaulting import Preparation
from dabbawala.guard.documents import Document
from dabbawala.guard.engine import Asked, Engine, Judgement, PlaceOf
from dabbawala.guard.findings import Finding, Problem, Report, Tally
from dabbawala.guard.heap import Heap
from dabbawala.guard.inventory import Inventory, Item
from dabbawala.guard.sources import Entry
from dabbawala.guard.tracing import NAMESPACES, Note, TracedWorld, notes_of
from dabbawala.policy.matching import Request

Key = tuple[object, ...]


@dataclass(slots=True)
class _Part:
    """What one entry of a listing holds. `stamp` is made of its content, `written` of the file's state; `problems` are
    those of reading it and of what is no object at all."""

    stamp: object
    written: tuple[int, int, int] | None
    documents: list[Document]
    problems: list[Problem]
    items: list[Item] | None = None

    @property
    def definitions(self) -> list[Object]:
        return [document.object for document in self.documents if document.kind == scanning.DEFINITION]


Said = dict[str, tuple[Judgement, frozenset[Note]]]
"""What checks of our own say of one object, by their ids, each with what it has looked at."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What a change has brought, and what it has ended. Findings that only moved within a file are neither."""

    new: tuple[Finding, ...] = ()
    gone: tuple[Finding, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.new or self.gone)


class Watched:
    """The state of a scan. `now` is the instant that it is judged by, to its end."""

    def __init__(self, paths: Iterable[str], engine: Engine, *, now: datetime) -> None:
        self._paths = tuple(paths)
        self._engine = engine
        self._now = now
        self._begin()
        self.update()

    def _begin(self) -> None:
        """As if nothing had been read yet."""
        self._parts: dict[Path, _Part] = {}
        self._preparation = Preparation()
        self._inventory = Inventory(resources=self._preparation.resources)
        self._world: TracedWorld | None = None
        self._native: dict[Item, Judgement] = {}
        self._related: dict[Item, Said] = {}
        self._implied: dict[str, tuple[Judgement, frozenset[Note]]] = {}
        self._tally = Tally()

    @property
    def folders(self) -> set[Path]:
        """Where something may change."""
        found = {path.parent for path in self._parts}
        for path in map(Path, self._paths):
            found |= set(sources.folders(path)) if path.is_dir() else {path.parent}
        for part in self._parts.values():
            if isinstance(part.stamp, tuple):  # of something rendered: the files that it is rendered from
                found |= {Path(name).parent for name, _, _ in part.stamp}
        return found

    def update(self, touched: Iterable[Path] | None = None, *, more: bool = False) -> Difference:
        """Look again at all content; or at files that were written to and, with `more`, at what has come, gone or
        changed its state beside them."""
        found = list(self.steps(touched, more=more))
        new, gone = (tuple(chain(*(getattr(step, side) for step in found))) for side in ("new", "gone"))
        return Difference(new, gone)

    def steps(self, touched: Iterable[Path] | None = None, *, more: bool = False) -> Iterator[Difference]:
        """As `update`, step by step: first what files say by themselves, then what they mean for each other."""
        parts = self._read(None if touched is None else set(touched), more=more)
        if parts is None:
            return
        old, new = _changed(self._parts, parts), _changed(parts, self._parts)
        if self._world is None:
            self._preparation = Preparation(_definitions(new))
        elif _definitions(old) != _definitions(new) or any(map(_is_owned, _items(old))):
            yield self._anew()
            return
        self._prepare(new)
        if self._world is not None and any(map(_is_owned, _items(new))):
            yield self._anew()
            return
        self._parts = parts
        spaces = self._inventory.namespaces
        self._inventory = Inventory.of_items(_items(parts.values()), self._preparation.resources)
        renamed = set(_different(spaces, self._inventory.namespaces))
        gone, come = set(_items(old)), set(_items(new))
        yield self._ask_native(gone, come, renamed)
        yield self._ask_relations(gone, come, renamed)

    def _prepare(self, parts: Iterable[_Part]) -> None:
        resources = self._preparation.resources
        for part in parts:
            if part.items is None:
                report, heap = Report(), Heap()
                part.items = []
                for obj, document in scanning.prepared(part.documents, self._preparation, report):
                    resource = resources.of(obj["apiVersion"], obj["kind"])
                    part.items.append(Item(obj, resource, document, heap=heap))
                part.problems += report.problems

    def report(self) -> Report:
        """All that is known now, as a scan reports it."""
        report = Report(checks=self._engine.checks, objects=len(self._inventory), files=len(self._parts))
        scanning.collect(report, self._judgements())
        report.problems = [problem for part in self._parts.values() for problem in part.problems]
        report.problems.sort(key=lambda problem: (problem.place.file, problem.place.line, problem.place.column))
        return report

    def tally(self) -> Tally:
        """What the summary of `report` says."""
        found = self._tally
        found.files, found.objects, found.checks = len(self._parts), len(self._inventory), len(self._engine.checks)
        found.problems = sum(len(part.problems) for part in self._parts.values())
        return found

    def _judgements(self) -> Iterator[Judgement]:
        yield from self._native.values()
        for related in self._related.values():
            yield from (judgement for judgement, _ in related.values())
        yield from (judgement for judgement, _ in self._implied.values())

    # Reading ---------------------------------------------------------------------------------------------------------

    def _read(self, touched: set[Path] | None, *, more: bool) -> dict[Path, _Part] | None:
        """What all entries hold now; None where nothing has changed."""
        if touched is not None and not more and self._simply_written(touched):
            return self._parts | {path: self._part(Entry(path, sources.FILE)) for path in touched}
        entries = {entry.path: entry for entry in sources.listed(self._paths)}
        trusted = set() if touched is None else self._parts.keys() - touched
        found = {path: self._trusted(entry, trusted) for path, entry in entries.items()}
        same = list(found) == list(self._parts) and all(found[path] is self._parts[path] for path in found)
        return None if same and self._world is not None else found

    def _simply_written(self, touched: set[Path]) -> bool:
        """Whether the changes are within files that are read as they are, and that are still there."""
        known = all(path in self._parts and isinstance(self._parts[path].stamp, int) for path in touched)
        return known and not any(isinstance(part.stamp, tuple) for part in self._parts.values())

    def _trusted(self, entry: Entry, trusted: Set[Path]) -> _Part:
        """What an entry holds; of one that is trusted as its state says."""
        known = self._parts.get(entry.path)
        unread = known is not None and known.written is not None and entry.path in trusted
        return known if unread and known is not None and known.written == _state(entry) else self._part(entry)

    def _part(self, entry: Entry) -> _Part:
        """What an entry holds, read again only if it has changed."""
        state, source = _state(entry), sources.opened(entry)
        content = hash((source.data, source.problems))
        stamp: object = content if source.render is None else tuple(sources.stamps(entry))
        known = self._parts.get(entry.path)
        if known is not None and known.stamp == stamp:
            known.written = state
            return known
        report, heap = Report(), Heap()
        documents = list(scanning.documents_of(source.read(), report))
        for document in documents:
            document.pack(heap)
        return _Part(stamp, state, documents, report.problems)

    def _anew(self) -> Difference:
        before = [finding for judgement in self._judgements() for finding in judgement.findings]
        self._begin()
        self.update()
        after = [finding for judgement in self._judgements() for finding in judgement.findings]
        return _difference(before, after)

    # Asking ----------------------------------------------------------------------------------------------------------

    def _ask_native(self, gone: set[Item], new: set[Item], renamed: set[str]) -> Difference:
        turn = _Turn(self._tally)
        for item in gone:
            turn.end(self._native.pop(item, _SILENT))
        moved = {item for item in self._native if item.namespace in renamed} if renamed else set()
        for item in self._inventory if new or moved else ():
            if (item in new or item in moved) and self._inventory.owner(item) is None:
                space = self._inventory.namespaces.get(item.namespace)
                request, place = scanning.asked_about(item)
                turn.end(self._native.get(item, _SILENT))
                said = self._engine.judge(request, None if space is None else space.object, place, native=True)
                self._native[item] = turn.begin(said)
        return turn.difference()

    def _ask_relations(self, gone: set[Item], new: set[Item], renamed: set[str]) -> Difference:
        changed = frozenset(chain(chain(*map(notes_of, gone | new)), _notes_of_spaces(renamed)))
        world = TracedWorld(self._inventory, now=self._now, before=self._world, changed=changed)
        self._world = world
        turn = _Turn(self._tally)
        for item in gone:
            for said, _ in self._related.pop(item, {}).values():
                turn.end(said)
        self._related |= {item: {} for item in new if self._inventory.owner(item) is None}
        for item, known in self._related.items():
            if item in new or not all(seen.isdisjoint(changed) for _, seen in known.values()):
                self._ask_again(world, item, changed, turn)
        self._ask_implied(world, changed, turn)
        return turn.difference()

    def _ask_again(self, world: TracedWorld, item: Item, changed: frozenset[Note], turn: _Turn) -> None:
        """Ask of an object what has not been asked yet, or has seen what changed."""
        request, place = scanning.asked_about(item)
        related = self._related[item]
        for asked in self._engine.relational(request):
            known = related.get(asked[0].id)
            if known is None or not known[1].isdisjoint(changed):
                request.memo.clear()  # another check's look at the world would leave no note for this one
                turn.end(_SILENT if known is None else known[0])
                related[asked[0].id] = found = world.traced(partial(self._relate, world, asked, request, place))
                turn.begin(found[0])

    def _relate(self, world: TracedWorld, asked: Asked, request: Request, place: PlaceOf) -> Judgement:
        return self._engine.judge_by(asked, request, world.namespace(request.namespace), place, world)

    def _ask_implied(self, world: TracedWorld, changed: frozenset[Note], turn: _Turn) -> None:
        known, self._implied = self._implied, {}
        for item in scanning.implied(world):
            found = known.pop(item.name, None)
            if found is None or not found[1].isdisjoint(changed):
                turn.end(_SILENT if found is None else found[0])
                found = world.traced(partial(scanning.judge_implied, item, world, self._engine))
                turn.begin(found[0])
            self._implied[item.name] = found
        for said, _ in known.values():
            turn.end(said)


class _Turn:
    """What one step replaces; it keeps the tally."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._ended: list[Finding] = []
        self._begun: list[Finding] = []

    def end(self, said: Judgement) -> None:
        self._ended += said.findings
        self._tally.passed -= len(said.passed)

    def begin(self, said: Judgement) -> Judgement:
        self._begun += said.findings
        self._tally.passed += len(said.passed)
        return said

    def difference(self) -> Difference:
        self._tally.found.subtract(map(Tally.sort_of, self._ended))
        self._tally.found.update(map(Tally.sort_of, self._begun))
        return _difference(self._ended, self._begun)


_SILENT = Judgement((), ())


def _state(entry: Entry) -> tuple[int, int, int] | None:
    """What changes when a file does; None of what is no plain file."""
    if entry.kind != sources.FILE or entry.failed is not None:
        return None
    try:
        found = entry.path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _changed(parts: Mapping[Path, _Part], others: Mapping[Path, _Part]) -> list[_Part]:
    """The parts that the others are without."""
    return [part for path, part in parts.items() if others.get(path) is not part]


def _items(parts: Iterable[_Part]) -> Iterator[Item]:
    return chain.from_iterable(part.items or () for part in parts)


def _is_owned(item: Item) -> bool:
    """Whether it may own others, or be owned."""
    return bool(item.controller or item.uid)


def _definitions(parts: Iterable[_Part]) -> list[Object]:
    return [obj for part in parts for obj in part.definitions]


def _different(before: Mapping[str, Item], after: Mapping[str, Item]) -> Iterator[str]:
    """Names of namespaces that are new, gone, or not what they were."""
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old is None or new is None or (old is not new and not (old.implied and new.implied)):
            yield name


def _notes_of_spaces(names: Iterable[str]) -> Iterator[Note]:
    for name in names:
        yield from ((NAMESPACES, name), (NAMESPACES, ""), ("Namespace", ""), ("Namespace", name))


def _difference(before: Iterable[Finding], after: Iterable[Finding]) -> Difference:
    old, new = {_key(finding): finding for finding in before}, {_key(finding): finding for finding in after}
    return Difference(
        tuple(sorted((new[key] for key in new.keys() - old.keys()), key=Finding.sort_key)),
        tuple(sorted((old[key] for key in old.keys() - new.keys()), key=Finding.sort_key)),
    )


def _key(finding: Finding) -> Key:
    place = finding.place
    return finding.check.id, finding.status, finding.subject, finding.message, place.file, place.field, finding.reason
