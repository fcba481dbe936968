"""One pod as its worker holds it: the newest state of the object, what is remembered, and how far the worker is."""

from __future__ import annotations

from dataclasses import dataclass

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.kubelet import log_files, runtime_report
from dabbawala.cluster.kubelet.memory import Memory
from dabbawala.cluster.kubelet.node_parts import NodeParts
from dabbawala.cluster.sandbox.spec import PodStatus
from dabbawala.reconcile.plan import Record


@dataclass(slots=True)
class PodState:
    """`stale`: the runtime has news. `unpublished`: the API server was away when the status should be written.
    `volumes_due`: its volumes are to be brought up to date. `finished`: the pod is gone from here and from the API."""

    pod: Object
    memory: Memory
    parts: NodeParts
    stale: bool = True
    unpublished: bool = False
    volumes_due: bool = False
    finished: bool = False

    @property
    def uid(self) -> str:
        return meta.uid(self.pod)

    @property
    def key(self) -> ObjectKey:
        return meta.key(self.pod)

    @property
    def address(self) -> str:
        return self.memory.sandbox.ip if self.memory.sandbox is not None else ""

    def wake(self) -> None:
        """Ask for a look at the pod soon."""
        self.parts.wake(self.key)

    def record(self, type_: str, reason: str, message: str) -> None:
        self.parts.record(Record(self.pod, reason, message, type_))

    def take_in(self, report: PodStatus | None) -> None:
        """What the runtime says of the pod."""
        runtime_report.take_in(self.memory, report, self.parts.clock.now())
        log_files.add_last_words(self.memory, self.pod, self.parts.files)
