"""PolicyReport objects, for each namespace and for what is in none: what dashboards of the field read.

A report says what was found, and counts what passed; which checks were asked stands in an annotation, because that a
check found nothing can be said in no other way. What could not be read is in the one of what is in no namespace. A long
one goes on in further objects, as one may not be larger than the API takes; what passed is counted in the first.

Source: wgpolicyk8s.io/v1alpha2.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import orjson
import yaml

from dabbawala.apimachinery.meta import Object
from dabbawala.guard.findings import Finding, Problem, Report, Status

API_VERSION = "wgpolicyk8s.io/v1alpha2"
NAME = "dabbawala-guard"
CHECKS = "guard.dabbawala.dev/checks"
RESULTS_BYTES_MAX = 1_000_000
"""Of the results of one object. Servers take 1.5 MiB in a request."""
_RESULTS = {
    Status.PASS: "pass",
    Status.FAIL: "fail",
    Status.ERROR: "error",
    Status.UNKNOWN: "skip",
    Status.EXCEPTED: "skip",
}


def render(report: Report) -> bytes:
    text: str = yaml.safe_dump_all(objects(report), sort_keys=False, allow_unicode=True, width=120)
    return text.encode()


def objects(report: Report) -> list[Object]:
    results: dict[str, list[Object]] = defaultdict(list)
    for problem in report.problems:
        results[""].append(_problem(problem))
    for item in report.findings:
        results[item.subject.namespace].append(_result(item))
    places = sorted(results.keys() | report.passed_in.keys())
    asked = ",".join(check.id for check in report.checks)
    return [obj for place in places for obj in _objects(place, results[place], report.passed_in, asked)]


def _objects(namespace: str, results: list[Object], passed_in: dict[str, int], asked: str) -> Iterator[Object]:
    for number, part in enumerate(_parts(results), 1):
        counts = Counter(str(item["result"]) for item in part)
        counts["pass"] += passed_in.get(namespace, 0) if number == 1 else 0
        home = {"namespace": namespace} if namespace else {}
        metadata = {"name": NAME if number == 1 else f"{NAME}-{number}", **home}
        labels = {"app.kubernetes.io/managed-by": "dabbawala"}
        yield {
            "apiVersion": API_VERSION,
            "kind": "PolicyReport" if namespace else "ClusterPolicyReport",
            "metadata": metadata | {"labels": labels, "annotations": {CHECKS: asked}},
            "summary": {name: counts[name] for name in ("pass", "fail", "warn", "error", "skip")},
            "results": part,
        }


def _parts(results: Sequence[Object]) -> Iterator[list[Object]]:
    """At least one, even of nothing."""
    part: list[Object] = []
    size = 0
    for item in results:
        length = len(orjson.dumps(item))
        if part and size + length > RESULTS_BYTES_MAX:
            yield part
            part, size = [], 0
        part.append(item)
        size += length
    yield part


def _result(item: Finding) -> Object:
    subject = item.subject
    resource = {"apiVersion": subject.api_version, "kind": subject.kind, "name": subject.name}
    if subject.namespace:
        resource["namespace"] = subject.namespace
    said = {"place": str(item.place), "field": item.place.field, "reason": item.reason}
    return {
        "source": "dabbawala",
        "policy": item.check.id,
        "rule": item.check.title,
        "category": item.check.area,
        "severity": item.check.severity,
        "result": _RESULTS[item.status],
        "message": item.message,
        "resources": [resource],
        "properties": {name: text for name, text in said.items() if text},
    }


def _problem(item: Problem) -> Object:
    """What could not be read is an error, so that nobody takes the rest for all."""
    place = str(item.place)
    found = {"source": "dabbawala", "policy": item.code, "category": "input", "result": "error", "message": item.text}
    return found | ({"properties": {"place": place}} if place else {})
