"""Worlds of one Rollout: what users do to it, how a data plane lags behind, and the laws that hold whatever happens.

The data plane is a copy of endpoints and weights that is brought up to date only now and then; the law that matters
is asked of that copy: whatever it would send a request to must be able to answer.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

from dabbawala.api import apps_v1, argoproj_v1alpha1, core_v1, discovery_v1, istio_networking_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import conditions, meta
from dabbawala.apimachinery.conditions import Condition
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.controllers.endpointslice.controller import EndpointSliceController
from dabbawala.cluster.controllers.replicaset.controller import ReplicaSetController
from dabbawala.reconcile import pods
from dabbawala.rollout import keys, phases, reasons, spec, state, traffic
from dabbawala.rollout.controller import RolloutController
from tests.simulation import rollout_scripts as scripts
from tests.simulation.actors import Garbage, Kubelet
from tests.simulation.rollout_scripts import KEY, ROUTED, Script
from tests.simulation.world import Faults, Happening, World

ROLLOUT, RUN = argoproj_v1alpha1.ROLLOUT, argoproj_v1alpha1.ANALYSIS_RUN
SERVICE, SLICE, ROUTE = core_v1.SERVICE, discovery_v1.ENDPOINT_SLICE, istio_networking_v1.VIRTUAL_SERVICE
RULE = istio_networking_v1.DESTINATION_RULE


class DataPlane:
    """What the proxies run: endpoints by Service, the revisions of subsets and the canary's weight, as of the last
    push. It reports acceptance only of what it has pushed."""

    def __init__(self) -> None:
        self.endpoints: dict[str, frozenset[str]] = {}
        self.subsets: dict[str, str] = {}
        self.weight = 0

    def __call__(self, world: World) -> bool:
        moves = [move for move in (self._push_service(world, item) for item in world.store.list(SERVICE)) if move]
        moves += [move for move in (self._push_route(world, item) for item in world.store.list(ROUTE)) if move]
        moves += [move for move in (self._push_rule(item) for item in world.store.list(RULE)) if move]
        if not moves:
            return False
        name, obj, kind = world.dice.choice(moves)
        if kind is SERVICE:
            self.endpoints[name] = _endpoints(world, name)
        elif kind is RULE:
            self.subsets = _subsets(obj)
            self.endpoints["web"] = _endpoints(world, "web")  # what divides endpoints is pushed with them
        else:
            self.weight = _weight(world)
        type_ = keys.SERVICE_PROGRAMMED if kind is SERVICE else keys.PROGRAMMED
        wanted = Condition(type_, "True", "Accepted", "", meta.generation(obj))
        listed = conditions.put((obj.get("status") or {}).get("conditions") or (), wanted, world.clock.now())
        world.change(kind, {**obj, "status": {**(obj.get("status") or {}), "conditions": listed}}, by="dataplane")
        return True

    def _push_service(self, world: World, service: Object) -> tuple[str, Object, Kind] | None:
        name = meta.name(service)
        slices = [item for item in world.store.list(SLICE) if meta.labels(item).get(keys.SLICE_SERVICE) == name]
        if not slices or any(_reflects(item) < meta.generation(service) for item in slices):
            return None
        stale = self.endpoints.get(name) != _endpoints(world, name)
        return (name, service, SERVICE) if stale or not _accepted(service, keys.SERVICE_PROGRAMMED) else None

    def _push_route(self, world: World, route: Object) -> tuple[str, Object, Kind] | None:
        stale = self.weight != _weight(world)
        return (meta.name(route), route, ROUTE) if stale or not _accepted(route, keys.PROGRAMMED) else None

    def _push_rule(self, rule: Object) -> tuple[str, Object, Kind] | None:
        stale = self.subsets != _subsets(rule)
        return (meta.name(rule), rule, RULE) if stale or not _accepted(rule, keys.PROGRAMMED) else None

    def behind(self, door: str) -> frozenset[str]:
        """The pods that a request through a door may be sent to: of a subset, those of its revision."""
        subset = self.subsets.get(door)
        if subset is None:
            return self.endpoints.get(door, frozenset())
        all_ = self.endpoints.get("web", frozenset())
        return frozenset(name for name in all_ if not subset or name.rpartition("-")[0] == f"{KEY.name}-{subset}")

    def uses(self, pod: Object) -> bool:
        return any(meta.name(pod) in names for names in self.endpoints.values())


def _reflects(piece: Object) -> int:
    return int(meta.annotations(piece).get(keys.SLICE_GENERATION) or 0)


def _accepted(obj: Object, type_: str) -> bool:
    found = conditions.find(obj, type_)
    return found is not None and int(found.get("observedGeneration") or 0) >= meta.generation(obj)


def _endpoints(world: World, service: str) -> frozenset[str]:
    return frozenset(
        endpoint["targetRef"]["name"]
        for item in world.store.list(SLICE)
        if meta.labels(item).get(keys.SLICE_SERVICE) == service
        for endpoint in item.get("endpoints") or ()
        if endpoint["conditions"].get("ready")
    )


def _weight(world: World) -> int:
    for route in world.store.list(ROUTE):
        for item in route["spec"]["http"][0]["route"]:
            if "canary" in item["destination"].values():
                return int(item["weight"])
    return 0


def _subsets(rule: Object) -> dict[str, str]:
    return {item["name"]: item["labels"].get(keys.HASH, "") for item in rule["spec"]["subsets"]}


class DrainingKubelet(Kubelet):
    """A pod that is asked to go serves until no proxy sends to it any more, as preStop and grace periods are for.
    Addresses are given so that slices can carry them."""

    def __init__(self, plane: DataPlane, *, flaky: float) -> None:
        super().__init__(flaky=flaky)
        self._plane = plane
        self._addresses = 0

    def _next(self, pod: Object) -> str | None:
        found = super()._next(pod)
        return None if found == "gone" and self._plane.uses(pod) else found

    def __call__(self, world: World) -> bool:
        acted = super().__call__(world)
        for pod in world.store.list(core_v1.POD):
            if pods.node_name(pod) and not (pod.get("status") or {}).get("podIP"):
                self._addresses += 1
                address = f"10.0.{self._addresses // 250}.{self._addresses % 250 + 1}"
                status = {**(pod.get("status") or {}), "podIP": address, "podIPs": [{"ip": address}]}
                world.change(core_v1.POD, {**pod, "status": status}, by="kubelet")
        return acted


class Judge:
    """Ends analyses: by the dice while the world is faulty, well afterwards."""

    def __call__(self, world: World) -> bool:
        for run in world.store.list(RUN):
            if (run.get("status") or {}).get("phase") in ("Successful", "Failed", "Inconclusive"):
                continue
            if world.faults.crash and not run["spec"].get("terminate") and world.dice.random() < 0.7:
                continue
            verdicts = ("Successful", "Successful", "Failed", "Inconclusive") if world.faults.crash else ("Successful",)
            status = {"phase": "Successful" if run["spec"].get("terminate") else world.dice.choice(verdicts)}
            world.change(RUN, {**run, "status": status}, by="judge")
            return True
        return False


class Laws:
    """Checked at every change of the store, on the true state and not on anybody's cache."""

    def __init__(self, script: Script, plane: DataPlane) -> None:
        self._script = script
        self._plane = plane
        self._widest = script.replicas
        self._served = False
        self._opened: set[tuple[str, int]] = set()

    def __call__(self, world: World, happening: Happening) -> Iterable[str]:
        if happening.kind is ROLLOUT and happening.new is not None:
            self._widest = max(self._widest, spec.replicas(happening.new))
            yield from self._gates_are_opened_by_people(happening)
        if happening.kind is ROUTE and happening.new is not None:
            yield from self._weights_make_a_hundred(happening.new)
        if happening.kind in (SERVICE, RULE) and happening.by == "rollout":
            yield from self._doors_lead_to_ready_pods(world, happening)
        if happening.kind is core_v1.POD and happening.old is None:
            yield from self._never_too_many(world)
        if self._script.steady and world.store.get(ROLLOUT, KEY) is not None:
            yield from self._every_request_is_answered(world)

    def _gates_are_opened_by_people(self, happening: Happening) -> Iterable[str]:
        """A `pause: {}`, or the pause before a switch, ends when somebody has taken that very pause away."""
        if happening.old is None or happening.new is None:
            return
        old, new = happening.old, happening.new
        step, gate = state.current_step(old) or {}, (state.current_hash(old), state.step_index(old) or 0)
        held = _pauses(old) & {reasons.CANARY_PAUSE, reasons.BLUE_GREEN_PAUSE}
        if happening.by == "user" and held and not _pauses(new):
            self._opened.add(gate)
        passed = state.step_index(new) == gate[1] + 1 and step.get("pause") == {}
        switched = state.checkpoint_passed(new) and not state.checkpoint_passed(old) and _asks_before_switching(old)
        same = state.current_hash(new) == gate[0] and not state.promotes_fully(old)
        if (passed or switched) and same and not state.is_fully_promoted(new) and gate not in self._opened:
            yield f"the gate of step {gate[1]} was passed, and nobody had opened it"

    def _weights_make_a_hundred(self, route: Object) -> Iterable[str]:
        shares = [item["weight"] for item in route["spec"]["http"][0]["route"]]
        if sum(shares) != 100 or min(shares) < 0:
            yield f"weights {shares}"

    def _doors_lead_to_ready_pods(self, world: World, happening: Happening) -> Iterable[str]:
        assert happening.old is not None
        assert happening.new is not None
        before, after = (_doors(item) for item in (happening.old, happening.new))
        moved = {hash_ for door, hash_ in after.items() if before.get(door) != hash_}
        if not self._script.steady:
            return
        alive = [pod for pod in world.store.list(core_v1.POD) if pods.is_ready(pod) and not meta.is_deleting(pod)]
        for hash_ in moved - {meta.labels(pod).get(keys.HASH) for pod in alive}:
            yield f"{happening.kind.kind} {meta.name(happening.new)} was pointed at {hash_}, which has no ready pod"

    def _never_too_many(self, world: World) -> Iterable[str]:
        if self._script.kind != "basic":
            return
        rollout = world.store.get(ROLLOUT, KEY)
        assert rollout is not None
        widest = {**rollout, "spec": {**rollout["spec"], "replicas": self._widest}}
        surge, _ = spec.surge_and_unavailable(widest)
        active = sum(map(pods.is_active, world.store.list(core_v1.POD)))
        if active > self._widest + surge:
            yield f"{active} active pods where {self._widest + surge} are allowed"

    def _every_request_is_answered(self, world: World) -> Iterable[str]:
        doors = ["active"] if self._script.kind == "blue-green" else ["stable"]
        if self._script.kind in ROUTED:
            doors = (["canary"] if self._plane.weight > 0 else []) + (["stable"] if self._plane.weight < 100 else [])
        if self._script.kind == "basic" and spec.surge_and_unavailable(self._rollout(world))[0] == 0:
            return
        alive = {meta.name(pod) for pod in world.store.list(core_v1.POD) if pods.is_ready(pod)}
        answers = {door: bool(self._plane.behind(door) & alive) for door in doors}
        if all(answers.values()):
            self._served = self._served or bool(state.stable_hash(self._rollout(world)))
        elif self._served:
            lost = [door for door, answered in answers.items() if not answered]
            yield f"a request through {lost} would find nobody (canary weight {self._plane.weight})"

    def _rollout(self, world: World) -> Object:
        found = world.store.get(ROLLOUT, KEY)
        assert found is not None
        return found


