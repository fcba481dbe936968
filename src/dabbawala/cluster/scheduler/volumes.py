"""Where a pod's volumes can be reached from, and which of them still have to be bound once a node is chosen.

Source: scheduler/framework/plugins/volumebinding in Kubernetes 1.37.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dabbawala.api import core_v1, storage_v1
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.reconcile import placement
from dabbawala.reconcile.cache import Caches
from dabbawala.reconcile.placement import NodeTerm

SELECTED_NODE = "volume.kubernetes.io/selected-node"


@dataclass(frozen=True, slots=True)
class Volumes:
    """`places` are the node terms of each bound volume that has any; `unbound` are claims that wait for a node;
    `problem` is why no node at all will do."""

    places: tuple[tuple[NodeTerm, ...], ...] = ()
    unbound: tuple[str, ...] = ()
    problem: str = ""

    def reachable_from(self, node: Object) -> bool:
        return all(any(term.matches(node) for term in terms) for terms in self.places)


NONE = Volumes()


def volumes_of(namespace: str, claims: Iterable[str], caches: Caches) -> Volumes:
    places: list[tuple[NodeTerm, ...]] = []
    unbound: list[str] = []
    for name in claims:
        claim = caches.get(core_v1.PERSISTENT_VOLUME_CLAIM, ObjectKey(namespace, name))
        if claim is None:
            return Volumes(problem=f'persistentvolumeclaim "{name}" not found')
        if meta.is_deleting(claim):
            return Volumes(problem=f'persistentvolumeclaim "{name}" is being deleted')
        if is_bound(claim):
            places.extend(_places(claim, caches))
        elif _waits_for_consumer(claim, caches):
            unbound.append(name)
        else:
            return Volumes(problem="pod has unbound immediate PersistentVolumeClaims")
    return Volumes(tuple(places), tuple(unbound))


def is_bound(claim: Object) -> bool:
    return bool(claim["spec"].get("volumeName")) and (claim.get("status") or {}).get("phase") == "Bound"


def _places(claim: Object, caches: Caches) -> Iterable[tuple[NodeTerm, ...]]:
    volume = caches.get(core_v1.PERSISTENT_VOLUME, ObjectKey("", claim["spec"]["volumeName"]))
    required: Mapping[str, Object] = ((volume or {}).get("spec") or {}).get("nodeAffinity") or {}
    if required.get("required"):
        yield tuple(map(placement.node_term, required["required"].get("nodeSelectorTerms") or ()))


def _waits_for_consumer(claim: Object, caches: Caches) -> bool:
    name = claim["spec"].get("storageClassName")
    found = caches.get(storage_v1.STORAGE_CLASS, ObjectKey("", name)) if name else None
    return found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer"
