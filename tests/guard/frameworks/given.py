"""Small worlds of checks and findings, to judge clauses by."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from dabbawala.guard import checks
from dabbawala.guard.checks import Check, Control
from dabbawala.guard.findings import Finding, Place, Report, Status, Subject
from dabbawala.guard.frameworks import assessment
from dabbawala.guard.frameworks.assessment import Assessment, ClauseResult
from dabbawala.guard.frameworks.catalogue import Clause, Framework
from dabbawala.guard.frameworks.records import Record

NOW = datetime(2026, 9, 1, tzinfo=UTC)
HASH = "sha256:" + "ab" * 32
WEB = Subject("v1", "Pod", "shop", "web")


def check(name: str, *supported: tuple[str, str]) -> Check:
    """A check that supports clauses of the framework `test`, each with a strength."""
    controls = tuple(Control("test", clause, strength, "it looks at this") for clause, strength in supported)
    return replace(checks.shipped()["WL-01"], id=name, controls=controls)


def finding(of: Check, status: Status, subject: Subject = WEB) -> Finding:
    reason = "agreed (web: asha, SEC-1, until 2027-01-01T00:00:00Z)" if status is Status.EXCEPTED else ""
    return Finding(of, status, subject, "it is wrong", Place("pod.yaml", 1, 1, 1, "spec"), reason=reason)


def clause(name: str = "1", kind: str = "machine") -> Clause:
    return Clause("test", name, f"Clause <{name}>", kind, "The report", "not verified")


def framework(*clauses: Clause) -> Framework:
    return Framework("test", "A test", "test", "Tests.", True, "not verified", clauses)


def record(of: Clause, type: str = "evidence", *, age: int = 1, lasts: int = 30) -> Record:
    date = NOW - timedelta(days=age)
    return Record(of.name, type, "asha@example.com", date, date + timedelta(days=lasts), HASH)


def assessed(report: Report, *clauses: Clause, given: tuple[Record, ...] = ()) -> Assessment:
    return assessment.assess([framework(*clauses)], report, given, now=NOW)


def result(report: Report, about: Clause, *given: Record) -> ClauseResult:
    (found,) = assessed(report, about, given=given).results
    return found
