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
from dabbawala.rollout import traffic
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
)
CLUSTER_KINDS: tuple[Kind, ...] = (argoproj_v1alpha1.CLUSTER_ANALYSIS_TEMPLATE,)


class Page(Protocol):
    @property
    def items(self) -> Objects: ...


class Reader(Protocol):
    async def get(self, kind: Kind, name: str, namespace: str = "") -> Object: ...

    async def list(self, kind: Kind, namespace: str | None = None) -> Page: ...


class Snapshot:
    """Caches filled once. `hidden` are sentences about what the cluster does not let us see."""

    def __init__(self) -> None:
        self._caches: dict[str, Cache] = {}
        self.hidden: list[str] = []

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


async def look(
    client: Reader, name: str, namespace: str, *, everywhere: bool = False
) -> tuple[Object, Observed, Snapshot]:
    """The Rollout and everything its plan may look at. `everywhere` looks for other controllers in all namespaces, as
    the controller does. Raises StatusError."""
    rollout = await client.get(argoproj_v1alpha1.ROLLOUT, name, namespace)
    snapshot = Snapshot()
    rollout = {"apiVersion": argoproj_v1alpha1.ROLLOUT.api_version, "kind": "Rollout", **rollout}
    snapshot.fill(argoproj_v1alpha1.ROLLOUT, [rollout])
    await asyncio.gather(
        *(_list(snapshot, client, kind, namespace) for kind in KINDS),
        *(_list(snapshot, client, kind, None) for kind in CLUSTER_KINDS),
        *(_get(snapshot, client, istio_networking_v1.VIRTUAL_SERVICE, key) for key in _routes(rollout)),
        *(_get(snapshot, client, istio_networking_v1.DESTINATION_RULE, key) for key in _rules(rollout)),
        *([_list(snapshot, client, apps_v1.DEPLOYMENT, None)] if everywhere else ()),
    )
    return rollout, RolloutController().observe(rollout, snapshot), snapshot


def _routes(rollout: Object) -> set[ObjectKey]:
    return {reference.key for reference in traffic.references(rollout)}


def _rules(rollout: Object) -> set[ObjectKey]:
    key = traffic.destination_rule(rollout)
    return set() if key is None else {key}


async def _list(snapshot: Snapshot, client: Reader, kind: Kind, namespace: str | None) -> None:
    """All objects of a kind; none where the cluster does not serve it or does not let us see it."""
    try:
        snapshot.fill(kind, (await client.list(kind, namespace)).items)
    except NotFound:
        return
    except Forbidden:
        where = f" of namespace {namespace}" if namespace else " of all namespaces" if kind.namespaced else ""
        snapshot.hidden.append(f"you may not list the {kind.plural}{where}")


async def _get(snapshot: Snapshot, client: Reader, kind: Kind, key: ObjectKey) -> None:
    """One object by its name, which may be in another namespace."""
    try:
        found = await client.get(kind, key.name, key.namespace)
    except NotFound:
        return
    except Forbidden:
        snapshot.hidden.append(f"you may not get {kind.kind} {key}")
        return
    snapshot.fill(kind, [{"apiVersion": kind.api_version, "kind": kind.kind, **found}])


def pods_of(snapshot: Snapshot, replica_set: Object) -> list[Object]:
    return snapshot.owned_by(core_v1.POD, meta.uid(replica_set))
