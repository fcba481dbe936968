"""What a pod demands of a node, read once for all pods that demand the same.

Pods whose needs are equal form a class: feasibility and scores are worked out once for the class and not once a pod,
which is what makes a thousand replicas cheap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from dabbawala.apimachinery import meta, selectors
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.selectors import LabelSelector
from dabbawala.cluster.scheduler import resources
from dabbawala.reconcile import placement
from dabbawala.reconcile.placement import NodeRequirement, NodeTerm

_IRRELEVANT = frozenset(
    {
        "dnsPolicy", "enableServiceLinks", "hostname", "nodeName", "restartPolicy", "schedulerName",
        "serviceAccount", "serviceAccountName", "subdomain", "terminationGracePeriodSeconds",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PodTerm:
    """A pod affinity term: which pods, in which namespaces (None: all), and what counts as the same place."""

    selector: LabelSelector
    namespaces: frozenset[str] | None
    namespace_selector: LabelSelector | None
    topology: str
    weight: int = 0

    def matches(self, namespace: str, labels: Mapping[str, str], namespace_labels: Mapping[str, str]) -> bool:
        here = self.namespaces is None or namespace in self.namespaces
        if not here and (self.namespace_selector is None or not self.namespace_selector.matches(namespace_labels)):
            return False
        return self.selector.matches(labels)


@dataclass(frozen=True, slots=True)
class Spread:
    """A topology spread constraint. `hard` filters, otherwise it only scores."""

    selector: LabelSelector
    topology: str
    max_skew: int
    min_domains: int
    hard: bool
    honour_taints: bool
    honour_affinity: bool


@dataclass(frozen=True, slots=True)
class Needs:
    """Everything about a pod that decides where it may and should go."""

    namespace: str
    labels: Mapping[str, str]
    request: resources.Request
    ports: frozenset[tuple[str, str, int]]
    node_name: str
    nodes: NodeRequirement
    preferred: tuple[tuple[int, NodeTerm], ...]
    tolerations: tuple[Object, ...]
    spreads: tuple[Spread, ...]
    affinity: tuple[PodTerm, ...]
    anti_affinity: tuple[PodTerm, ...]
    preferred_pods: tuple[PodTerm, ...]
    images: tuple[str, ...]
    claims: tuple[str, ...]
    priority: int
    may_preempt: bool
    owner: str

    @property
    def is_local(self) -> bool:
        """A placement changes nothing for other nodes, so that each node can be judged alone."""
        return not (self.spreads or self.affinity or self.anti_affinity or self.preferred_pods)


def class_of(pod: Object) -> bytes:
    """Equal for pods that need the same; names, hosts and identities do not count."""
    spec = {field: value for field, value in pod["spec"].items() if field not in _IRRELEVANT}
    owner = meta.controller_of(pod) or {}
    own_claims = meta.name(pod) if any(item.get("ephemeral") for item in spec.get("volumes") or ()) else ""
    parts = [meta.namespace(pod), dict(meta.labels(pod)), owner.get("uid"), own_claims, spec]
    return orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)


def needs_of(pod: Object, runtime_class: Object | None = None) -> Needs:
    """`runtime_class` adds its overhead, node selector and tolerations where admission has not done so."""
    spec, scheduling = pod["spec"], ((runtime_class or {}).get("scheduling") or {})
    affinity = spec.get("affinity") or {}
    namespace, labels = meta.namespace(pod), dict(meta.labels(pod))
    required = placement.node_requirement(spec)
    nodes = NodeRequirement({**(scheduling.get("nodeSelector") or {}), **required.labels}, required.terms)
    overhead = ((runtime_class or {}).get("overhead") or {}).get("podFixed")
    together, apart = affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}
    return Needs(
        namespace=namespace,
        labels=labels,
        request=resources.request_of(spec, overhead),
        ports=resources.host_ports(spec),
        node_name=spec.get("nodeName") or "",
        nodes=nodes,
        preferred=_preferred_nodes(affinity),
        tolerations=(*(spec.get("tolerations") or ()), *(scheduling.get("tolerations") or ())),
        spreads=tuple(_spread(item, labels) for item in spec.get("topologySpreadConstraints") or ()),
        affinity=_terms(together, namespace, labels),
        anti_affinity=_terms(apart, namespace, labels),
        preferred_pods=(*_weighted(together, namespace, labels, 1), *_weighted(apart, namespace, labels, -1)),
        images=tuple(item.get("image") or "" for item in spec.get("containers") or ()),
        claims=_claims(pod),
        priority=int(spec.get("priority") or 0),
        may_preempt=spec.get("preemptionPolicy") != "Never",
        owner=str((meta.controller_of(pod) or {}).get("uid") or ""),
    )


def _preferred_nodes(affinity: Object) -> tuple[tuple[int, NodeTerm], ...]:
    given = (affinity.get("nodeAffinity") or {}).get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    return tuple((int(item["weight"]), placement.node_term(item["preference"])) for item in given)


def _claims(pod: Object) -> tuple[str, ...]:
    """Names of the claims it mounts; generic ephemeral volumes have claims named after pod and volume."""
    found = []
    for volume in pod["spec"].get("volumes") or ():
        if volume.get("persistentVolumeClaim"):
            found.append(volume["persistentVolumeClaim"]["claimName"])
        elif volume.get("ephemeral"):
            found.append(f"{meta.name(pod)}-{volume['name']}")
    return tuple(found)


def _terms(affinity: Object, namespace: str, labels: Mapping[str, str]) -> tuple[PodTerm, ...]:
    given = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
    return tuple(pod_term(item, namespace, labels) for item in given)


def _weighted(affinity: Object, namespace: str, labels: Mapping[str, str], sign: int) -> tuple[PodTerm, ...]:
    given = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    return tuple(
        pod_term(item["podAffinityTerm"], namespace, labels, weight=sign * int(item["weight"])) for item in given
    )


def pod_term(term: Object, namespace: str, labels: Mapping[str, str], *, weight: int = 0) -> PodTerm:
    """`matchLabelKeys` and `mismatchLabelKeys` take their values from the pod's own labels."""
    chosen = term.get("namespaceSelector")
    listed = term.get("namespaces") or (() if chosen is not None else (namespace,))
    return PodTerm(
        _with_keys(term, labels),
        None if chosen == {} else frozenset(listed),
        selectors.from_label_selector(chosen) if chosen else None,
        str(term.get("topologyKey")),
        weight,
    )


def _with_keys(term: Object, labels: Mapping[str, str]) -> LabelSelector:
    selector = selectors.from_label_selector(term.get("labelSelector"))
    added = [
        selectors.Requirement(key, operator, frozenset({labels[key]}))
        for field, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn"))
        for key in term.get(field) or ()
        if key in labels
    ]
    return LabelSelector((*selector.requirements, *added), selector.nothing)


def _spread(item: Object, labels: Mapping[str, str]) -> Spread:
    return Spread(
        selector=_with_keys(item, labels),
        topology=str(item["topologyKey"]),
        max_skew=int(item.get("maxSkew") or 1),
        min_domains=int(item.get("minDomains") or 1),
        hard=item.get("whenUnsatisfiable") != "ScheduleAnyway",
        honour_taints=item.get("nodeTaintsPolicy") == "Honor",
        honour_affinity=item.get("nodeAffinityPolicy") != "Ignore",
    )
