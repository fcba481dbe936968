"""A scan that is kept true while files change: what a file says is asked again when the file changes, what needs other
objects when it has looked at something that changed (`tracing`).

Whatever is changed, the state is that of a new scan of the same paths. A definition of a kind changes what everything
else means, and what one object owns another is judged by: where those change, everything is asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain
from pathlib import Path

from dabbawala.apimachinery.meta import Object
from dabbawala.guard import scanning
from dabbawala.guard.defaulting import Preparation
from dabbawala.guard.engine import Asked, Engine, Judgement, PlaceOf
from dabbawala.guard.findings import Finding, Report, Tally
from dabbawala.guard.inventory import Inventory, Item
from dabbawala.guard.listing import Listing, Part
from dabbawala.guard.tracing import NAMESPACES, Note, TracedWorld, notes_of
from dabbawala.policy.matching import Request

Key = tuple[object, ...]


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
    """The state of a scan. `now` is the instant that it is judged by, to its end; `target` the release of Kubernetes
    that must serve the objects."""

    def __init__(
        self, paths: Iterable[str], engine: Engine, *, now: datetime, target: tuple[int, int] | None = None
    ) -> None:
        self._paths = tuple(paths)
        self._target = target
        self._engine = engine
        self._now = now
        self._begin()
        self.update()

    def _begin(self) -> None:
        """As if nothing had been read yet."""
        self._listing = Listing(self._paths)
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
        return self._listing.folders

    def update(self, touched: Iterable[Path] | None = None, *, more: bool = False) -> Difference:
        """Look again at all content; or at files that were written to and, with `more`, at what has come, gone or
        changed its state beside them."""
        found = list(self.steps(touched, more=more))
        new, gone = (tuple(chain(*(getattr(step, side) for step in found))) for side in ("new", "gone"))
        return Difference(new, gone)

    def steps(self, touched: Iterable[Path] | None = None, *, more: bool = False) -> Iterator[Difference]:
        """As `update`, step by step: first what files say by themselves, then what they mean for each other."""
        found = self._listing.look(None if touched is None else set(touched), more=more)
        if found is None and self._world is not None:
            return
        old, new = found or ([], [])
        if self._world is None:
            self._preparation = Preparation(_definitions(new))
            self._preparation.resources.target = self._target
        elif _definitions(old) != _definitions(new) or any(map(_is_owned, _items(old))):
            yield self._anew()
            return
        for part in new:
            part.prepare(self._preparation)
        if self._world is not None and any(map(_is_owned, _items(new))):
            yield self._anew()
            return
        spaces = self._inventory.namespaces
        self._inventory = Inventory.of_items(_items(self._listing.parts.values()), self._preparation.resources)
        renamed = set(_different(spaces, self._inventory.namespaces))
        gone, come = set(_items(old)), set(_items(new))
        yield self._ask_native(gone, come, renamed)
        yield self._ask_relations(gone, come, renamed)

    def report(self) -> Report:
        """All that is known now, as a scan reports it."""
        report = Report(checks=self._engine.checks, objects=len(self._inventory), files=len(self._listing.parts))
        scanning.collect(report, self._judgements())
        report.problems = [problem for part in self._listing.parts.values() for problem in part.problems]
        report.problems.sort(key=lambda problem: (problem.place.file, problem.place.line, problem.place.column))
        return report

    def tally(self) -> Tally:
        """What the summary of `report` says."""
        found = self._tally
        found.files, found.objects, found.checks = (
            len(self._listing.parts),
            len(self._inventory),
            len(self._engine.checks),
        )
        found.problems = sum(len(part.problems) for part in self._listing.parts.values())
        return found

    def _judgements(self) -> Iterator[Judgement]:
        yield from self._native.values()
        for related in self._related.values():
            yield from (judgement for judgement, _ in related.values())
        yield from (judgement for judgement, _ in self._implied.values())

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


def _items(parts: Iterable[Part]) -> Iterator[Item]:
    return chain.from_iterable(part.items or () for part in parts)


def _is_owned(item: Item) -> bool:
    """Whether it may own others, or be owned."""
    return bool(item.controller or item.uid)


def _definitions(parts: Iterable[Part]) -> list[Object]:
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
