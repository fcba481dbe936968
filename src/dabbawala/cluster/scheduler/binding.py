"""Carrying out decisions: bind pods to their nodes, evict victims, and say why a pod waits."""

from __future__ import annotations

from typing import Protocol

from dabbawala.api import core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import conditions, meta
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.conditions import Condition
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import NotFound
from dabbawala.cluster.scheduler.plan import Decision
from dabbawala.cluster.scheduler.volumes import SELECTED_NODE
from dabbawala.reconcile import persistent_volumes
from dabbawala.reconcile.apply import Recorder, Writer
from dabbawala.reconcile.plan import Record

MANAGER = "default-scheduler"


class BindingWriter(Writer, Protocol):
    """A client that can also create below an object."""

    async def create(
        self, kind: Kind, obj: Object, namespace: str = "", *, subresource: str = "", name: str = ""
    ) -> Object: ...


class Binder:
    def __init__(self, client: BindingWriter, recorder: Recorder, clock: Clock) -> None:
        self._client = client.writing_as(MANAGER)
        self._recorder = recorder
        self._clock = clock

    async def bind(self, decision: Decision) -> None:
        """Raises StatusError when the API refuses."""
        pod = decision.pod
        name, namespace = meta.name(pod), meta.namespace(pod)
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace, "uid": meta.uid(pod)},
            "target": {"apiVersion": "v1", "kind": "Node", "name": decision.node},
        }
        await self._client.create(core_v1.POD, binding, namespace, subresource="binding", name=name)
        text = f"Successfully assigned {namespace}/{name} to {decision.node}"
        self._recorder.record(Record(pod, "Scheduled", text))

    async def reserve(self, volume: Object, claim: Object) -> None:
        """Keep the volume for the claim. Raises Conflict when it has changed since it was chosen."""
        body = {
            "metadata": {
                "resourceVersion": meta.resource_version(volume),
                "annotations": {persistent_volumes.BOUND_BY_US: "yes"},
            },
            "spec": {"claimRef": persistent_volumes.reference(claim)},
        }
        if not volume["spec"].get("claimRef"):
            await self._client.patch(core_v1.PERSISTENT_VOLUME, meta.name(volume), "", body)

    async def choose_node_for_volumes(self, namespace: str, claims: tuple[str, ...], node: str) -> None:
        """Tell the provisioner where the volumes are wanted."""
        body = {"metadata": {"annotations": {SELECTED_NODE: node}}}
        for claim in claims:
            await self._client.patch(core_v1.PERSISTENT_VOLUME_CLAIM, claim, namespace, body)

    async def explain(self, decision: Decision) -> None:
        """An event and the condition PodScheduled, and the node that is being freed for the pod, if one is."""
        self._recorder.record(Record(decision.pod, "FailedScheduling", decision.message, "Warning"))
        await self._mark(decision.pod, "Unschedulable", decision.message, nominated=decision.nominated)

    async def gated(self, pod: Object) -> None:
        await self._mark(pod, "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")

    async def _mark(self, pod: Object, reason: str, message: str, *, nominated: str = "") -> None:
        status = pod.get("status") or {}
        present = conditions.find(pod, "PodScheduled") or {}
        same = (present.get("status"), present.get("reason"), present.get("message")) == ("False", reason, message)
        if same and (not nominated or status.get("nominatedNodeName") == nominated):
            return
        condition = Condition("PodScheduled", "False", reason, message)
        body: Object = {"conditions": conditions.put(status.get("conditions") or (), condition, self._clock.now())}
        if nominated:
            body["nominatedNodeName"] = nominated
        try:
            await self._client.patch(
                core_v1.POD,
                meta.name(pod),
                meta.namespace(pod),
                {"metadata": {"uid": meta.uid(pod)}, "status": body},
                subresource="status",
            )
        except NotFound:
            return

    async def evict_victims(self, decision: Decision) -> None:
        """Delete those who make room, gracefully, each told for whom."""
        for victim in decision.victims:
            text = f"Preempted by pod {meta.uid(decision.pod)} on node {decision.nominated}"
            self._recorder.record(Record(victim.object, "Preempted", text))
            condition = Condition(
                "DisruptionTarget",
                "True",
                "PreemptionByScheduler",
                f"{MANAGER}: preempting to accommodate a higher priority pod",
            )
            status = victim.object.get("status") or {}
            found = conditions.put(status.get("conditions") or (), condition, self._clock.now())
            key = meta.key(victim.object)
            try:
                await self._client.patch(
                    core_v1.POD, key.name, key.namespace, {"status": {"conditions": found}}, subresource="status"
                )
                await self._client.delete(core_v1.POD, key.name, key.namespace, uid=victim.uid)
            except NotFound:
                continue
