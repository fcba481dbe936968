"""PolicyReport objects, one per namespace and one ClusterPolicyReport: what dashboards of the field read.

Source: wgpolicyk8s.io/v1alpha2.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import yaml

from dabbawala.apimachinery.meta import Object
from dabbawala.guard.findings import Finding, Report, Status

API_VERSION = "wgpolicyk8s.io/v1alpha2"
NAME = "dabbawala-guard"
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
    by_namespace: dict[str, list[Finding]] = defaultdict(list)
    for item in report.findings:
        by_namespace[item.subject.namespace].append(item)
    return [_object(namespace, found) for namespace, found in sorted(by_namespace.items())]


def _object(namespace: str, found: list[Finding]) -> Object:
    counts = Counter(_RESULTS[item.status] for item in found)
    metadata = {"name": NAME} | ({"namespace": namespace} if namespace else {})
    return {
        "apiVersion": API_VERSION,
        "kind": "PolicyReport" if namespace else "ClusterPolicyReport",
        "metadata": metadata | {"labels": {"app.kubernetes.io/managed-by": "dabbawala"}},
        "summary": {name: counts[name] for name in ("pass", "fail", "warn", "error", "skip")},
        "results": [_result(item) for item in found],
    }


def _result(item: Finding) -> Object:
    subject = item.subject
    resource = {"apiVersion": subject.api_version, "kind": subject.kind, "name": subject.name}
    if subject.namespace:
        resource["namespace"] = subject.namespace
    return {
        "source": "dabbawala",
        "policy": item.check.id,
        "rule": item.check.title,
        "category": item.check.area,
        "severity": item.check.severity,
        "result": _RESULTS[item.status],
        "message": item.message,
        "resources": [resource],
        "properties": {"field": item.place.field} if item.place.field else {},
    }
