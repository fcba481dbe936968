"""Reads a Deployment, its ReplicaSets and their pods from the caches and plans for them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from dabbawala.api import apps_v1, core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta, selectors
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.controllers.deployment import plan as planning
from dabbawala.cluster.controllers.deployment import revisions
from dabbawala.reconcile.cache import Caches
from dabbawala.reconcile.controller import Watch, controller_owner
from dabbawala.reconcile.plan import Plan

_owner = controller_owner(apps_v1.DEPLOYMENT)
_set_of_pod = controller_owner(apps_v1.REPLICA_SET)


class DeploymentController:
    name = "deployment-controller"
    kind: Kind = apps_v1.DEPLOYMENT

    @property
    def watches(self) -> tuple[Watch, ...]:
        return (Watch(apps_v1.REPLICA_SET, deployments_of_set), Watch(core_v1.POD, deployments_of_pod))

    async def reconcile(self, key: ObjectKey, caches: Caches, now: datetime) -> Plan:
        desired = caches.get(apps_v1.DEPLOYMENT, key)
        if desired is None:
            return Plan()
        return planning.plan(desired, observe(desired, caches), now)


def observe(desired: Object, caches: Caches) -> planning.Observed:
    selector = selectors.from_label_selector(desired["spec"].get("selector"))
    sets = {meta.key(item): item for item in caches.owned_by(apps_v1.REPLICA_SET, meta.uid(desired))}
    for item in caches.list(apps_v1.REPLICA_SET, meta.namespace(desired), selector):
        sets.setdefault(meta.key(item), item)
    found = list(sets.values())
    namesake = None
    if revisions.current(desired, found) is None:
        namesake = caches.get(apps_v1.REPLICA_SET, revisions.key_for(desired))
    owned = {}
    if (desired["spec"].get("strategy") or {}).get("type") == "Recreate":
        owned = {meta.uid(item): caches.owned_by(core_v1.POD, meta.uid(item)) for item in found}
    return planning.Observed(found, owned, namesake)


def deployments_of_set(item: Object, caches: Caches) -> Iterable[ObjectKey]:
    """The Deployment that owns the set; for an orphan every one that might adopt it."""
    if meta.controller_of(item) is not None:
        yield from _owner(item, caches)
        return
    for candidate in caches.list(apps_v1.DEPLOYMENT, meta.namespace(item)):
        if selectors.from_label_selector(candidate["spec"].get("selector")).matches(meta.labels(item)):
            yield meta.key(candidate)


def deployments_of_pod(pod: Object, caches: Caches) -> Iterable[ObjectKey]:
    """Recreate waits for pods to be gone; other strategies read only the counts of their sets."""
    for key in _set_of_pod(pod, caches):
        item = caches.get(apps_v1.REPLICA_SET, key)
        for owner in _owner(item, caches) if item is not None else ():
            found = caches.get(apps_v1.DEPLOYMENT, owner)
            if found is not None and (found["spec"].get("strategy") or {}).get("type") == "Recreate":
                yield owner
