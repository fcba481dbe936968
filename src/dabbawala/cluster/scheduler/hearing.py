"""What the scheduler hears: pods that want a node, pods that have one, nodes, and what else may help who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dabbawala.api import core_v1, node_v1, storage_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.scheduler.snapshot import Snapshot, placed
from dabbawala.cluster.scheduler.waiting import WaitingPods
from dabbawala.reconcile import pods
from dabbawala.reconcile.cache import Change
from dabbawala.reconcile.informer import Informers

NAME = "default-scheduler"
_HELPFUL = frozenset({"persistentvolumeclaims", "persistentvolumes", "storageclasses.storage.k8s.io"})


class ClusterView:
    """Keeps the snapshot and the waiting pods in step with the informers. `wake` is set when there may be something
    to do; `gated` is told of pods that are not to be placed yet, `claim_changed` of claims."""

    def __init__(
        self,
        clock: Clock,
        informers: Informers,
        gated: Callable[[Object], None],
        claim_changed: Callable[[ObjectKey], None],
    ) -> None:
        self.snapshot = Snapshot()
        self.waiting = WaitingPods(clock)
        self.wake = asyncio.Event()
        self._informers = informers
        self._gated = gated
        self._claim_changed = claim_changed
        for kind in (
            core_v1.NODE, core_v1.POD, core_v1.NAMESPACE, core_v1.PERSISTENT_VOLUME_CLAIM, core_v1.PERSISTENT_VOLUME,
            storage_v1.STORAGE_CLASS, node_v1.RUNTIME_CLASS,
        ):  # fmt: skip
            informers.watch(kind, self)

    def progressed(self, kind: Kind) -> None:
        """The scheduler assumes its own writes instead of waiting for them."""

    def changed(self, kind: Kind, change: Change) -> None:
        if kind is core_v1.POD:
            self._pod_changed(change)
        elif kind is core_v1.NODE:
            self._node_changed(change)
        elif kind is core_v1.NAMESPACE:
            self.snapshot.namespaces[meta.name(change.object)] = meta.labels(change.object)
        elif kind.resource in _HELPFUL:
            if kind is core_v1.PERSISTENT_VOLUME_CLAIM:
                self._claim_changed(meta.key(change.object))
            self._move()

    def _pod_changed(self, change: Change) -> None:
        pod, uid = change.object, meta.uid(change.object)
        if change.new is None or pods.is_finished(pod):
            self.waiting.forget(uid)
            if self.snapshot.remove(uid):
                self._move()
        elif pods.node_name(pod):
            self.waiting.forget(uid)
            self._seen_on_node(pod)
        elif _is_ours(pod):
            self._wants_node(pod)

    def _seen_on_node(self, pod: Object) -> None:
        self.snapshot.place(placed(pod, self._overhead(pod)), pods.node_name(pod))

    def _wants_node(self, pod: Object) -> None:
        if meta.is_deleting(pod):
            self.waiting.forget(meta.uid(pod))
        elif pod["spec"].get("schedulingGates"):
            self.waiting.forget(meta.uid(pod))
            self._gated(pod)
        elif self.snapshot.where(meta.uid(pod)) is None:
            self.waiting.put(pod)
            self.wake.set()

    def _node_changed(self, change: Change) -> None:
        if change.new is None:
            self.snapshot.remove_node(meta.name(change.object))
            return
        self.snapshot.set_node(change.new)
        if change.old is None or _matters(change.old, change.new):
            self._move()

    def _move(self) -> None:
        self.waiting.move()
        self.wake.set()

    def runtime_class(self, pod: Object) -> Object | None:
        name = pod["spec"].get("runtimeClassName")
        return self._informers.get(node_v1.RUNTIME_CLASS, ObjectKey("", name)) if name else None

    def _overhead(self, pod: Object) -> dict[str, str] | None:
        found = self.runtime_class(pod)
        return ((found or {}).get("overhead") or {}).get("podFixed")


def _is_ours(pod: Object) -> bool:
    return (pod["spec"].get("schedulerName") or NAME) == NAME


def _matters(old: Object, new: Object) -> bool:
    """A node's heartbeat helps nobody; room, labels, taints and readiness may."""

    def judged(node: Object) -> tuple[object, ...]:
        status = node.get("status") or {}
        return node.get("spec"), dict(meta.labels(node)), status.get("allocatable")

    return judged(old) != judged(new)
