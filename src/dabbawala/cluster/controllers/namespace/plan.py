"""Namespace deletion: pods first, then everything else, then the namespace itself.

Pods go before what they may need to end in order (policies, secrets, accounts). The conditions say what is left and
which finalizers hold it. Source: pkg/controller/namespace in Kubernetes 1.37; KEP-5080 (ordered deletion).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from dabbawala.api import core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import conditions, meta
from dabbawala.apimachinery.conditions import Condition
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile.plan import Action, Delete, Plan, Update, status_change

FINALIZER = "kubernetes"
LOOK_AGAIN = timedelta(milliseconds=500)

_DONE = (
    Condition("NamespaceDeletionDiscoveryFailure", "False", "ResourcesDiscovered",
              "All resources successfully discovered"),
    Condition("NamespaceDeletionGroupVersionParsingFailure", "False", "ParsedGroupVersions",
              "All legacy kube types successfully parsed"),
    Condition("NamespaceDeletionContentFailure", "False", "ContentDeleted",
              "All content successfully deleted, may be waiting on finalization"),
)  # fmt: skip


def plan(namespace: Object, content: Mapping[Kind, Sequence[Object]], now: datetime) -> Plan:
    """`content` is everything that is in the namespace, by kind."""
    if not meta.is_deleting(namespace):
        return Plan()
    left = {kind: objects for kind, objects in content.items() if objects}
    status = {"phase": "Terminating", "conditions": _conditions(namespace, left, now)}
    if not left:
        return Plan(_finalize(namespace))
    report = status_change(core_v1.NAMESPACE, namespace, status)
    first = {core_v1.POD: left[core_v1.POD]} if core_v1.POD in left else left
    deletions = (
        Delete(kind, meta.key(obj), uid=meta.uid(obj))
        for kind, objects in first.items()
        for obj in objects
        if not meta.is_deleting(obj)
    )
    return Plan((*report, *deletions), LOOK_AGAIN)


def _finalize(namespace: Object) -> tuple[Action, ...]:
    finalizers = (namespace.get("spec") or {}).get("finalizers") or []
    if FINALIZER not in finalizers:
        return ()
    kept = [item for item in finalizers if item != FINALIZER]
    return (Update(core_v1.NAMESPACE, {**namespace, "spec": {"finalizers": kept}}, subresource="finalize"),)


def _conditions(namespace: Object, left: Mapping[Kind, Sequence[Object]], now: datetime) -> list[Object]:
    found = list((namespace.get("status") or {}).get("conditions") or ())
    for condition in (*_DONE, _remaining(left), _held(left)):
        found = conditions.put(found, condition, now)
    return found


def _remaining(left: Mapping[Kind, Sequence[Object]]) -> Condition:
    type_ = "NamespaceContentRemaining"
    if not left:
        return Condition(type_, "False", "ContentRemoved", "All content successfully removed")
    lines = sorted(f"{kind.resource} has {len(objects)} resource instances" for kind, objects in left.items())
    return Condition(type_, "True", "SomeResourcesRemain", f"Some resources are remaining: {', '.join(lines)}")


def _held(left: Mapping[Kind, Sequence[Object]]) -> Condition:
    type_ = "NamespaceFinalizersRemaining"
    held = Counter(finalizer for objects in left.values() for obj in objects for finalizer in meta.finalizers(obj))
    if not held:
        return Condition(type_, "False", "ContentHasNoFinalizers", "All content-preserving finalizers finished")
    lines = ", ".join(f"{finalizer} in {count} resource instances" for finalizer, count in sorted(held.items()))
    text = f"Some content in the namespace has finalizers remaining: {lines}"
    return Condition(type_, "True", "SomeFinalizersRemain", text)
