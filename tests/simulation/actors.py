"""The parts of a cluster that answer controllers, move by move: kubelet and scheduler, garbage collector."""

from __future__ import annotations

from collections.abc import Sequence

from dabbawala.api import core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import clock as clocks
from dabbawala.apimachinery import conditions, meta
from dabbawala.apimachinery.conditions import Condition
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile import pods
from tests.simulation.world import World

NODES = ("node-1", "node-2", "node-3")
BROKEN = "broken"
"""Pods with this label never become ready."""


class Kubelet:
    """Places pods, makes them ready and lets them go. While the world is faulty, a `flaky` one now and then has a
    pod lose readiness or fail."""

    def __init__(self, *, flaky: float = 0.0) -> None:
        self._flaky = flaky

    def __call__(self, world: World) -> bool:
        waiting = [pod for pod in world.store.list(core_v1.POD) if self._next(pod) is not None]
        if world.faults.crash and self._flaky and world.dice.random() < self._flaky:
            self._disturb(world)
        if not waiting:
            return False
        pod = world.dice.choice(waiting)
        change = self._next(pod)
        if change == "gone":
            world.remove(core_v1.POD, pod, by="kubelet")
        elif change == "bound":
            spec = {**pod["spec"], "nodeName": world.dice.choice(NODES)}
            world.change(core_v1.POD, {**pod, "spec": spec}, by="scheduler")
        else:
            world.change(core_v1.POD, with_ready(world, pod, "Running", ready=True), by="kubelet")
        return True

    def _next(self, pod: Object) -> str | None:
        if meta.is_deleting(pod):
            return "gone"
        if not pods.node_name(pod):
            return "bound"
        if pods.is_finished(pod) or pods.is_ready(pod) or BROKEN in meta.labels(pod):
            return None
        return "ready"

    def _disturb(self, world: World) -> None:
        running = [pod for pod in world.store.list(core_v1.POD) if pods.is_active(pod) and pods.is_ready(pod)]
        if running:
            phase = world.dice.choice(("Running", "Running", "Failed"))
            pod = with_ready(world, world.dice.choice(running), phase, ready=False)
            world.change(core_v1.POD, pod, by="kubelet")


def with_ready(world: World, pod: Object, phase: str, *, ready: bool) -> Object:
    condition = Condition("Ready", "True" if ready else "False", "Simulated")
    status = pod.get("status") or {}
    changed = conditions.put(status.get("conditions") or (), condition, world.clock.now())
    return {**pod, "status": {**status, "phase": phase, "conditions": changed}}


class Garbage:
    """Deletes what is owned by nobody any more."""

    def __init__(self, owners: Sequence[Kind], dependents: Sequence[Kind]) -> None:
        self._owners = owners
        self._dependents = dependents

    def __call__(self, world: World) -> bool:
        alive = {meta.uid(obj) for kind in self._owners for obj in world.store.list(kind)}
        for kind in self._dependents:
            for obj in world.store.list(kind):
                owner = meta.controller_of(obj)
                if owner and owner["uid"] not in alive and not meta.is_deleting(obj):
                    if kind is core_v1.POD and pods.node_name(obj):
                        marks = {
                            "deletionTimestamp": clocks.format_time(world.clock.now()),
                            "deletionGracePeriodSeconds": 30,
                        }
                        world.change(kind, {**obj, "metadata": {**obj["metadata"], **marks}}, by="garbage")
                    else:
                        world.remove(kind, obj, by="garbage")
                    return True
        return False
