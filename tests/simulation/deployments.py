"""Worlds of one Deployment: what users do to it, and the laws that hold whatever happens meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace

from dabbawala.api import apps_v1, core_v1
from dabbawala.apimachinery import clock as clocks
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.controllers.deployment import revisions, scaling
from dabbawala.cluster.controllers.deployment.controller import DeploymentController
from dabbawala.cluster.controllers.replicaset.controller import ReplicaSetController
from dabbawala.reconcile import pods
from tests.simulation.actors import Garbage, Kubelet
from tests.simulation.world import Faults, Happening, World

KEY = ObjectKey("shop", "web")


@dataclass(frozen=True, slots=True)
class Script:
    """What kind of world a seed gives. In a `steady` one nobody changes the size and no pod fails by itself, so the
    bounds must hold exactly; elsewhere they hold for the widest size asked for since the start."""

    replicas: int
    strategy: Object
    min_ready_seconds: int
    steady: bool
    actions: tuple[str, ...]


def deployment(script: Script) -> Object:
    return {
        "metadata": {"name": KEY.name, "namespace": KEY.namespace},
        "spec": {
            "replicas": script.replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": script.strategy,
            "minReadySeconds": script.min_ready_seconds,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": 600,
            "template": template(0),
        },
    }


def template(version: int) -> Object:
    labels = {"app": "web"} | ({"broken": "yes"} if version % 4 == 3 else {})
    return {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": f"web:{version}"}]}}


class Laws:
    """Checked at every change of the store, on the true state and not on anybody's cache.

    The floor: whoever shrinks a set relies on the pods reported available then (a rollout may begin with fewer than
    the floor, and may take away pods that were not available when it was decided). Of those, and of the floor, no
    deletion may take anything.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._bounds: list[scaling.Bounds] = []
        self._counted = 0

    def __call__(self, world: World, happening: Happening) -> Iterable[str]:
        if happening.kind is apps_v1.DEPLOYMENT and happening.new is not None:
            self._bounds.append(scaling.bounds(happening.new))
        if happening.kind is apps_v1.REPLICA_SET and _shrank(happening):
            self._counted = sum(map(scaling.available, world.store.list(apps_v1.REPLICA_SET)))
        if happening.kind is not core_v1.POD or happening.by in ("user", "kubelet", "scheduler", "garbage"):
            return
        alive = world.store.list(core_v1.POD)
        if happening.old is None:
            yield from self._never_too_many(alive)
            yield from self._never_two_versions(alive)
        elif happening.new is None or meta.is_deleting(happening.new):
            yield from self._never_too_few(world, happening.old, alive)

    def _never_too_many(self, alive: list[Object]) -> Iterable[str]:
        active = sum(map(pods.is_active, alive))
        most = max(limits.most for limits in self._bounds)
        if active > most:
            yield f"{active} active pods where at most {most} are allowed"

    def _never_two_versions(self, alive: list[Object]) -> Iterable[str]:
        there = {meta.controller_of(pod)["uid"] for pod in alive if not pods.is_finished(pod)}
        if self._script.strategy["type"] == "Recreate" and len(there) > 1:
            yield "Recreate ran two versions at once"

    def _never_too_few(self, world: World, gone: Object, alive: list[Object]) -> Iterable[str]:
        wait, now = self._script.min_ready_seconds, world.clock.now()
        if not self._script.steady or self._script.strategy["type"] == "Recreate":
            return
        if not pods.is_available(gone, wait, now) or not pods.is_active(gone):
            return
        left = sum(pods.is_active(pod) and pods.is_available(pod, wait, now) for pod in alive)
        floor = min(self._counted, *(limits.fewest_available for limits in self._bounds))
        if left < floor:
            yield f"{left} available pods where {floor} must remain"


def _shrank(happening: Happening) -> bool:
    old, new = happening.old, happening.new
    return old is not None and new is not None and scaling.size(new) < scaling.size(old)


