"""Reads a Service, the pods it selects and its slices from the caches and plans for them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from dabbawala.api import core_v1, discovery_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.controllers.endpointslice import plan as planning
from dabbawala.reconcile import pods
from dabbawala.reconcile.cache import Caches
from dabbawala.reconcile.controller import Watch
from dabbawala.reconcile.plan import Plan


class EndpointSliceController:
    name = "endpointslice-controller"
    kind: Kind = core_v1.SERVICE

    @property
    def watches(self) -> tuple[Watch, ...]:
        return (
            Watch(core_v1.POD, services_of_pod),
            Watch(discovery_v1.ENDPOINT_SLICE, service_of_slice),
            Watch(core_v1.NODE, lambda node, caches: ()),
        )

    async def reconcile(self, key: ObjectKey, caches: Caches, now: datetime) -> Plan:
        service = caches.get(core_v1.SERVICE, key)
        if service is None:
            return Plan()
        return planning.plan(service, observe(service, caches))


def observe(service: Object, caches: Caches) -> planning.Observed:
    namespace, selector = meta.namespace(service), service["spec"].get("selector") or {}
    found = caches.list(core_v1.POD, namespace, selector) if selector else []
    slices = caches.list(discovery_v1.ENDPOINT_SLICE, namespace, {planning.SERVICE_NAME: meta.name(service)})
    names = {pods.node_name(pod) for pod in found}
    nodes = {name: node for name in names if (node := caches.get(core_v1.NODE, ObjectKey("", name))) is not None}
    return planning.Observed(found, [item for item in slices if planning.slice_filter(item)], nodes)


def services_of_pod(pod: Object, caches: Caches) -> Iterable[ObjectKey]:
    """Services of the pod's namespace that select it, as it is or was."""
    labels = meta.labels(pod)
    for service in caches.list(core_v1.SERVICE, meta.namespace(pod)):
        selector = service["spec"].get("selector")
        if selector and selector.items() <= labels.items():
            yield meta.key(service)


def service_of_slice(item: Object, caches: Caches) -> Iterable[ObjectKey]:
    service = meta.labels(item).get(planning.SERVICE_NAME)
    if service and planning.slice_filter(item):
        yield ObjectKey(meta.namespace(item), service)
