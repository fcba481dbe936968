"""Reads a namespace and what it must have from the caches and plans for it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from dabbawala.api import core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.controllers.serviceaccount import plan as planning
from dabbawala.reconcile.cache import Caches
from dabbawala.reconcile.controller import Keys, Watch
from dabbawala.reconcile.plan import Plan


class ServiceAccountController:
    name = "serviceaccount-controller"
    kind: Kind = core_v1.NAMESPACE

    def __init__(self, root_ca: str) -> None:
        self._root_ca = root_ca

    @property
    def watches(self) -> tuple[Watch, ...]:
        return (
            Watch(core_v1.SERVICE_ACCOUNT, _named(planning.DEFAULT_ACCOUNT)),
            Watch(core_v1.CONFIG_MAP, _named(planning.ROOT_CA)),
        )

    async def reconcile(self, key: ObjectKey, caches: Caches, now: datetime) -> Plan:
        namespace = caches.get(core_v1.NAMESPACE, key)
        if namespace is None:
            return Plan()
        account = caches.get(core_v1.SERVICE_ACCOUNT, ObjectKey(key.name, planning.DEFAULT_ACCOUNT))
        bundle = caches.get(core_v1.CONFIG_MAP, ObjectKey(key.name, planning.ROOT_CA))
        return planning.plan(namespace, account, bundle, self._root_ca)


def _named(name: str) -> Keys:
    def keys(obj: Object, caches: Caches) -> Iterable[ObjectKey]:
        if meta.name(obj) == name:
            yield ObjectKey("", meta.namespace(obj))

    return keys
