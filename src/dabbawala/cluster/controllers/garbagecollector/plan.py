"""Garbage collection by owner references.

An object goes when all its owners are gone. An owner deleted in the foreground waits until those of its dependents
that block it are gone; one deleted as an orphan-maker first loses its dependents. Owners that point at each other do
not wait for each other. Source: pkg/controller/garbagecollector in Kubernetes 1.37.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.reconcile.plan import Delete, Patch, PatchType, Plan

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"


class Owner(Enum):
    """What is known of an owner: it is there, it waits for its dependents to go, or it is not there."""

    SOLID = "solid"
    WAITING = "waiting"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Item:
    """An object, as far as garbage collection cares."""

    kind: Kind
    object: Object

    @property
    def uid(self) -> str:
        return meta.uid(self.object)

    @property
    def key(self) -> ObjectKey:
        return meta.key(self.object)

    @property
    def waits_for_dependents(self) -> bool:
        return meta.is_deleting(self.object) and FOREGROUND in meta.finalizers(self.object)

    @property
    def makes_orphans(self) -> bool:
        return meta.is_deleting(self.object) and ORPHAN in meta.finalizers(self.object)


def plan(item: Item, owners: Mapping[str, Owner], dependents: Sequence[Item]) -> Plan:
    """`owners` tells of every uid in the item's owner references, `dependents` are the objects that name the item."""
    if item.makes_orphans:
        return _orphan(item, dependents)
    if item.waits_for_dependents:
        return _wait(item, dependents)
    if meta.is_deleting(item.object) or not owners:
        return Plan()
    return _judge(item, owners, dependents)


def is_settled(item: Item, owners: Mapping[str, Owner]) -> bool:
    """Nothing is to be decided, whatever the dependents are."""
    leaving = item.makes_orphans or item.waits_for_dependents
    return not leaving and all(state is Owner.SOLID for state in owners.values())


def _judge(item: Item, owners: Mapping[str, Owner], dependents: Sequence[Item]) -> Plan:
    references = meta.owner_references(item.object)
    states = {owners.get(str(ref.get("uid")), Owner.SOLID) for ref in references}
    if Owner.SOLID in states:
        kept = [ref for ref in references if owners.get(str(ref.get("uid")), Owner.SOLID) is Owner.SOLID]
        return Plan() if len(kept) == len(references) else Plan((_write(item, kept),))
    if Owner.WAITING in states and dependents:
        unblocked: tuple[Patch, ...] = ()
        if any(dependent.waits_for_dependents for dependent in dependents):
            freed = [{**ref, "blockOwnerDeletion": False} for ref in references]
            unblocked = (_write(item, freed),) if freed != references else ()
        return Plan((*unblocked, _delete(item, "Foreground")))
    return Plan((_delete(item, _policy(item)),))


def _policy(item: Item) -> str:
    """How the item asked to be deleted, by its finalizers."""
    if ORPHAN in meta.finalizers(item.object):
        return "Orphan"
    return "Foreground" if FOREGROUND in meta.finalizers(item.object) else "Background"


def _wait(item: Item, dependents: Sequence[Item]) -> Plan:
    blocking = [dependent for dependent in dependents if _blocks(dependent, item.uid)]
    if not blocking:
        return Plan((_without(item, FOREGROUND),))
    return Plan()  # each dependent is looked at by itself; the last one to go brings us back


def _blocks(dependent: Item, owner: str) -> bool:
    return any(
        ref.get("uid") == owner and ref.get("blockOwnerDeletion") for ref in meta.owner_references(dependent.object)
    )


def _orphan(item: Item, dependents: Iterable[Item]) -> Plan:
    freed = (
        _write(one, [ref for ref in meta.owner_references(one.object) if ref.get("uid") != item.uid])
        for one in dependents
    )
    return Plan((*freed, _without(item, ORPHAN)))


def _write(item: Item, references: list[Object]) -> Patch:
    body = {"metadata": {"uid": item.uid, "ownerReferences": references or None}}
    version = meta.resource_version(item.object)
    return Patch(item.kind, item.key, body, PatchType.MERGE, resource_version=version)


def _without(item: Item, finalizer: str) -> Patch:
    kept = [name for name in meta.finalizers(item.object) if name != finalizer]
    body = {"metadata": {"uid": item.uid, "finalizers": kept or None}}
    version = meta.resource_version(item.object)
    return Patch(item.kind, item.key, body, PatchType.MERGE, resource_version=version)


def _delete(item: Item, policy: str) -> Delete:
    return Delete(item.kind, item.key, uid=item.uid, propagation_policy=policy)
