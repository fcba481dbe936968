"""Reads a ReplicaSet and its pods from the caches and plans for them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from dabbawala.api import apps_v1, core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta, selectors
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.status import StatusError
from dabbawala.cluster.controllers.replicaset import plan as planning
from dabbawala.reconcile import pods
from dabbawala.reconcile.cache import Caches
from dabbawala.reconcile.controller import Watch, controller_owner
from dabbawala.reconcile.plan import Plan

_owner = controller_owner(apps_v1.REPLICA_SET)


class ReplicaSetController:
    name = "replicaset-controller"
    kind: Kind = apps_v1.REPLICA_SET

    @property
    def watches(self) -> tuple[Watch, ...]:
        return (Watch(core_v1.POD, sets_of_pod),)

    async def reconcile(self, key: ObjectKey, caches: Caches, now: datetime) -> Plan:
        desired = caches.get(apps_v1.REPLICA_SET, key)
        if desired is None:
            return Plan()
        observed = candidates(desired, caches)
        crowd = related(desired, caches) if len(observed) > planning.replicas(desired) else []
        return planning.plan(desired, observed, crowd, now)

    def report(self, key: ObjectKey, caches: Caches, refused: StatusError, now: datetime) -> Plan:
        desired = caches.get(apps_v1.REPLICA_SET, key)
        if desired is None:
            return Plan()
        active = [pod for pod in caches.owned_by(core_v1.POD, meta.uid(desired)) if pods.is_active(pod)]
        return planning.refused(desired, len(active) < planning.replicas(desired), refused.message, now)


def sets_of_pod(pod: Object, caches: Caches) -> Iterable[ObjectKey]:
    """The set that owns the pod; for an orphan every set that might adopt it."""
    if meta.controller_of(pod) is not None:
        yield from _owner(pod, caches)
        return
    for candidate in caches.list(apps_v1.REPLICA_SET, meta.namespace(pod)):
        if selectors.from_label_selector(candidate["spec"].get("selector")).matches(meta.labels(pod)):
            yield meta.key(candidate)


def candidates(desired: Object, caches: Caches) -> list[Object]:
    """The pods that the set owns, and those without a controller that it selects and may adopt."""
    selector = selectors.from_label_selector(desired["spec"].get("selector"))
    selected = caches.list(core_v1.POD, meta.namespace(desired), selector)
    uid = meta.uid(desired)
    orphans = [pod for pod in selected if meta.controller_of(pod) is None]
    strangers = {meta.uid(pod) for pod in orphans}
    owned = caches.owned_by(core_v1.POD, uid)
    return [*(pod for pod in owned if meta.uid(pod) not in strangers), *orphans] if orphans else owned


def related(desired: Object, caches: Caches) -> list[Object]:
    """Active pods of all sets with the same owner."""
    owner = meta.controller_of(desired)
    family = caches.owned_by(apps_v1.REPLICA_SET, owner["uid"]) if owner else [desired]
    return [pod for member in family for pod in caches.owned_by(core_v1.POD, meta.uid(member)) if pods.is_active(pod)]
