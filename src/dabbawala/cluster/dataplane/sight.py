"""What the controller sees: the world, out of the caches, and whether a change has to be looked at."""

from __future__ import annotations

from collections.abc import Mapping

from dabbawala.api import core_v1, discovery_v1, istio_networking_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import ObjectKey
from dabbawala.cluster.dataplane import changes, views, worlds
from dabbawala.cluster.dataplane.worlds import World
from dabbawala.reconcile.cache import Caches, Change

KINDS = (
    core_v1.SERVICE,
    discovery_v1.ENDPOINT_SLICE,
    istio_networking_v1.VIRTUAL_SERVICE,
    istio_networking_v1.DESTINATION_RULE,
    core_v1.NODE,
    core_v1.POD,
)
UNKNOWN_PODS_MAX = 10_000
"""Pods that slices name and nobody has seen; beyond it the list of them is made anew."""


class Sight:
    """Reads the world from `caches`, remembering what has not changed."""

    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self._viewer = views.Viewer()
        self._unknown_pods: set[ObjectKey] = set()

    def matters(self, kind: Kind, change: Change) -> bool:
        return self._pod_matters(change) if kind is core_v1.POD else changes.matters(kind, change)

    def _pod_matters(self, change: Change) -> bool:
        """Slices name pods whose labels decide on subsets; one may come before the pod that it names."""
        key = meta.key(change.object)
        if key not in self._unknown_pods and not changes.relabelled(change):
            return False
        self._unknown_pods.discard(key)
        self._viewer.forget()
        return True

    def world(self) -> World:
        if len(self._unknown_pods) > UNKNOWN_PODS_MAX:
            self._unknown_pods.clear()
            self._viewer.forget()
        read = self._caches.list
        slices = read(discovery_v1.ENDPOINT_SLICE)
        services = self._viewer.services(read(core_v1.SERVICE), slices, self._pod_labels)
        routes, rules = read(istio_networking_v1.VIRTUAL_SERVICE), read(istio_networking_v1.DESTINATION_RULE)
        return worlds.assemble(services, routes, rules)

    def _pod_labels(self, key: ObjectKey) -> Mapping[str, str]:
        pod = self._caches.get(core_v1.POD, key)
        if pod is None:
            self._unknown_pods.add(key)
            return {}
        return meta.labels(pod)