def _pauses(rollout: Object) -> set[str]:
    return {str(item.get("reason")) for item in state.pause_conditions(rollout)}


def _asks_before_switching(rollout: Object) -> bool:
    return not spec.auto_promotion(rollout)[0] and state.current_hash(rollout) != state.stable_hash(rollout)


def _doors(obj: Object) -> dict[str, str | None]:
    """Where a Service, or each subset of a DestinationRule, leads to."""
    if "subsets" in obj["spec"]:
        return dict(_subsets(obj))
    return {meta.name(obj): obj["spec"]["selector"].get(keys.HASH)}


class RolloutWorld:
    """One seed: a script, its world and its laws."""

    def __init__(self, seed: int, *, faults: Faults | None = None) -> None:
        dice = random.Random(seed * 104_729 + 3)
        self.script = scripts.script(dice)
        self.plane = DataPlane()
        self.laws = Laws(self.script, self.plane)
        factories = [RolloutController, ReplicaSetController, EndpointSliceController]
        self.world = World(
            seed,
            [factories] if dice.random() < 0.5 else [factories[:1], factories[1:]],
            actors=(
                DrainingKubelet(self.plane, flaky=0.0 if self.script.steady else 0.05),
                self.plane,
                Judge(),
                Garbage((ROLLOUT, apps_v1.REPLICA_SET), (apps_v1.REPLICA_SET, core_v1.POD)),
            ),
            laws=(self.laws,),
            faults=faults or replace(Faults(), late=dice.choice((0.3, 0.7, 0.9))),
        )
        self._dice = dice
        self._version = 0

    async def live(self, *, steps: int = 60) -> None:
        """Create, disturb, settle; every law is checked on the way and the outcome at the end."""
        world = self.world
        for name in ("active", "preview", "stable", "canary"):
            metadata = {"name": name, "namespace": "shop"}
            world.create(SERVICE, {"metadata": metadata, "spec": {"selector": {"app": "web"}}})
        world.create(ROUTE, scripts.route(self.script.kind))
        if self.script.kind == "subsets":
            metadata = {"name": "web", "namespace": "shop"}
            world.create(SERVICE, {"metadata": metadata, "spec": {"selector": {"app": "web"}}})
            world.create(RULE, scripts.destination_rule())
        world.create(argoproj_v1alpha1.ANALYSIS_TEMPLATE, scripts.analysis_template())
        world.create(ROLLOUT, scripts.rollout(self.script))
        await world.run(steps * 3)
        for action in self.script.actions:
            self._act(action)
            await world.run(self._dice.randint(1, steps))
        assert not world.violations, world.violations
        await self._finish()
        self.check_outcome()
        assert await world.writes_at_rest() == 0, "a world at rest was written to"
        assert not world.violations, world.violations

    def current(self) -> Object:
        found = self.world.store.get(ROLLOUT, KEY)
        assert found is not None, "nobody deletes the Rollout of these worlds"
        return found

    def _act(self, action: str) -> None:
        now = self.current()
        body, status = now["spec"], dict(now.get("status") or {})
        match action:
            case "version" | "back":
                self._version = self._version + 1 if action == "version" else max(0, self._version - 1)
                body = {**body, "template": scripts.template(self._version)}
            case "scale":
                body = {**body, "replicas": self._dice.randint(1, 6)}
            case "pause":
                body = {**body, "paused": not body.get("paused", False)}
            case "promote":
                status.pop("pauseConditions", None)
            case "full":
                status = {**status, "promoteFull": True}
                status.pop("pauseConditions", None)
            case "abort":
                status = {**status, "abort": True}
            case "retry":
                status.pop("abort", None)
        self.world.change(ROLLOUT, {**now, "spec": body, "status": status})

    async def _finish(self) -> None:
        """Somebody promotes and retries until the last version is everywhere."""
        now = self.current()
        self.world.change(ROLLOUT, {**now, "spec": {**now["spec"], "paused": False}})
        await self.world.settle()
        for _ in range(30):
            now = self.current()
            status = {name: value for name, value in now["status"].items() if name not in ("pauseConditions", "abort")}
            if status.get("phase") == phases.HEALTHY:
                return
            self.world.change(ROLLOUT, {**now, "status": status})
            await self.world.settle()
        raise AssertionError(f"the Rollout never becomes healthy: {self.current()['status']}")

    def check_outcome(self) -> None:
        now = self.current()
        count, hash_ = spec.replicas(now), state.current_hash(now)
        assert state.stable_hash(now) == hash_
        alive = [meta.labels(pod)[keys.HASH] for pod in self.world.store.list(core_v1.POD) if pods.is_active(pod)]
        assert alive == [hash_] * count, f"{len(alive)} pods of {set(alive)} where {count} of {hash_} were asked for"
        for name in spec.services(now).values():
            service = self.world.store.get(SERVICE, ObjectKey("shop", name))
            assert service is not None
            assert service["spec"]["selector"].get(keys.HASH) == hash_, name
        for rule in self.world.store.list(RULE):
            assert set(_subsets(rule).values()) == {hash_}, rule["spec"]
        status = now["status"]
        reported = [int(status.get(field) or 0) for field in ("replicas", "updatedReplicas", "availableReplicas")]
        assert reported == [count] * 3, f"status says {status}"
        assert status["observedGeneration"] == str(meta.generation(now))
        if self.script.kind == "routed":
            assert _weight(self.world) == 0
            assert traffic.sides(now).canary_service == "canary"
