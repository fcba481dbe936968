"""Reads a node, its lease and its pods from the caches and plans for them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from dabbawala.api import coordination_v1, core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.controllers.nodelifecycle import plan as planning
from dabbawala.reconcile import pods
from dabbawala.reconcile.cache import Caches
from dabbawala.reconcile.controller import Watch
from dabbawala.reconcile.plan import Plan

LEASES = "kube-node-lease"
QUARANTINE = timedelta(seconds=40)
"""How long a node may be missing before its pods are removed; nodes register again after a restart."""


class NodeLifecycleController:
    """Silence is counted from the controller's own start at the earliest: while it was down nobody could renew."""

    name = "node-lifecycle-controller"
    kind: Kind = core_v1.NODE

    def __init__(self, started: datetime) -> None:
        self._started = started
        self._missing: dict[str, datetime] = {}

    @property
    def watches(self) -> tuple[Watch, ...]:
        return (Watch(core_v1.POD, node_of_pod), Watch(coordination_v1.LEASE, lambda lease, caches: ()))

    async def reconcile(self, key: ObjectKey, caches: Caches, now: datetime) -> Plan:
        node = caches.get(core_v1.NODE, key)
        placed = caches.where(core_v1.POD, "spec.nodeName", key.name)
        if node is None:
            return self._gone(key, placed, now)
        self._missing.pop(key.name, None)
        nodes = caches.list(core_v1.NODE) if not planning.is_heard_of(node) else [node]
        all_lost = not any(map(planning.is_heard_of, nodes))
        return planning.plan(node, self._heard(node, caches), placed, all_lost=all_lost, now=now)

    def _heard(self, node: Object, caches: Caches) -> datetime:
        lease = caches.get(coordination_v1.LEASE, ObjectKey(LEASES, meta.name(node)))
        renewed = (lease.get("spec") or {}).get("renewTime") if lease is not None else None
        created = meta.metadata(node).get("creationTimestamp")
        known = [clock.parse_time(text) for text in (renewed, created) if text]
        return max([self._started, *known])

    def _gone(self, key: ObjectKey, placed: list[Object], now: datetime) -> Plan:
        if not placed:
            self._missing.pop(key.name, None)
            return Plan()
        since = self._missing.setdefault(key.name, now)
        if now - since < QUARANTINE:
            return Plan(requeue_after=QUARANTINE - (now - since))
        return planning.lost(placed)


def node_of_pod(pod: Object, caches: Caches) -> Iterable[ObjectKey]:
    """The pod's node, when it is in trouble or missing; a healthy node has nothing to say to its pods."""
    name = pods.node_name(pod)
    if not name:
        return
    node = caches.get(core_v1.NODE, ObjectKey("", name))
    if node is None or not planning.is_heard_of(node) or (node.get("spec") or {}).get("taints"):
        yield ObjectKey("", name)
