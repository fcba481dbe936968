"""JSON: everything a report holds, for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import orjson

from dabbawala.apimachinery.meta import Object
from dabbawala.guard.checks import SEVERITIES, Check
from dabbawala.guard.findings import Finding, Place, Problem, Report, Status, Tally
from dabbawala.guard.wording import counted

SCHEMA = "guard.dabbawala.dev/report/v1"


def render(report: Report) -> bytes:
    return b"".join(parts(report))


def parts(report: Report) -> Iterator[bytes]:
    """The same, piece by piece and a finding a line: those of a large scan are larger than all that was scanned."""
    yield b'{"schema": ' + orjson.dumps(SCHEMA)
    yield b',\n"summary": ' + orjson.dumps(summary(report), option=orjson.OPT_INDENT_2)
    yield from _listed("findings", (finding(item) for item in report.findings))
    yield from _listed("problems", (problem(item) for item in report.problems))
    yield from _listed("checks", _checks(report))
    yield b"}\n"


def _listed(name: str, items: Iterable[Object]) -> Iterator[bytes]:
    yield f',\n"{name}": ['.encode()
    separator = b"\n"
    for item in items:
        yield separator + orjson.dumps(item)
        separator = b",\n"
    yield b"]"


def summary(report: Report) -> Object:
    return counts(report.tally())


def counts(tally: Tally) -> Object:
    return {
        "files": tally.files,
        "objects": tally.objects,
        "checks": tally.checks,
        "passed": tally.passed,
        "failed": tally.of(Status.FAIL),
        "errors": tally.of(Status.ERROR),
        "unknown": tally.of(Status.UNKNOWN),
        "excepted": tally.of(Status.EXCEPTED),
        "problems": tally.problems,
        "failedBySeverity": {name: tally.of(Status.FAIL, Status.ERROR, severity=name) for name in SEVERITIES},
    }


def inputs(numbers: Object) -> str:
    """In words, how much was looked at by how many checks."""
    return ", ".join(counted(numbers[f"{name}s"], name) for name in ("file", "object", "check"))


def undecided(counted: Object) -> str:
    """In words, how much neither passed nor failed, each after a comma."""
    words = {"excepted": "accepted by exceptions", "unknown": "unknown", "problems": "unreadable"}
    return "".join(f", {counted[name]} {said}" for name, said in words.items() if counted[name])


def finding(item: Finding) -> Object:
    check, status, (api_version, kind, namespace, name), message, place, also, reason = item
    found: Object = {
        "check": check.id,
        "title": check.title,
        "severity": check.severity,
        "status": status.value,
        "message": message,
        "remedy": check.remedy,
        "subject": {"apiVersion": api_version, "kind": kind, "namespace": namespace, "name": name},
        "place": _place(place),
        "also": list(map(_place, also)),
    }
    if reason:
        found["reason"] = reason
    return found


def _place(place: Place) -> Object:
    """`rendered` where the line is one of what the file renders to."""
    file, line, column, _, field, rendered = place
    found: Object = {"file": file, "line": line, "column": column, "field": field}
    if rendered:
        found["rendered"] = True
    return found


def problem(item: Problem) -> Object:
    return {"code": item.code, "message": item.message, "remedy": item.remedy, "place": _place(item.place)}


def _checks(report: Report) -> list[Object]:
    failed = Counter(item.check.id for item in report.failures)
    return [_check(check, report.passed.get(check.id, 0), failed[check.id]) for check in report.checks]


def _check(check: Check, passed: int, failed: int) -> Object:
    return {
        "id": check.id,
        "title": check.title,
        "severity": check.severity,
        "passed": passed,
        "failed": failed,
        "controls": [
            {"framework": row.framework, "clause": row.clause, "strength": row.strength} for row in check.controls
        ],
    }
