"""Kinds of the group wgpolicyk8s.io, v1alpha2: results of policies as objects, which dashboards of the field read.

Source: the Policy working group's definitions (PolicyReport, ClusterPolicyReport), written down here field by field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dabbawala.api import cells, object_meta
from dabbawala.api.kind import Column, Kind

GROUP = "wgpolicyk8s.io"
RESULTS = ("pass", "fail", "warn", "error", "skip")
_SELECTOR = {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"}
_REFERENCE = {"$ref": "#/components/schemas/io.k8s.api.core.v1.ObjectReference"}
_STRING: Mapping[str, Any] = {"type": "string"}
_TIME = {
    "type": "object",
    "required": ["nanos", "seconds"],
    "properties": {
        "seconds": {"type": "integer", "format": "int64"},
        "nanos": {"type": "integer", "format": "int32"},
    },
}
_RESULT = {
    "type": "object",
    "required": ["policy"],
    "properties": {
        "source": {**_STRING, "description": "Who says so."},
        "policy": {**_STRING, "description": "The policy, or check."},
        "rule": {**_STRING, "description": "Which of its rules."},
        "category": _STRING,
        "severity": {**_STRING, "enum": ["critical", "high", "low", "medium", "info"]},
        "timestamp": _TIME,
        "result": {**_STRING, "enum": list(RESULTS)},
        "scored": {"type": "boolean", "description": "Whether it counts."},
        "resources": {"type": "array", "items": _REFERENCE, "description": "The objects that it is about."},
        "resourceSelector": _SELECTOR,
        "message": _STRING,
        "properties": {"type": "object", "additionalProperties": _STRING},
    },
}
_SUMMARY = {"type": "object", "properties": {name: {"type": "integer"} for name in RESULTS}}


def _schema() -> Mapping[str, object]:
    properties = {
        "apiVersion": _STRING,
        "kind": _STRING,
        "metadata": {"type": "object"},
        "scope": _REFERENCE,
        "scopeSelector": _SELECTOR,
        "summary": _SUMMARY,
        "results": {"type": "array", "items": _RESULT},
    }
    return {"type": "object", "properties": properties}


def _count(name: str) -> Column:
    return Column(name.capitalize(), path=f".summary.{name}", type="integer")


_COLUMNS = (
    cells.NAME,
    Column("Kind", path=".scope.kind", priority=1),
    Column("Name", path=".scope.name", priority=1),
    *(_count(name) for name in RESULTS),
    cells.AGE,
)

POLICY_REPORT = Kind(
    group=GROUP, version="v1alpha2", kind="PolicyReport", plural="policyreports", short_names=("polr",),
    custom=True, open_api=_schema, columns=_COLUMNS, validate=object_meta.validate(custom=True),
)  # fmt: skip
CLUSTER_POLICY_REPORT = Kind(
    group=GROUP, version="v1alpha2", kind="ClusterPolicyReport", plural="clusterpolicyreports",
    short_names=("cpolr",), namespaced=False, custom=True, open_api=_schema, columns=_COLUMNS,
    validate=object_meta.validate(custom=True),
)  # fmt: skip

KINDS = (POLICY_REPORT, CLUSTER_POLICY_REPORT)
