"""GitLab's Code Quality report, which a merge request shows beside the lines it changes.

GitLab tells by fingerprints what is new, so that one follows what is wrong and not the line where it stands, and no two
are equal. It knows no accepted findings: those that an exception covers, and what could not be decided, are left out.
Source: docs.gitlab.com/ci/testing/code_quality, Code Quality report format.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator

import orjson

from dabbawala.apimachinery.meta import Object
from dabbawala.guard.findings import Finding, Place, Problem, Report

_SEVERITIES = {"critical": "blocker", "high": "critical", "medium": "major", "low": "minor", "info": "info"}

Key = tuple[str, ...]


def render(report: Report) -> bytes:
    return b"".join(parts(report))


def parts(report: Report) -> Iterator[bytes]:
    """The same, piece by piece and an issue a line."""
    seen: Counter[Key] = Counter()
    separator = b"["
    for key, issue in _issues(report):
        seen[key] += 1
        yield separator + b"\n" + orjson.dumps({**issue, "fingerprint": _fingerprint(key, seen[key])})
        separator = b","
    yield b"\n]\n" if seen else b"[]\n"


def _issues(report: Report) -> Iterator[tuple[Key, Object]]:
    for item in report.failures:
        subject = item.subject
        about = (subject.api_version, subject.kind, subject.namespace, subject.name)
        yield (item.check.id, item.place.file, *about, item.place.field), _failure(item)
    for problem in report.problems:
        yield (problem.code, problem.place.file, problem.place.field), _problem(problem)


def _failure(item: Finding) -> Object:
    where = f": {item.place}" if item.place.rendered else ""
    return {
        "description": f"{item.subject}: {item.message}{where}",
        "check_name": f"{item.check.id} {item.check.title}",
        "severity": _SEVERITIES[item.check.severity],
        "location": _location(item.place, str(item.subject)),
    }


def _problem(item: Problem) -> Object:
    return {
        "description": item.text,
        "check_name": item.code,
        "severity": "blocker",
        "location": _location(item.place, "input"),
    }


def _location(place: Place, subject: str) -> Object:
    """GitLab takes no issue without a path and a line: what a cluster holds is named instead of a file, and what has no
    line of its own is shown at the top."""
    return {"path": place.file or subject, "lines": {"begin": place.line if place.line and not place.rendered else 1}}


def _fingerprint(key: Key, number: int) -> str:
    return hashlib.sha256("\0".join((*key, str(number))).encode()).hexdigest()[:32]
