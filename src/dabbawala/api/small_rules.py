"""Defaults and validation of kinds with a rule or two: Lease, RuntimeClass, PriorityClass.

Source: pkg/apis/coordination, pkg/apis/node, pkg/apis/scheduling.
"""

from __future__ import annotations

from dabbawala.api import field_checks as check
from dabbawala.api import names, object_meta
from dabbawala.api.field_checks import Errors
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object

HIGHEST_USER_PRIORITY = 1_000_000_000
_SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


def lease(new: Object, old: Object | None) -> Errors:
    spec = new.get("spec") or {}
    yield from check.at_least(spec.get("leaseDurationSeconds"), 1, "spec.leaseDurationSeconds")
    yield from check.at_least(spec.get("leaseTransitions"), 0, "spec.leaseTransitions")


def runtime_class(new: Object, old: Object | None) -> Errors:
    yield from check.named(new.get("handler"), names.dns_label, "handler")
    if old is not None:
        yield from object_meta.immutable(new.get("handler"), old.get("handler"), "handler")


def default_priority_class(obj: Object) -> None:
    obj.setdefault("preemptionPolicy", "PreemptLowerPriority")
    obj.setdefault("value", 0)


def priority_class(new: Object, old: Object | None) -> Errors:
    name, value = meta.name(new), new.get("value") or 0
    if name.startswith("system-"):
        if _SYSTEM_PRIORITIES.get(name) != value:
            message = "priority class names with 'system-' prefix are reserved for system use only"
            yield status.forbidden("metadata.name", message)
    elif value > HIGHEST_USER_PRIORITY:
        message = f"maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}"
        yield status.forbidden("value", message)
    allowed = ("Never", "PreemptLowerPriority")
    yield from check.one_of(new.get("preemptionPolicy"), allowed, "preemptionPolicy")
    for field in ("value", "preemptionPolicy"):
        if old is not None and new.get(field) != old.get(field):
            yield status.forbidden(field, "may not be changed in an update.")
