"""Reads a Service, its slices and its Endpoints from the caches and plans for them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from dabbawala.api import core_v1, discovery_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.controllers.endpoints import plan as planning
from dabbawala.reconcile.cache import Caches
from dabbawala.reconcile.controller import Watch, itself
from dabbawala.reconcile.plan import Plan

SERVICE_NAME = "kubernetes.io/service-name"
SLICES_OF = {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}


class EndpointsController:
    name = "endpoint-controller"
    kind: Kind = core_v1.SERVICE

    @property
    def watches(self) -> tuple[Watch, ...]:
        return (Watch(discovery_v1.ENDPOINT_SLICE, service_of_slice), Watch(core_v1.ENDPOINTS, itself))

    async def reconcile(self, key: ObjectKey, caches: Caches, now: datetime) -> Plan:
        service, found = caches.get(core_v1.SERVICE, key), caches.get(core_v1.ENDPOINTS, key)
        if service is None:
            return planning.forget(found)
        wanted = {SERVICE_NAME: key.name, **SLICES_OF}
        return planning.plan(service, caches.list(discovery_v1.ENDPOINT_SLICE, key.namespace, wanted), found, now)


def service_of_slice(item: Object, caches: Caches) -> Iterable[ObjectKey]:
    if service := meta.labels(item).get(SERVICE_NAME):
        yield ObjectKey(meta.namespace(item), service)
