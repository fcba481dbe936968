"""Worlds of one Job: pods succeed, fail and are deleted, and every one of them is counted exactly once."""

from __future__ import annotations

import random
from collections.abc import Iterable

from dabbawala.api import batch_v1, core_v1
from dabbawala.apimachinery import clock as clocks
from dabbawala.apimachinery import conditions, meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.controllers.job.controller import JobController
from dabbawala.reconcile import pods
from tests.simulation.world import Faults, Happening, World

KEY = ObjectKey("shop", "sum")


class Runner:
    """A kubelet for pods that end. A deleted pod ends and goes when its finalizers are gone."""

    def __init__(self, failing: float) -> None:
        self._failing = failing

    def __call__(self, world: World) -> bool:
        waiting = [pod for pod in world.store.list(core_v1.POD) if _moves(pod)]
        if not waiting:
            return False
        pod = world.dice.choice(waiting)
        if meta.is_deleting(pod):
            world.remove(core_v1.POD, pod, by="kubelet")
        elif not pods.node_name(pod):
            world.change(core_v1.POD, {**pod, "spec": {**pod["spec"], "nodeName": "n1"}}, by="scheduler")
        else:
            phase = "Failed" if world.dice.random() < self._failing else "Succeeded"
            world.change(core_v1.POD, {**pod, "status": {"phase": phase}}, by="kubelet")
        return True


def _moves(pod: Object) -> bool:
    if meta.is_deleting(pod):
        return not meta.finalizers(pod)
    return not pods.is_finished(pod)


class JobWorld:
    def __init__(self, seed: int) -> None:
        dice = random.Random(seed * 104729 + 1)
        self.completions = dice.randint(1, 6)
        self.parallelism = dice.randint(1, 4)
        self.limit = dice.choice((0, 2, 4))
        self.killing = dice.random() < 0.5
        self._dice = dice
        self._ended: dict[str, str] = {}
        self.world = World(
            seed, [[JobController]], actors=(Runner(dice.choice((0.0, 0.3, 1.0))),), laws=(self._law,), faults=Faults()
        )

    def _law(self, world: World, happening: Happening) -> Iterable[str]:
        if happening.kind is not core_v1.POD:
            return
        pod = happening.new or happening.old
        assert pod is not None
        if pods.is_finished(pod):
            self._ended.setdefault(meta.uid(pod), pods.phase(pod))
        elif happening.new is None:
            self._ended.setdefault(meta.uid(pod), "Failed")
        running = sum(map(pods.is_active, world.store.list(core_v1.POD)))
        if running > self.parallelism:
            yield f"{running} pods run where {self.parallelism} may"

    async def live(self) -> None:
        indexed = self._dice.random() < 0.4
        spec = {
            "completions": self.completions, "parallelism": self.parallelism, "backoffLimit": self.limit,
            "template": {"metadata": {}, "spec": {"containers": [{"name": "c"}], "restartPolicy": "Never"}},
            **({"completionMode": "Indexed"} if indexed else {}),
        }  # fmt: skip
        self.world.create(batch_v1.JOB, {"metadata": {"name": KEY.name, "namespace": KEY.namespace}, "spec": spec})
        for _ in range(3):
            await self.world.run(self._dice.randint(5, 60))
            if self.killing:
                self._kill()
        await self.world.settle()
        self._check(indexed)
        assert await self.world.writes_at_rest() == 0, "a world at rest was written to"
        assert not self.world.violations, self.world.violations

    def _kill(self) -> None:
        running = [pod for pod in self.world.store.list(core_v1.POD) if pods.is_active(pod) and pods.node_name(pod)]
        if running:
            pod = self._dice.choice(running)
            marks = {"deletionTimestamp": clocks.format_time(self.world.clock.now()), "deletionGracePeriodSeconds": 30}
            self.world.change(core_v1.POD, {**pod, "metadata": {**pod["metadata"], **marks}})

    def _check(self, indexed: bool) -> None:
        job = self.world.store.get(batch_v1.JOB, KEY)
        assert job is not None
        status = job["status"]
        for phase, field in (("Succeeded", "succeeded"), ("Failed", "failed")):
            happened = sum(ended == phase for ended in self._ended.values())
            assert int(status.get(field) or 0) == happened, f"{field}: {status} where {happened} ended so"
        complete, failed = conditions.is_true(job, "Complete"), conditions.is_true(job, "Failed")
        assert complete != failed, f"exactly one outcome: {status}"
        if complete:
            assert int(status["succeeded"]) >= self.completions
            expected = "0" if self.completions == 1 else f"0-{self.completions - 1}"
            assert not indexed or status["completedIndexes"] == expected
        else:
            assert int(status["failed"]) > self.limit
        assert not any(map(meta.finalizers, self.world.store.list(core_v1.POD))), "a finalizer was left behind"