class DeploymentWorld:
    """One seed: a script, its world and its laws."""

    def __init__(self, seed: int, *, faults: Faults | None = None) -> None:
        dice = random.Random(seed * 7919 + 1)
        self.script = self._script(dice)
        self.laws = Laws(self.script)
        together = dice.random() < 0.5
        factories = [DeploymentController, ReplicaSetController]
        self.world = World(
            seed,
            [factories] if together else [[factory] for factory in factories],
            actors=(
                Kubelet(flaky=0.0 if self.script.steady else 0.05),
                Garbage((apps_v1.DEPLOYMENT, apps_v1.REPLICA_SET), (apps_v1.REPLICA_SET, core_v1.POD)),
            ),
            laws=(self.laws,),
            faults=faults or replace(Faults(), late=dice.choice((0.3, 0.7, 0.9))),
        )
        self._dice = dice
        self._version = 0

    def _script(self, dice: random.Random) -> Script:
        steady = dice.random() < 0.5
        rolling: Object = {
            "maxSurge": dice.choice((0, 1, 2, "25%", "50%")),
            "maxUnavailable": dice.choice((0, 1, "25%")),
        }
        if rolling["maxSurge"] == 0 and rolling["maxUnavailable"] == 0:
            rolling["maxSurge"] = 1
        recreate = dice.random() < 0.15
        strategy = {"type": "Recreate"} if recreate else {"type": "RollingUpdate", "rollingUpdate": rolling}
        kinds = ("version", "version", "back") if steady else ("version", "back", "scale", "pause", "kill", "scale")
        actions = tuple(dice.choices(kinds, k=dice.randint(1, 4)))
        return Script(dice.randint(1, 6), strategy, dice.choice((0, 0, 0, 5)), steady, actions)

    async def live(self, *, steps: int = 40) -> None:
        """Create, disturb, settle; every law is checked on the way and the outcome at the end."""
        self.world.create(apps_v1.DEPLOYMENT, deployment(self.script))
        for action in self.script.actions:
            await self.world.run(self._dice.randint(1, steps))
            self._act(action)
        await self.world.run(steps)
        assert not self.world.violations, self.world.violations
        self._finish()
        await self.world.settle()
        self.check_outcome()
        assert await self.world.writes_at_rest() == 0, "a world at rest was written to"
        assert not self.world.violations, self.world.violations

    def _act(self, action: str) -> None:
        current = self._deployment()
        spec = current["spec"]
        match action:
            case "version":
                self._version += 1
                spec = {**spec, "template": template(self._version)}
            case "back":
                spec = {**spec, "template": template(max(self._version - 1, 0))}
            case "scale":
                spec = {**spec, "replicas": self._dice.randint(0, 8)}
            case "pause":
                spec = {**spec, "paused": not spec.get("paused", False)}
            case _:
                self._kill()
                return
        self.world.change(apps_v1.DEPLOYMENT, {**current, "spec": spec})

    def _kill(self) -> None:
        found = [pod for pod in self.world.store.list(core_v1.POD) if not meta.is_deleting(pod)]
        if found:
            pod = self._dice.choice(found)
            marks = {
                "deletionTimestamp": clocks.format_time(self.world.clock.now()),
                "deletionGracePeriodSeconds": 30,
            }
            self.world.change(core_v1.POD, {**pod, "metadata": {**pod["metadata"], **marks}})

    def _finish(self) -> None:
        """Nothing that cannot complete is left: no pause, no version whose pods never become ready."""
        current = self._deployment()
        spec = {**current["spec"], "paused": False}
        if "broken" in spec["template"]["metadata"]["labels"]:
            spec["template"] = template(self._version + 1)
        self.world.change(apps_v1.DEPLOYMENT, {**current, "spec": spec})

    def _deployment(self) -> Object:
        found = self.world.store.get(apps_v1.DEPLOYMENT, KEY)
        assert found is not None, "nobody deletes the Deployment of these worlds"
        return found

    def check_outcome(self) -> None:
        current = self._deployment()
        sets = self.world.store.list(apps_v1.REPLICA_SET)
        new = revisions.current(current, sets)
        assert new is not None, "the current template has no set"
        wanted = revisions.wanted(current)
        alive = self.world.store.list(core_v1.POD)
        owners = [meta.controller_of(pod)["uid"] for pod in alive if pods.is_active(pod)]
        assert owners == [meta.uid(new)] * wanted, f"{len(owners)} pods where {wanted} were asked for"
        status = current["status"]
        reported = [int(status.get(field) or 0) for field in ("replicas", "updatedReplicas", "availableReplicas")]
        assert reported == [wanted] * 3, f"status says {status}"
        assert len(sets) <= 3, f"{len(sets)} sets where the current one and two old ones are kept"
        assert status["observedGeneration"] == meta.generation(current)
