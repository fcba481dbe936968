"""Reads a namespace that is to go, and all that is in it from the API itself, and plans its end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from dabbawala.api import apiextensions_v1, core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.status import MethodNotAllowed, NotFound
from dabbawala.cluster.controllers import served
from dabbawala.cluster.controllers.namespace import plan as planning
from dabbawala.reconcile.cache import Caches
from dabbawala.reconcile.controller import Watch
from dabbawala.reconcile.informer import Reader
from dabbawala.reconcile.plan import Plan


class NamespaceController:
    name = "namespace-controller"
    kind: Kind = core_v1.NAMESPACE

    def __init__(self, client: Reader) -> None:
        self._client = client

    @property
    def watches(self) -> tuple[Watch, ...]:
        return (
            Watch(core_v1.POD, doomed_namespace),
            Watch(apiextensions_v1.CUSTOM_RESOURCE_DEFINITION, lambda definition, caches: ()),
        )

    async def reconcile(self, key: ObjectKey, caches: Caches, now: datetime) -> Plan:
        namespace = caches.get(core_v1.NAMESPACE, key)
        if namespace is None or not meta.is_deleting(namespace):
            return Plan()
        kinds = [kind for kind in served.deletable(caches) if kind.namespaced]
        content = {kind: await self._content(kind, key.name) for kind in kinds}
        return planning.plan(namespace, content, now)

    async def _content(self, kind: Kind, namespace: str) -> list[Object]:
        """From the API, not from a cache: what is overlooked here would be left behind for ever."""
        try:
            return (await self._client.list(kind, namespace)).items
        except (NotFound, MethodNotAllowed):
            return []  # the kind was unregistered a moment ago


def doomed_namespace(pod: Object, caches: Caches) -> Iterable[ObjectKey]:
    """The pod's namespace, if it is going."""
    key = ObjectKey("", meta.namespace(pod))
    namespace = caches.get(core_v1.NAMESPACE, key)
    if namespace is not None and meta.is_deleting(namespace):
        yield key
