"""Where a pod's volumes can be reached from, and which of them still have to be bound once a node is chosen.

Source: scheduler/framework/plugins/volumebinding in Kubernetes 1.37.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dabbawala.api import core_v1, storage_v1
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.reconcile import persistent_volumes, placement
from dabbawala.reconcile.cache import Caches
from dabbawala.reconcile.placement import NodeTerm

SELECTED_NODE = "volume.kubernetes.io/selected-node"
NO_PROVISIONER = "kubernetes.io/no-provisioner"


@dataclass(frozen=True, slots=True)
class Choice:
    """The volumes that a claim may have, smallest first, each with the node terms that it demands, if any."""

    claim: Object
    volumes: tuple[tuple[Object, tuple[NodeTerm, ...] | None], ...]

    def reachable_from(self, node: Object) -> Iterable[Object]:
        for volume, terms in self.volumes:
            if terms is None or any(term.matches(node) for term in terms):
                yield volume


@dataclass(frozen=True, slots=True)
class Volumes:
    """`places` are the node terms of each bound volume that has any; `unbound` are claims that wait for a node, and
    `choices` what there is for each of them that nobody will make a volume for; `problem` is why no node at all will
    do."""

    places: tuple[tuple[NodeTerm, ...], ...] = ()
    unbound: tuple[str, ...] = ()
    problem: str = ""
    choices: tuple[Choice, ...] = ()

    def reachable_from(self, node: Object) -> bool:
        return all(any(term.matches(node) for term in terms) for terms in self.places)

    def choose(self, node: Object) -> list[tuple[Object, Object]] | None:
        """A volume that the node reaches for each claim that has a choice, as (claim, volume); None when one finds
        none of its own."""
        chosen: dict[str, tuple[Object, Object]] = {}
        for choice in self.choices:
            free = (volume for volume in choice.reachable_from(node) if meta.name(volume) not in chosen)
            volume = next(iter(free), None)
            if volume is None:
                return None
            chosen[meta.name(volume)] = choice.claim, volume
        return list(chosen.values())


NONE = Volumes()


def volumes_of(namespace: str, claims: Iterable[str], caches: Caches) -> Volumes:
    places: list[tuple[NodeTerm, ...]] = []
    unbound: list[str] = []
    wanted: list[Object] = []
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
            wanted.extend([claim] if _must_be_there(claim, caches) else ())
        else:
            return Volumes(problem="pod has unbound immediate PersistentVolumeClaims")
    return Volumes(tuple(places), tuple(unbound), choices=_choices(wanted, caches) if wanted else ())


def is_bound(claim: Object) -> bool:
    return bool(claim["spec"].get("volumeName")) and (claim.get("status") or {}).get("phase") == "Bound"


def _places(claim: Object, caches: Caches) -> Iterable[tuple[NodeTerm, ...]]:
    volume = caches.get(core_v1.PERSISTENT_VOLUME, ObjectKey("", claim["spec"]["volumeName"]))
    terms = _node_terms(volume) if volume is not None else None
    if terms is not None:
        yield terms


def _node_terms(volume: Object) -> tuple[NodeTerm, ...] | None:
    required: Mapping[str, Object] = volume["spec"].get("nodeAffinity") or {}
    if not required.get("required"):
        return None
    return tuple(map(placement.node_term, required["required"].get("nodeSelectorTerms") or ()))


def _class_of(claim: Object, caches: Caches) -> Object | None:
    name = claim["spec"].get("storageClassName")
    return caches.get(storage_v1.STORAGE_CLASS, ObjectKey("", name)) if name else None


def _waits_for_consumer(claim: Object, caches: Caches) -> bool:
    return (_class_of(claim, caches) or {}).get("volumeBindingMode") == "WaitForFirstConsumer"


def _must_be_there(claim: Object, caches: Caches) -> bool:
    return (_class_of(claim, caches) or {}).get("provisioner") == NO_PROVISIONER


def _choices(claims: Iterable[Object], caches: Caches) -> tuple[Choice, ...]:
    """The claim that asks for least first."""
    every = caches.list(core_v1.PERSISTENT_VOLUME)
    return tuple(
        Choice(claim, tuple((one, _node_terms(one)) for one in persistent_volumes.fitting(every, claim)))
        for claim in sorted(claims, key=persistent_volumes.requested)
    )
