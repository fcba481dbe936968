"""On which nodes a DaemonSet's pods may run. Source: pkg/controller/daemon (NodeShouldRunDaemonPod)."""

from __future__ import annotations

from typing import NamedTuple

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile import placement

_TROUBLE = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
_HOST_NETWORK = ("node.kubernetes.io/network-unavailable", "NoSchedule")


class Judgement(NamedTuple):
    """`run`: a pod shall be there; `keep`: one that is there already may stay."""

    run: bool
    keep: bool


def judge(desired: Object, node: Object) -> Judgement:
    spec = desired["spec"]["template"]["spec"]
    name = spec.get("nodeName")
    if (name and name != meta.name(node)) or not placement.node_requirement(spec).matches(node):
        return Judgement(run=False, keep=False)
    tolerations = tolerations_of(spec)
    stays = placement.untolerated(tolerations, node, frozenset({"NoExecute"})) is None
    runs = placement.untolerated(tolerations, node, frozenset({"NoSchedule", "NoExecute"})) is None
    return Judgement(run=runs, keep=stays)


def tolerations_of(spec: Object) -> list[Object]:
    """Those of the template and those that every daemon pod has."""
    trouble = (*_TROUBLE, _HOST_NETWORK) if spec.get("hostNetwork") else _TROUBLE
    added: list[Object] = [{"key": key, "operator": "Exists", "effect": effect} for key, effect in trouble]
    given = list(spec.get("tolerations") or ())
    return [*given, *(item for item in added if item not in given)]


def bound_to(spec: Object, node: str) -> Object:
    """The template's spec for that node only; required node affinity of the template has served its purpose."""
    affinity = dict(spec.get("affinity") or {})
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    preferred = {
        key: value
        for key, value in (affinity.get("nodeAffinity") or {}).items()
        if key == "preferredDuringSchedulingIgnoredDuringExecution"
    }
    required = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    affinity["nodeAffinity"] = {**preferred, "requiredDuringSchedulingIgnoredDuringExecution": required}
    return {**spec, "affinity": affinity, "tolerations": tolerations_of(spec)}


def intended_node(pod: Object) -> str:
    """The node that `bound_to` named; empty for a pod that is not bound so."""
    names = placement.node_requirement(pod.get("spec") or {}).node_names
    return next(iter(names), "") if names is not None and len(names) == 1 else ""
