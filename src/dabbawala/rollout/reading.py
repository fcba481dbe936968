"""One look at a Rollout through the API, for commands that answer once: the same observation the controller makes."""

from __future__ import annotations

import asyncio
from typing import Protocol

from dabbawala.api import apps_v1, argoproj_v1alpha1, core_v1, discovery_v1, istio_networking_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.status import Forbidden, NotFound
from dabbawala.reconcile.cache import Cache, Objects, Selection
from dabbawala.rollout.controller import RolloutController
from dabbawala.rollout.observed import Observed

KINDS: tuple[Kind, ...] = (
    apps_v1.REPLICA_SET,
    argoproj_v1alpha1.ANALYSIS_RUN,
    argoproj_v1alpha1.ANALYSIS_TEMPLATE,
    core_v1.SERVICE,
    core_v1.POD,
    discovery_v1.ENDPOINT_SLICE,
    apps_v1.DEPLOYMENT,
    istio_networking_v1.VIRTUAL_SERVICE,
    istio_networking_v1.DESTINATION_RULE,
)
CLUSTER_KINDS: tuple[Kind, ...] = (argoproj_v1alpha1.CLUSTER_ANALYSIS_TEMPLATE,)


class Page(Protocol):
    @property
    def items(self) -> Objects: ...


class Reader(Protocol):
    async def get(self, kind: Kind, name: str, namespace: str = "") -> Object: ...

    async def list(self, kind: Kind, namespace: str | None = None) -> Page: ...


class Snapshot:
    """Caches filled once."""

    def __init__(self) -> None:
        self._caches: dict[str, Cache] = {}

    def fill(self, kind: Kind, objects: list[Object]) -> None:
        cache = self._caches.setdefault(kind.resource, Cache())
        for obj in objects:
            cache.put(obj)

    def get(self, kind: Kind, key: ObjectKey) -> Object | None:
        return self._cache(kind).get(key)

    def list(self, kind: Kind, namespace: str | None = None, selector: Selection = None) -> Objects:
        return self._cache(kind).list(namespace, selector)

    def owned_by(self, kind: Kind, owner_uid: str) -> Objects:
        return self._cache(kind).owned_by(owner_uid)

    def where(self, kind: Kind, field: str, value: str) -> Objects:
        raise NotImplementedError("a snapshot answers by name, label and owner")

    def _cache(self, kind: Kind) -> Cache:
        return self._caches.setdefault(kind.resource, Cache())


async def look(client: Reader, name: str, namespace: str) -> tuple[Object, Observed, Snapshot]:
    """The Rollout and everything its plan may look at. Raises StatusError."""
    rollout = await client.get(argoproj_v1alpha1.ROLLOUT, name, namespace)
    snapshot = Snapshot()
    rollout = {"apiVersion": argoproj_v1alpha1.ROLLOUT.api_version, "kind": "Rollout", **rollout}
    snapshot.fill(argoproj_v1alpha1.ROLLOUT, [rollout])
    wanted = [(kind, namespace) for kind in KINDS] + [(kind, None) for kind in CLUSTER_KINDS]
    for (kind, _), found in zip(wanted, await asyncio.gather(*(_list(client, *ask) for ask in wanted)), strict=True):
        snapshot.fill(kind, found)
    return rollout, RolloutController().observe(rollout, snapshot), snapshot


async def _list(client: Reader, kind: Kind, namespace: str | None) -> list[Object]:
    """All objects of a kind; none where the cluster does not serve it or does not let us see it."""
    try:
        return (await client.list(kind, namespace)).items
    except (NotFound, Forbidden):
        return []


def pods_of(snapshot: Snapshot, replica_set: Object) -> list[Object]:
    return snapshot.owned_by(core_v1.POD, meta.uid(replica_set))
