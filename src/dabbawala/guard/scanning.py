"""A scan: sources to documents, documents to requests, requests to judgements, judgements to a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from dabbawala.api import guard_v1alpha1
from dabbawala.apimachinery.meta import Object
from dabbawala.guard import exceptions, requests, sources
from dabbawala.guard.checks import Check
from dabbawala.guard.documents import Document
from dabbawala.guard.engine import Engine
from dabbawala.guard.exceptions import PolicyException
from dabbawala.guard.findings import Finding, Problem, Report


def of_paths(paths: Iterable[str], checks: Sequence[Check], excepted: Iterable[Path] = (), *, now: datetime) -> Report:
    """Scan what these paths hold. Reading never raises: what cannot be read is among the report's problems."""
    report = Report(checks=checks)
    given = list(_exceptions(excepted, report.problems))
    documents = list(_documents(paths, report))
    _judge(documents, Engine(checks, given, now=now), report)
    report.findings.sort(key=Finding.sort_key)
    report.problems.sort(key=lambda problem: (problem.place.file, problem.place.line, problem.place.column))
    return report


def _documents(paths: Iterable[str], report: Report) -> Iterator[Document]:
    for source in sources.find(paths):
        reading = source.read()
        report.files += 1
        report.problems += reading.problems
        yield from (document for document in reading.documents if document.is_object)


def _judge(documents: Iterable[Document], engine: Engine, report: Report) -> None:
    passed: Counter[str] = Counter()
    for document in documents:
        report.objects += 1
        try:
            request = requests.creating(document.object)
        except LookupError:
            continue
        judgement = engine.judge(request, None, document.place)
        passed.update(judgement.passed)
        report.findings += judgement.findings
    report.passed = dict(sorted(passed.items()))


def _exceptions(paths: Iterable[Path], problems: list[Problem]) -> Iterator[PolicyException]:
    """The exceptions of these files. A file that holds anything else, or a wrong one, is a problem."""
    for source in sources.find(paths):
        reading = source.read()
        problems += reading.problems
        for document in reading.documents:
            wrong = list(_wrong(document.object))
            problems += [
                Problem(document.place(field), "bad-exception", f"{field}: {message}", "See docs/guard.md, Exceptions.")
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
