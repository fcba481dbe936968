"""The scheduler's picture of nodes and of the pods on them, kept up to date change by change.

A pod that was just placed is assumed to be on its node before the API confirms it, so that the next one is placed
beside it and not on top of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.scheduler import resources
from dabbawala.cluster.scheduler.needs import PodTerm, pod_term
from dabbawala.cluster.scheduler.resources import Request


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A pod on a node, as far as others are concerned."""

    uid: str
    namespace: str
    labels: Mapping[str, str]
    request: Request
    ports: frozenset[tuple[str, str, int]]
    anti_affinity: tuple[PodTerm, ...]
    priority: int
    owner: str
    started: str
    object: Object


def placed(pod: Object, overhead: Mapping[str, str] | None = None) -> Placed:
    spec, namespace, labels = pod["spec"], meta.namespace(pod), meta.labels(pod)
    apart = (spec.get("affinity") or {}).get("podAntiAffinity") or {}
    required = apart.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
    return Placed(
        uid=meta.uid(pod),
        namespace=namespace,
        labels=labels,
        request=resources.request_of(spec, overhead),
        ports=resources.host_ports(spec),
        anti_affinity=tuple(pod_term(term, namespace, labels) for term in required),
        priority=int(spec.get("priority") or 0),
        owner=str((meta.controller_of(pod) or {}).get("uid") or ""),
        started=str((pod.get("status") or {}).get("startTime") or ""),
        object=pod,
    )


@dataclass(slots=True, eq=False)
class NodeState:
    """One node: what it has, what is taken, and who is there."""

    name: str
    object: Object
    labels: Mapping[str, str] = field(default_factory=dict)
    capacity: dict[str, int] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)
    taken: Counter[str] = field(default_factory=Counter)
    scored_cpu: int = 0
    scored_memory: int = 0
    pods: dict[str, Placed] = field(default_factory=dict)
    owners: Counter[str] = field(default_factory=Counter)
    nominated: dict[str, Placed] = field(default_factory=dict)

    def describe(self, node: Object) -> None:
        """Take over a new state of the node itself."""
        status = node.get("status") or {}
        self.object, self.labels = node, meta.labels(node)
        self.capacity = resources.amounts(status.get("allocatable") or status.get("capacity"))
        images = status.get("images") or ()
        self.images = {name: int(item.get("sizeBytes") or 0) for item in images for name in item.get("names") or ()}

    def add(self, pod: Placed) -> None:
        self.pods[pod.uid] = pod
        self.owners[pod.owner] += 1
        self.taken.update(pod.request.amounts)
        self.scored_cpu += pod.request.cpu
        self.scored_memory += pod.request.memory

    def drop(self, uid: str) -> Placed | None:
        pod = self.pods.pop(uid, None)
        if pod is not None:
            self.owners[pod.owner] -= 1
            self.taken.subtract(pod.request.amounts)
            self.scored_cpu -= pod.request.cpu
            self.scored_memory -= pod.request.memory
        return pod

    def without(self, uids: Iterable[str]) -> NodeState:
        """The node as it would be without these pods."""
        gone = set(uids)
        copy = NodeState(self.name, self.object, self.labels, self.capacity, self.images)
        for pod in self.pods.values():
            if pod.uid not in gone:
                copy.add(pod)
        return copy

    @property
    def is_known(self) -> bool:
        return bool(self.object)


class Snapshot:
    """All nodes, and where every pod is. Pods may be known before their node is."""

    def __init__(self) -> None:
        self.guarded: dict[str, tuple[Placed, str]] = {}
        self.namespaces: dict[str, Mapping[str, str]] = {}
        self._nodes: dict[str, NodeState] = {}
        self._where: dict[str, str] = {}
        self._nominations: dict[str, str] = {}

    def nodes(self) -> list[NodeState]:
        """Nodes that exist, in the order in which they came."""
        return [node for node in self._nodes.values() if node.is_known]

    def node(self, name: str) -> NodeState | None:
        found = self._nodes.get(name)
        return found if found is not None and found.is_known else None

    def set_node(self, node: Object) -> None:
        self._state(meta.name(node)).describe(node)

    def remove_node(self, name: str) -> None:
        state = self._nodes.get(name)
        if state is not None:
            state.object = {}
            if not state.pods:
                del self._nodes[name]

    def place(self, pod: Placed, node: str) -> None:
        """Put a pod on a node, wherever it was before."""
        self.remove(pod.uid)
        self._where[pod.uid] = node
        self._state(node).add(pod)
        if pod.anti_affinity:
            self.guarded[pod.uid] = pod, node

    def remove(self, uid: str) -> bool:
        """Forget a pod; whether it was known."""
        self.denominate(uid)
        node = self._where.pop(uid, None)
        self.guarded.pop(uid, None)
        if node is None:
            return False
        self._nodes[node].drop(uid)
        return True

    def where(self, uid: str) -> str | None:
        return self._where.get(uid)

    def nominate(self, pod: Placed, node: str) -> None:
        """Keep room on a node for a pod whose victims are on their way out."""
        self.denominate(pod.uid)
        self._nominations[pod.uid] = node
        self._state(node).nominated[pod.uid] = pod

    def denominate(self, uid: str) -> None:
        node = self._nominations.pop(uid, None)
        if node is not None:
            self._nodes[node].nominated.pop(uid, None)

    def namespace_labels(self, name: str) -> Mapping[str, str]:
        return self.namespaces.get(name, {})

    def _state(self, name: str) -> NodeState:
        found = self._nodes.get(name)
        if found is None:
            found = self._nodes[name] = NodeState(name, {})
        return found
