"""May a pod be on a node: node selectors, node affinity, taints and tolerations.

Shared by the scheduler, by DaemonSets and by whoever evicts. Source: component-helpers/scheduling/corev1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dabbawala.apimachinery import meta, selectors
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.selectors import Requirement

HOST_NAME = "kubernetes.io/hostname"


@dataclass(frozen=True, slots=True)
class NodeTerm:
    """One nodeSelectorTerm: labels and fields (only `metadata.name` exists), all of which must match."""

    labels: tuple[Requirement, ...]
    fields: tuple[Requirement, ...]

    def matches(self, node: Object) -> bool:
        if not self.labels and not self.fields:
            return False
        labels, name = meta.labels(node), {"metadata.name": meta.name(node)}
        return all(item.matches(labels) for item in self.labels) and all(item.matches(name) for item in self.fields)


def node_term(term: Mapping[str, Any]) -> NodeTerm:
    labels, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    return NodeTerm(selectors.from_expressions(labels), selectors.from_expressions(fields))


@dataclass(frozen=True, slots=True)
class NodeRequirement:
    """What a pod demands of its node: `nodeSelector` and the required node affinity, of which one term suffices."""

    labels: Mapping[str, str]
    terms: tuple[NodeTerm, ...] | None

    def matches(self, node: Object) -> bool:
        if not self.labels.items() <= meta.labels(node).items():
            return False
        return self.terms is None or any(term.matches(node) for term in self.terms)

    @property
    def node_names(self) -> frozenset[str] | None:
        """The only nodes that can match, when every term names them; None when any may."""
        if not self.terms:
            return None
        named = [field.values for term in self.terms for field in term.fields if field.op == "In" and term.fields]
        return frozenset().union(*named) if len(named) == len(self.terms) else None


def node_requirement(spec: Object) -> NodeRequirement:
    """Of a pod's spec."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    terms = None if required is None else tuple(map(node_term, required.get("nodeSelectorTerms") or ()))
    return NodeRequirement(spec.get("nodeSelector") or {}, terms)


def tolerates(toleration: Object, taint: Object) -> bool:
    """core/v1 Toleration.ToleratesTaint."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


def untolerated(tolerations: Iterable[Object], node: Object, effects: frozenset[str]) -> Object | None:
    """The node's first taint of these effects that is not tolerated."""
    given = list(tolerations)
    for taint in (node.get("spec") or {}).get("taints") or ():
        if taint.get("effect") in effects and not any(tolerates(item, taint) for item in given):
            return dict(taint)
    return None
