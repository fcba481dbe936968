"""What is to be changed in one object, from what the checks found in it, and why the rest is left for a person.

The findings are asked in the order of their checks; of two changes of one place the first counts, and the other one is
asked for again when the object has been judged anew. A change that would make the API server refuse the object is
none. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from dabbawala.apimachinery.meta import Object
from dabbawala.guard import checks, defaulting, documents
from dabbawala.guard.charts import TemplateOrigin
from dabbawala.guard.defaulting import Preparation
from dabbawala.guard.documents import Document
from dabbawala.guard.findings import Finding, Status
from dabbawala.guard.fix.changes import Change, Impossible, changed, without_collisions
from dabbawala.guard.kustomize import FieldOrigin


class Repair(NamedTuple):
    """A change and the checks that ask for it."""

    change: Change
    checks: tuple[str, ...]


def wanted(obj: Object, findings: Iterable[Finding], hopeless: Collection[str] = (), *, risky: bool) -> list[Repair]:
    """The changes that findings of one object ask for and that can be made together. Those whose words are hopeless
    keep no place from another one."""
    asked: dict[str, tuple[Change, list[str]]] = {}
    for finding in sorted(findings, key=lambda item: checks.order(item.check.id)):
        for change in changes_of(finding, obj) if risky or not finding.check.fix.risk else ():
            if change.words not in hopeless:
                asked.setdefault(change.words, (change, []))[1].append(finding.check.id)
    kept, _ = without_collisions([change for change, _ in asked.values()])
    return [Repair(change, tuple(dict.fromkeys(asked[change.words][1]))) for change in kept]


def changes_of(finding: Finding, obj: Object) -> list[Change]:
    """What one finding asks for."""
    if finding.status is not Status.FAIL:
        return []
    places = (finding.place, *finding.also)
    return [change for place in places for change in finding.check.fix.changes(place.field, obj)]


def acceptable(obj: Object, repairs: Sequence[Repair], preparation: Preparation) -> tuple[list[Repair], dict[str, str]]:
    """Those after which the API server takes the object as it took it before, and, by check, why it would refuse the
    others."""
    before = _refusals(obj, preparation)
    kept: list[Repair] = []
    refused: dict[str, str] = {}
    if not _newly(obj, repairs, before, preparation):
        return list(repairs), refused
    for repair in repairs:
        why = _newly(obj, [*kept, repair], before, preparation)
        if not why:
            kept.append(repair)
        else:
            refused |= dict.fromkeys(repair.checks, f"the API server would refuse {repair.change}: {why}")
    return kept, refused


def _newly(obj: Object, repairs: Sequence[Repair], before: set[str], preparation: Preparation) -> str:
    """The first complaint that the object does not give rise to already."""
    try:
        after = _refusals(changed(obj, [repair.change for repair in repairs]), preparation)
    except Impossible as impossible:
        return str(impossible)
    return min(after - before, default="")


def _refusals(obj: Object, preparation: Preparation) -> set[str]:
    document = documents.made(obj, "", file="")  # nobody asks where anything is written
    prepared = preparation.prepare(document)
    return {problem.message for problem in (*prepared.problems, *defaulting.refusals(document, prepared))}


def why_left(finding: Finding, document: Document | None, *, risky: bool) -> str:
    """Why nothing repairs a finding, as far as the check and the source say it; empty where a repair was due."""
    fix = finding.check.fix
    if finding.status is Status.ERROR:
        return "the check could not be evaluated"
    if document is None:
        return f"no object here declares it. {finding.check.remedy}"
    if document.origin is not None:
        return f"{_source(finding, document)}. {finding.check.remedy}"
    if not fix.steps:
        return f"{fix.by_hand or 'There is no one repair for it.'} {finding.check.remedy}"
    if fix.risk and not risky:
        return f"risky, --risky makes the change. {fix.risk}"
    if not changes_of(finding, document.object):
        return f"the repair does not fit what is written here. {finding.check.remedy}"
    return ""


def _source(finding: Finding, document: Document) -> str:
    """Where the value of an object comes from that is rendered, or stands in another one."""
    place, origin = finding.place, document.origin
    if not isinstance(origin, TemplateOrigin | FieldOrigin):
        return f"it stands in a text, at {place}"
    names = origin.values(document, place.field) if isinstance(origin, TemplateOrigin) else ()
    if names:
        return f"rendered from {place}, out of the chart's {', '.join(f'.Values.{name}' for name in names)}"
    return f"rendered from {place}"
