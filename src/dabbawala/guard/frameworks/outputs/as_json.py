"""JSON: an assessment by frameworks, for programs and for the result log."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from dabbawala.apimachinery import clock
from dabbawala.apimachinery.meta import Object
from dabbawala.guard.findings import Subject
from dabbawala.guard.frameworks.assessment import (
    SENTENCES,
    Assessment,
    ClauseResult,
    NamedResult,
    Seen,
    counts,
)
from dabbawala.guard.frameworks.catalogue import Framework
from dabbawala.guard.frameworks.records import Record
from dabbawala.guard.outputs import as_json

SCHEMA = "guard.dabbawala.dev/frameworks/v1"


def render(found: Assessment) -> bytes:
    return orjson.dumps(document(found), option=orjson.OPT_INDENT_2) + b"\n"


def document(found: Assessment) -> Object:
    return {
        "schema": SCHEMA,
        "time": clock.format_time(found.now),
        "summary": as_json.summary(found.report),
        "frameworks": [_framework(framework, results) for framework, results in found.frameworks],
        "named": [_named(result) for result in found.named],
        "problems": [as_json.problem(item) for item in found.report.problems],
    }


def _framework(framework: Framework, results: Iterable[ClauseResult]) -> Object:
    rows = list(results)
    return {
        "name": framework.name,
        "title": framework.title,
        "allClauses": framework.whole,
        "verified": framework.verified,
        "counts": {state.value: count for state, count in counts(rows).items()},
        "clauses": [clause(row) for row in rows],
    }


def clause(result: ClauseResult) -> Object:
    about = result.clause
    return {
        "id": about.id,
        "title": about.title,
        "kind": about.kind,
        "state": result.state.value,
        "statement": f"{SENTENCES[result.state]} {about.name}",
        "keep": about.keep,
        "verified": about.verified,
        "checks": [_seen(each) for each in result.seen],
        "failing": [_subject(subject) for subject in result.against],
        "records": [record(each) for each in result.records],
        "refused": [{**record(each), "reason": reason} for each, reason in result.refused],
    }


def _seen(each: Seen) -> Object:
    return {
        "id": each.support.check,
        "strength": each.support.control.strength,
        "reason": each.support.control.reason,
        "asked": each.asked,
        "passed": each.passed,
        "failed": each.failed,
        "unknown": each.unknown,
        "excepted": each.excepted,
    }


def _subject(subject: Subject) -> Object:
    return {
        "apiVersion": subject.api_version,
        "kind": subject.kind,
        "namespace": subject.namespace,
        "name": subject.name,
    }


def record(each: Record) -> Object:
    made = {
        "clause": each.clause,
        "type": each.type,
        "owner": each.owner,
        "date": clock.format_time(each.date),
        "expires": clock.format_time(each.expires),
        "documentHash": each.hash,
    }
    return made | {name: text for name in ("document", "statement") if (text := getattr(each, name))}


def _named(result: NamedResult) -> Object:
    return {
        "name": result.named.name,
        "title": result.named.title,
        "state": result.state.value,
        "summary": result.named.flag,
        "clauses": list(result.named.clauses),
        "declared": [
            {
                "setting": item.setting,
                "subject": _subject(item.subject),
                "file": item.place.file,
                "line": item.place.line,
                "field": item.place.field,
            }
            for item in result.declared
        ],
    }
