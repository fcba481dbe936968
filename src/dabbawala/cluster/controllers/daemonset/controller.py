"""Reads a DaemonSet, its pods and the nodes from the caches and plans for them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from dabbawala.api import apps_v1, core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.controllers.daemonset import plan as planning
from dabbawala.reconcile.cache import Caches
from dabbawala.reconcile.controller import Watch, controller_owner
from dabbawala.reconcile.plan import Plan


class DaemonSetController:
    name = "daemonset-controller"
    kind: Kind = apps_v1.DAEMON_SET

    @property
    def watches(self) -> tuple[Watch, ...]:
        return (Watch(core_v1.POD, controller_owner(apps_v1.DAEMON_SET)), Watch(core_v1.NODE, every_set))

    async def reconcile(self, key: ObjectKey, caches: Caches, now: datetime) -> Plan:
        desired = caches.get(apps_v1.DAEMON_SET, key)
        if desired is None:
            return Plan()
        nodes = {meta.name(node): node for node in caches.list(core_v1.NODE)}
        return planning.plan(desired, caches.owned_by(core_v1.POD, meta.uid(desired)), nodes, now)


def every_set(node: Object, caches: Caches) -> Iterable[ObjectKey]:
    """A node came, went or changed: any set may have to act."""
    for item in caches.list(apps_v1.DAEMON_SET):
        yield meta.key(item)
