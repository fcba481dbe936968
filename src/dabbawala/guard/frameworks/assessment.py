"""How far a scan and dated records support evidence for each clause.

A failure fails the clause. It is supported only by a direct check that passed, with every other direct one: what only
supports, what looked at nothing and what an exception accepted leave it partial at best. Nothing unknown is a pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dabbawala.guard.findings import Report, Status, Subject
from dabbawala.guard.frameworks import catalogue, records
from dabbawala.guard.frameworks.catalogue import ATTESTATION, MACHINE, Clause, Framework, Named, Support
from dabbawala.guard.frameworks.declared import Declaration
from dabbawala.guard.frameworks.records import Record


class State(StrEnum):
    """What can be said of a clause. Only SUPPORTS has nothing against it."""

    SUPPORTS = "supports"
    PARTIAL = "partial"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NEEDS_EVIDENCE = "needs-evidence"
    NEEDS_ATTESTATION = "needs-attestation"


SENTENCES = {
    State.SUPPORTS: "supports evidence for clause",
    State.PARTIAL: "supports evidence in part for clause",
    State.FAILED: "speaks against clause",
    State.UNKNOWN: "says nothing about clause",
    State.NEEDS_EVIDENCE: "evidence is needed for clause",
    State.NEEDS_ATTESTATION: "an attestation is needed for clause",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What one check of a clause saw: objects by what it said of them. `asked` tells whether the scan had it at all."""

    support: Support
    asked: bool
    passed: int = 0
    failed: int = 0
    unknown: int = 0
    excepted: int = 0

    @property
    def direct(self) -> bool:
        return self.support.control.strength == "direct"

    @property
    def said(self) -> bool:
        """Whether it looked at anything."""
        return bool(self.passed or self.failed or self.unknown or self.excepted)

    @property
    def clean(self) -> bool:
        """Passed of everything that it looked at, and looked at something."""
        return self.passed > 0 and not (self.failed or self.unknown or self.excepted)


@dataclass(frozen=True, slots=True)
class ClauseResult:
    clause: Clause
    state: State
    seen: tuple[Seen, ...]
    records: tuple[Record, ...] = ()
    refused: tuple[tuple[Record, str], ...] = ()
    """Records that do not count, each with the reason."""
    against: tuple[Subject, ...] = ()
    """The objects that fail."""


@dataclass(frozen=True, slots=True)
class NamedResult:
    """`declared` is what manifests declare about it: a word of theirs, which alone proves nothing."""

    named: Named
    state: State
    declared: tuple[Declaration, ...] = ()


@dataclass(frozen=True, slots=True)
class Assessment:
    """`frameworks` with the results of their clauses, and the named questions about them."""

    report: Report
    now: datetime
    frameworks: tuple[tuple[Framework, tuple[ClauseResult, ...]], ...]
    named: tuple[NamedResult, ...]

    @property
    def results(self) -> Iterable[ClauseResult]:
        return (result for _, found in self.frameworks for result in found)


def assess(
    frameworks: Sequence[Framework],
    report: Report,
    given: Iterable[Record] = (),
    declared: Iterable[Declaration] = (),
    *,
    now: datetime,
) -> Assessment:
    """What a report and records say of these frameworks."""
    judge = _Judge(report, list(given), now)
    found = tuple((each, tuple(map(judge.clause, each.clauses))) for each in frameworks)
    families = {each.family for each in frameworks}
    asked = [each for each in catalogue.named().values() if each.framework in families]
    said = list(declared)
    return Assessment(report, now, found, tuple(judge.named(each, said) for each in asked))


class _Judge:
    """Looks up what a report says of a check, and what records there are of a clause."""

    def __init__(self, report: Report, given: Sequence[Record], now: datetime) -> None:
        self._report, self._given, self._now = report, given, now
        self._asked = {check.id for check in report.checks}
        self._supports = catalogue.supports(report.checks)
        self._counts = Counter((finding.check.id, finding.status) for finding in report.findings)
        self._failing: dict[str, set[Subject]] = {}
        for finding in report.failures:
            self._failing.setdefault(finding.check.id, set()).add(finding.subject)

    def clause(self, clause: Clause) -> ClauseResult:
        seen = tuple(self._seen(support) for support in self._supports.get(clause.name, ()))
        about = [record for record in self._given if record.clause == clause.name]
        objections = [(record, records.objection(record, clause, self._now)) for record in about]
        counted = tuple(record for record, against in objections if not against)
        against = {subject for each in seen for subject in self._failing.get(each.support.check, ())}
        return ClauseResult(
            clause,
            state_of(clause.kind, seen, recorded=bool(counted)),
            seen,
            counted,
            tuple((record, reason) for record, reason in objections if reason),
            tuple(sorted(against)),
        )

    def named(self, each: Named, declared: Iterable[Declaration]) -> NamedResult:
        state = together([self.clause(clause).state for clause in catalogue.clauses(each.clauses)])
        own = tuple(item for item in declared if item.question == each.name)
        if own and state in (State.UNKNOWN, State.NEEDS_EVIDENCE):
            state = State.PARTIAL
        return NamedResult(each, state, own)

    def _seen(self, support: Support) -> Seen:
        name = support.check

        def count(status: Status) -> int:
            return self._counts[name, status]

        return Seen(
            support,
            name in self._asked,
            passed=self._report.passed.get(name, 0),
            failed=count(Status.FAIL) + count(Status.ERROR),
            unknown=count(Status.UNKNOWN),
            excepted=count(Status.EXCEPTED),
        )


def state_of(kind: str, seen: Sequence[Seen], *, recorded: bool) -> State:
    """Of a clause, by what its checks saw and whether there is a record of it that counts."""
    passed = any(each.passed for each in seen)
    if any(each.failed or (each.excepted and not passed) for each in seen):
        return State.FAILED
    open_ = any(each.unknown or each.excepted for each in seen)
    if kind == MACHINE:
        direct = [each for each in seen if each.direct]
        if direct and not open_ and all(each.clean for each in direct):
            return State.SUPPORTS
        return State.PARTIAL if recorded or passed else State.UNKNOWN
    if recorded:
        return State.PARTIAL if open_ else State.SUPPORTS
    return State.NEEDS_ATTESTATION if kind == ATTESTATION else State.NEEDS_EVIDENCE


def together(states: Sequence[State]) -> State:
    """Of several clauses as one: as good as the worst, and partial where only some are supported."""
    if State.FAILED in states:
        return State.FAILED
    if len(set(states)) == 1:
        return states[0]
    if any(state in (State.SUPPORTS, State.PARTIAL) for state in states):
        return State.PARTIAL
    return next(state for state in (State.UNKNOWN, State.NEEDS_EVIDENCE, State.NEEDS_ATTESTATION) if state in states)


def counts(found: Iterable[ClauseResult]) -> Mapping[State, int]:
    counted = Counter(result.state for result in found)
    return {state: counted[state] for state in State}
