"""What the checks say of the parts of a scan while these come and go: of a new part everything is asked, of the others
what needs more than one object and has looked at something that changed (`tracing`).

Whatever is changed, the state is that of a new scan of the same parts. A definition of a kind changes what everything
else means, and what one object owns another is judged by: where those change, everything is asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain

from dabbawala.apimachinery.meta import Object
from dabbawala.guard import scanning
from dabbawala.guard.defaulting import Preparation
from dabbawala.guard.documents import Document
from dabbawala.guard.engine import Asked, Engine, Judgement, PlaceOf
from dabbawala.guard.findings import Finding, Tally
from dabbawala.guard.inventory import Inventory, Item
from dabbawala.guard.listing import Part
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


class Standing:
    """`now` is the instant that everything is judged by, `target` the release of Kubernetes that must serve the
    objects."""

    def __init__(self, engine: Engine, *, now: datetime, target: tuple[int, int] | None = None) -> None:
        self._target = target
        self._engine = engine
        self._now = now
        self._begin()

    def _begin(self) -> None:
        """As if nothing had been judged yet."""
        self._parts: list[Part] = []
        self.preparation = Preparation()
        self.inventory = Inventory(resources=self.preparation.resources)
        self._world: TracedWorld | None = None
        self._native: dict[Item, Judgement] = {}
        self._related: dict[Item, Said] = {}
        self._implied: dict[str, tuple[Judgement, frozenset[Note]]] = {}
        self.tally = Tally()

    @property
    def begun(self) -> bool:
        return self._world is not None

    def steps(self, parts: Iterable[Part]) -> Iterator[Difference]:
        """Judge these parts, of which most are those of the last time: first what they say by themselves, then what
        they mean for each other."""
        parts = list(parts)
        old, new = _without(self._parts, parts), _without(parts, self._parts)
        if self._world is None:
            self.preparation = Preparation(_definitions(new))
            self.preparation.resources.target = self._target
        elif _definitions(old) != _definitions(new) or any(map(_is_owned, _items(old))):
            yield self._anew(parts)
            return
        for part in new:
            part.prepare(self.preparation)
        if self._world is not None and any(map(_is_owned, _items(new))):
            yield self._anew(parts)
            return
        self._parts = parts
        spaces = self.inventory.namespaces
        self.inventory = Inventory.of_items(_items(parts), self.preparation.resources)
        renamed = set(_different(spaces, self.inventory.namespaces))
        gone, come = set(_items(old)), set(_items(new))
        yield self._ask_native(gone, come, renamed)
        yield self._ask_relations(gone, come, renamed)

    def judgements(self) -> Iterator[tuple[Document | None, Judgement]]:
        """What the checks say of each object that is judged, and where it is written, if it is."""
        yield from ((item.document, said) for item, said in self._native.items())
        for item, related in self._related.items():
            yield from ((item.document, said) for said, _ in related.values())
        yield from ((None, said) for said, _ in self._implied.values())

    def _findings(self) -> list[Finding]:
        return [finding for _, judgement in self.judgements() for finding in judgement.findings]

    def _anew(self, parts: Iterable[Part]) -> Difference:
        before = self._findings()
        self._begin()
        for part in parts:
            part.items = None
        for _ in self.steps(parts):
            pass
        return _difference(before, self._findings())

    # Asking ----------------------------------------------------------------------------------------------------------

    def _ask_native(self, gone: set[Item], new: set[Item], renamed: set[str]) -> Difference:
        turn = _Turn(self.tally)
        for item in gone:
            turn.end(self._native.pop(item, _SILENT))
        moved = {item for item in self._native if item.namespace in renamed} if renamed else set()
        for item in self.inventory if new or moved else ():
            if (item in new or item in moved) and self.inventory.owner(item) is None:
                space = self.inventory.namespaces.get(item.namespace)
                request, place = scanning.asked_about(item)
                turn.end(self._native.get(item, _SILENT))
                said = self._engine.judge(request, None if space is None else space.object, place, native=True)
                self._native[item] = turn.begin(said)
        return turn.difference()

    def _ask_relations(self, gone: set[Item], new: set[Item], renamed: set[str]) -> Difference:
        changed = frozenset(chain(chain(*map(notes_of, gone | new)), _notes_of_spaces(renamed)))
        world = TracedWorld(self.inventory, now=self._now, before=self._world, changed=changed)
        self._world = world
        turn = _Turn(self.tally)
        for item in gone:
            for said, _ in self._related.pop(item, {}).values():
                turn.end(said)
        self._related |= {item: {} for item in new if self.inventory.owner(item) is None}
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


def _without(parts: Iterable[Part], others: Iterable[Part]) -> list[Part]:
    """The parts that the others are without."""
    known = set(map(id, others))
    return [part for part in parts if id(part) not in known]


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
