"""SARIF 2.1.0, as code hosts show it beside the line. Source: OASIS sarif-v2.1.0."""

from __future__ import annotations

import hashlib
from importlib import metadata
from urllib.parse import quote

import orjson

from dabbawala.apimachinery.meta import Object
from dabbawala.guard.checks import Check
from dabbawala.guard.findings import Finding, Place, Problem, Report, Status

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
# What code hosts sort by: CVSS-like scores. Source: GitHub's `security-severity` property.
_SCORES = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "3.0", "info": "0.0"}
_KINDS = {
    Status.PASS: "pass",
    Status.FAIL: "fail",
    Status.ERROR: "fail",
    Status.UNKNOWN: "open",
    Status.EXCEPTED: "fail",
}


def render(report: Report) -> bytes:
    used = {item.check.id: item.check for item in report.findings}
    rules = [check for check in report.checks if check.id in used]
    index = {check.id: position for position, check in enumerate(rules)}
    driver = {
        "name": "dabbawala guard",
        "version": metadata.version("dabbawala"),
        "rules": [_rule(check) for check in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(item, index) for item in report.findings],
        "invocations": [
            {
                "executionSuccessful": not report.problems,
                "toolExecutionNotifications": [_notification(item) for item in report.problems],
            }
        ],
    }
    return orjson.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, option=orjson.OPT_INDENT_2) + b"\n"


def _rule(check: Check) -> Object:
    tags = sorted({f"{row.framework}/{row.clause}" for row in check.controls})
    return {
        "id": check.id,
        "name": "".join(word.capitalize() for word in check.title.split() if word.isalnum()) or check.id,
        "shortDescription": {"text": check.title},
        "fullDescription": {"text": check.rationale or check.title},
        "help": {"text": check.remedy},
        "defaultConfiguration": {"level": _LEVELS[check.severity]},
        "properties": {"security-severity": _SCORES[check.severity], "tags": [check.area, *tags]},
    }


def _result(item: Finding, index: dict[str, int]) -> Object:
    kind = _KINDS[item.status]
    found: Object = {
        "ruleId": item.check.id,
        "ruleIndex": index[item.check.id],
        "kind": kind,
        "level": _LEVELS[item.check.severity] if kind == "fail" else "none",
        "message": {"text": f"{item.subject}: {item.message}"},
        "locations": [_location(item.place, str(item.subject))],
        "partialFingerprints": {"dabbawala/v1": _fingerprint(item)},
    }
    if item.also:
        found["relatedLocations"] = [_location(place, str(item.subject)) for place in item.also]
    if item.status is Status.EXCEPTED:
        found["suppressions"] = [{"kind": "external", "status": "accepted", "justification": item.reason}]
    return found


def _location(place: Place, subject: str) -> Object:
    found: Object = {
        "logicalLocations": [{"fullyQualifiedName": f"{subject}: {place.field}" if place.field else subject}]
    }
    if not place.file:
        return found
    # Hosts refuse a location without a region; of a rendered line, which the file does not have, they get the top.
    known = place.line and not place.rendered
    region = {"startLine": place.line, "startColumn": max(place.column, 1)} if known else {"startLine": 1}
    physical = {"artifactLocation": {"uri": quote(place.file)}, "region": region}
    if place.rendered:
        found |= {"message": {"text": str(place)}, "properties": {"renderedLine": place.line}}
    return {"physicalLocation": physical, **found}


def _fingerprint(item: Finding) -> str:
    """The same finding in the same object, wherever its lines have moved to."""
    subject = item.subject
    parts = (item.check.id, subject.api_version, subject.kind, subject.namespace, subject.name, item.place.field)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _notification(item: Problem) -> Object:
    return {"level": "error", "message": {"text": item.text}, "locations": [_location(item.place, item.code)]}
