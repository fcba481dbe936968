"""The status of an admission policy: which generation was looked at, and what its expressions get wrong about the kinds
that they are about. Warnings only: the policy is enforced as it is.

Source: pkg/controller/validatingadmissionpolicystatus in Kubernetes 1.37.
"""

from __future__ import annotations

from collections.abc import Callable

from dabbawala.api import admissionregistration_v1 as v1
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.policy import type_checking
from dabbawala.policy.type_checking import Typed
from dabbawala.reconcile.plan import Plan, status_change

ByResource = Callable[[str, str, str], Typed | None]
"""The kind of a group, version and resource, if it has a schema."""
ByKind = Callable[[str, str], Typed | None]
"""The kind of an apiVersion and kind."""


def plan(policy: Object, by_resource: ByResource, by_kind: ByKind) -> Plan:
    found = (by_resource(*resource) for resource in type_checking.resources(policy))
    param = (policy.get("spec") or {}).get("paramKind") or {}
    params = by_kind(param.get("apiVersion") or "", param.get("kind") or "") if param else None
    warnings = type_checking.warnings(policy, (typed for typed in found if typed), params.schema if params else None)
    wanted: Object = {
        "observedGeneration": meta.generation(policy),
        "typeChecking": {"expressionWarnings": warnings} if warnings else {},
    }
    before = ((policy.get("status") or {}).get("typeChecking") or {}).get("expressionWarnings")
    actions = status_change(v1.VALIDATING_ADMISSION_POLICY, policy, wanted)
    if before and not warnings:  # a merge patch removes a field only where it is told to
        for action in actions:
            action.body["status"]["typeChecking"] = {"expressionWarnings": None}
    return Plan(actions)
