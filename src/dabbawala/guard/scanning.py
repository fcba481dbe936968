"""A scan: sources to documents, documents to an inventory of objects as they would be stored, and every check's word on
each of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from sys import maxsize
from typing import NamedTuple

from dabbawala.api import guard_v1alpha1
from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Store
from dabbawala.guard import exceptions, readers, requests, sources
from dabbawala.guard.checks import Check
from dabbawala.guard.defaulting import Preparation
from dabbawala.guard.documents import Document
from dabbawala.guard.engine import Engine, Judgement, PlaceOf
from dabbawala.guard.exceptions import PolicyException
from dabbawala.guard.findings import Finding, Place, Problem, Report
from dabbawala.guard.inventory import Inventory, Item
from dabbawala.guard.readers import FAULTS
from dabbawala.guard.resources import Release
from dabbawala.guard.world import World
from dabbawala.policy.matching import Request


class Share(NamedTuple):
    """What of a world is judged here: by the checks of our own all of it or nothing, by native ones the objects from
    `start` to `end`, counted as they were read."""

    own: bool = True
    start: int = 0
    end: int = maxsize

    def natively(self, number: int) -> bool:
        """Whether native checks are asked of an object."""
        return self.start <= number < self.end


EVERYTHING = Share()
DEFINITION = "CustomResourceDefinition"


def of_paths(
    paths: Iterable[str],
    checks: Sequence[Check],
    excepted: Iterable[Path] = (),
    *,
    now: datetime,
    store: Store | None = None,
    target: Release | None = None,
) -> Report:
    """Scan what these paths hold. Reading never raises: what cannot be read is among the report's problems. `target` is
    the release of Kubernetes that must serve the objects."""
    report = Report(checks=checks)
    world, engine = begun(readers.read(paths, report), report, excepted, now=now, store=store, target=target)
    judge(world, engine, report)
    return report


def begun(
    found: Sequence[Document],
    report: Report,
    excepted: Iterable[Path] = (),
    *,
    now: datetime,
    store: Store | None = None,
    target: Release | None = None,
) -> tuple[World, Engine]:
    """As `of_paths`, of what has been read and before anything is judged."""
    given = list(exceptions_of(excepted, report.problems))
    inventory = inventory_of(found, report)
    inventory.resources.target = target
    report.problems.sort(key=lambda problem: (problem.place.file, problem.place.line, problem.place.column))
    return World(inventory, now=now), Engine(report.checks, given, now=now, store=store)


def judge(world: World, engine: Engine, report: Report) -> None:
    """Ask the checks about all objects of a world. What something here controls is judged by the template that it was
    made from."""
    report.objects += len(world.inventory)
    collect(report, (judgement for _, judgement in judgements(world, engine)))


def collect(report: Report, found: Iterable[Judgement]) -> None:
    """Add what the checks say to a report."""
    passed, passed_in = Counter(report.passed), Counter(report.passed_in)
    for judgement in found:
        if judgement.passed:
            passed.update(judgement.passed)
            passed_in[judgement.namespace] += len(judgement.passed)
        report.findings += judgement.findings
    report.passed, report.passed_in = dict(sorted(passed.items())), dict(sorted(passed_in.items()))
    report.findings.sort(key=Finding.sort_key)


def judgements(world: World, engine: Engine, share: Share = EVERYTHING) -> Iterator[tuple[Document | None, Judgement]]:
    """What the checks say of each object that is judged, and where it is written, if it is."""
    begin, end = (0, None) if share.own else (share.start, share.end)
    for number, item in enumerate(islice(world.inventory, begin, end), begin):
        natively = share.natively(number)
        if world.inventory.owner(item) is None:
            native = natively if natively is not share.own else None
            yield item.document, judge_item(item, world, engine, native=native)
    for item in implied(world) if share.own else ():
        yield None, judge_implied(item, world, engine)


def judge_item(item: Item, world: World, engine: Engine, *, native: bool | None = None) -> Judgement:
    """What the checks say of one object: all, only the native ones, or only the others."""
    request, place = asked_about(item)
    return engine.judge(request, world.namespace(request.namespace), place, world, native=native)


def asked_about(item: Item) -> tuple[Request, PlaceOf]:
    """What the checks are asked about an object, and where its fields are written."""
    place = _Lazily(item.document).__getitem__ if item.document is not None else _nowhere
    return requests.creating(item.object, item.resource), place


def judge_implied(item: Item, world: World, engine: Engine) -> Judgement:
    """What the checks say of a namespace that is only implied."""
    request = requests.creating(item.object, item.resource)
    return engine.judge_implied(request, _place_in(world, item), world)


class _Lazily(dict[str, Place]):
    """Places in a document by field: nothing is looked up for an object that passes, and nothing twice."""

    __slots__ = ("_document", "_place")

    def __init__(self, document: Document) -> None:
        super().__init__()
        self._document = document
        self._place: PlaceOf | None = None

    def __missing__(self, field: str) -> Place:
        if self._place is None:
            self._place = self._document.placing()
        place = self[field] = self._place(field)
        return place


def implied(world: World) -> Iterator[Item]:
    """The namespaces that no object declares, but that have something to run: what is wrong with a namespace is wrong
    with these too."""
    return (item for name, item in world.inventory.namespaces.items() if item.implied and world.pods_in(name))


def _place_in(world: World, namespace: Item) -> PlaceOf:
    """Of an implied namespace: where the first of its workloads says that it is in it."""
    document = world.pods_in(namespace.name)[0].owner.document
    return _nowhere if document is None else lambda _: document.place("metadata.namespace")


def _nowhere(field: str) -> Place:
    return Place(field=field)


def read(paths: Iterable[str], report: Report) -> Inventory:
    """The objects of these paths as they would be stored. Problems go into the report."""
    return inventory_of(readers.read(paths, report), report)


def inventory_of(documents: Sequence[Document], report: Report) -> Inventory:
    """The objects of these documents as they would be stored. What is wrong with one that can be judged all the same
    is among the faults of its document, for checks to tell; the rest are problems of the report."""
    preparation = Preparation(document.object for document in documents if document.kind == DEFINITION)
    found = Inventory(resources=preparation.resources)
    for obj, document in prepared(documents, preparation, report):
        found.add(obj, document)
    return found


def prepared(
    documents: Iterable[Document], preparation: Preparation, report: Report
) -> Iterator[tuple[Object, Document]]:
    """Documents with their objects as they would be stored."""
    for document in documents:
        made = preparation.prepare(document)
        if made.object is None:
            report.problems += made.problems
        else:
            document.faults = [fault for fault in document.faults if fault.code in FAULTS] + made.problems
            yield made.object, document


def exceptions_of(paths: Iterable[Path], problems: list[Problem]) -> Iterator[PolicyException]:
    """The exceptions of these files. A file that holds anything else, or a wrong one, is a problem."""
    for source in sources.find(paths):
        reading = source.read()
        problems += reading.problems
        for document in reading.documents:
            wrong = list(_wrong(document.object))
            problems += [
                Problem(
                    document.place(field),
                    "bad-exception",
                    f"{field}: {message}",
                    "See docs/guard-enforce.md, Exceptions.",
                )
                for field, message in wrong
            ]
            if not wrong:
                yield exceptions.of(document.object)


def _wrong(obj: Object) -> Iterator[tuple[str, str]]:
    kind = guard_v1alpha1.POLICY_EXCEPTION
    if (obj.get("apiVersion"), obj.get("kind")) != (kind.api_version, kind.kind):
        yield "kind", f"{obj.get('apiVersion')} {obj.get('kind')} is no {kind.api_version} {kind.kind}"
        return
    for error in exceptions.wrong_with(obj):
        yield error.field, error.message
