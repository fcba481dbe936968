"""Reads all ClusterRoles from the cache and plans for those that gather others."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from dabbawala.api import rbac_rules, rbac_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.controllers.clusterrole import plan as planning
from dabbawala.reconcile.cache import Caches
from dabbawala.reconcile.controller import Watch
from dabbawala.reconcile.plan import Plan


class ClusterRoleController:
    name = "clusterrole-aggregation-controller"
    kind: Kind = rbac_v1.CLUSTER_ROLE
    watches: tuple[Watch, ...]

    def __init__(self) -> None:
        self.watches = (Watch(rbac_v1.CLUSTER_ROLE, _gathering),)

    async def reconcile(self, key: ObjectKey, caches: Caches, now: datetime) -> Plan:
        role = caches.get(rbac_v1.CLUSTER_ROLE, key)
        return Plan() if role is None else planning.plan(role, caches.list(rbac_v1.CLUSTER_ROLE))


def _gathering(obj: Object, caches: Caches) -> Iterable[ObjectKey]:
    """The roles that gather this one."""
    for role in caches.list(rbac_v1.CLUSTER_ROLE):
        if rbac_rules.gathers(role, obj):
            yield meta.key(role)
