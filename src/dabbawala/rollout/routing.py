"""Steering a canary's traffic: which weight the route should have now, and whether it may have it yet.

The weight follows the table below. Switching has an order: doors before weights, weights only toward sides that are
attached and ready, one route change at a time, and everything off a bad version at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dabbawala.api import istio_networking_v1
from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile.plan import Patch
from dabbawala.rollout import acceptance, attachment, counting, keys, reasons, spec, state, traffic, weights
from dabbawala.rollout.draft import Blocker, Draft
from dabbawala.rollout.observed import Situation


@dataclass(frozen=True, slots=True)
class Traffic:
    """`seen` is the canary's weight in the route as written, `pending` why that does not hold yet, `error` why the
    route cannot be read. Without a router all are empty."""

    seen: int = 0
    pending: Blocker | None = None
    error: str = ""

    @property
    def settled(self) -> bool:
        return self.pending is None and not self.error


NONE = Traffic()


def look(situation: Situation) -> Traffic:
    """What the routes say."""
    rollout, world = situation.rollout, situation.world
    who, seen, pending = traffic.sides(rollout), 0, None
    for reference in traffic.references(rollout):
        route = world.virtual_services.get(reference.key)
        if route is None:
            return Traffic(error=f'virtualservices.networking.istio.io "{reference.key.name}" not found')
        try:
            seen = max(seen, traffic.weight(route, reference, who))
        except traffic.Unroutable as missing:
            return Traffic(error=str(missing))
        pending = pending or acceptance.route_blocker(route, rollout, situation.now)
    return Traffic(seen, pending)


def wanted(situation: Situation, now: Traffic) -> int:
    """The weight to ask for; the first row that applies."""
    return next(value for applies, value in _rows(situation, now) if applies)


def _rows(situation: Situation, now: Traffic) -> list[tuple[bool, int]]:
    rollout, sets = situation.rollout, situation.sets
    nothing_to_canary = sets.new is None or not sets.two_sided
    available = sets.new.available if sets.new is not None else 0
    retreating = state.is_aborted(rollout) or nothing_to_canary
    back = _stepping_back(situation, now) if retreating and spec.is_dynamic(rollout) else 0
    fully = _ratio(situation) if spec.is_dynamic(rollout) else now.seen
    return [
        (retreating, back),
        (available == 0, 0),
        (attachment.leads_elsewhere(situation), 0),
        (state.promotes_fully(rollout), fully),
        (counting.blocker(situation, now.seen) is not None, _before(situation, now)),
        (True, weights.set_weight(rollout)),
    ]


def _before(situation: Situation, now: Traffic) -> int:
    """Counts are not reached: the previous step's weight, but never a retreat of a canary that is merely growing.
    A step that lowers the weight does so first, for the pods follow the traffic."""
    previous, current = weights.previous_weight(situation.rollout), weights.set_weight(situation.rollout)
    if current <= now.seen:
        return current
    return previous if now.seen < previous < current else now.seen


def _stepping_back(situation: Situation, now: Traffic) -> int:
    """Down through the earlier weights, each only when the stable set can take the rest; never up again."""
    stable = situation.sets.stable or situation.sets.new
    replicas, maximum = spec.replicas(situation.rollout), spec.max_weight(situation.rollout)
    available = stable.sure if stable is not None else 0
    lower = {int(step["setWeight"]) for step in spec.steps(situation.rollout) if step.get("setWeight") is not None}
    for candidate in sorted({0, *lower}):
        if candidate < now.seen and available >= weights.of_weight(replicas, maximum - candidate, maximum):
            return candidate
    return now.seen


def _ratio(situation: Situation) -> int:
    """With dynamic stable scale, a full promotion moves traffic as the new pods become available."""
    new, replicas = situation.sets.new, spec.replicas(situation.rollout)
    available = new.sure if new is not None else 0
    return min(available * spec.max_weight(situation.rollout) // max(replicas, 1), spec.max_weight(situation.rollout))


def steer(draft: Draft) -> Traffic:
    """Bring the route toward the wanted weight, if the chain of checks allows, and tell the status. Returns the
    traffic as it was seen."""
    situation = draft.situation
    if spec.routing(situation.rollout) is None:
        return NONE
    now = look(situation)
    if now.error:
        draft.block(reasons.ROUTING_ERROR, now.error)
        draft.event(reasons.ROUTING_ERROR, now.error, "Warning")
        return now
    target = wanted(situation, now)
    if target == now.seen and _uniform(situation, target):
        if now.pending is not None:
            _wait(draft, now.pending)
        _tell(draft, target)
        return now
    for check in CHECKS:
        blocker = check(draft, now, target)
        if blocker is not None:
            _wait(draft, blocker)
            _tell(draft, now.seen)
            return now
    _write(draft, now, target)
    _tell(draft, target)
    return now


Check = Callable[[Draft, Traffic, int], Blocker | None]


def _one_change_at_a_time(draft: Draft, now: Traffic, target: int) -> Blocker | None:
    if draft.routed:
        return Blocker("DoorJustMoved", "a Service or subset was switched just now; the weight follows")
    return None


def _last_change_holds(draft: Draft, now: Traffic, target: int) -> Blocker | None:
    """A retreat never waits for an advance to be accepted."""
    return now.pending if target > now.seen else None


def _growing_side_attached(draft: Draft, now: Traffic, target: int) -> Blocker | None:
    situation = draft.situation
    side = "canary" if target > now.seen else "stable"
    item = situation.sets.new if side == "canary" else situation.sets.stable
    if target == now.seen or item is None or spec.replicas(situation.rollout) == 0:
        return None
    need = counting.needed(situation) if side == "canary" else 1
    return attachment.attached(situation, side, item, max(1, need))


def _stable_can_take_the_rest(draft: Draft, now: Traffic, target: int) -> Blocker | None:
    """A stable set that scales with its traffic must be there before the traffic is."""
    situation = draft.situation
    stable, rollout = situation.sets.stable, situation.rollout
    if stable is None or target >= now.seen or not spec.is_dynamic(rollout) or not situation.sets.two_sided:
        return None
    maximum = spec.max_weight(rollout)
    need = weights.of_weight(spec.replicas(rollout), maximum - target, maximum)
    if stable.sure >= need or _canary_is_dead(situation):
        return None
    text = f"ReplicaSet {stable.name} has {stable.sure} of the {need} available pods for its share of traffic"
    return Blocker("StableNotReady", text)


def _canary_is_dead(situation: Situation) -> bool:
    """Nobody is behind the canary's door any more, which may still lead to an earlier version than the new one."""
    behind = situation.sets.by_hash(attachment.door_hash(situation, "canary") or "") or situation.sets.new
    return behind is not None and behind.available == 0


CHECKS: tuple[Check, ...] = (
    _one_change_at_a_time,
    _last_change_holds,
    _growing_side_attached,
    _stable_can_take_the_rest,
)


def _uniform(situation: Situation, target: int) -> bool:
    who = traffic.sides(situation.rollout)
    return all(
        traffic.is_uniform(situation.world.virtual_services[reference.key], reference, who, target)
        for reference in traffic.references(situation.rollout)
    )


def _write(draft: Draft, now: Traffic, target: int) -> None:
    situation = draft.situation
    who = traffic.sides(situation.rollout)
    stamp = {keys.ROUTE_CHANGED_AT: clock.format_time(situation.now)}
    for reference in traffic.references(situation.rollout):
        route = situation.world.virtual_services[reference.key]
        body = traffic.with_weight(route, reference, who, target)
        old = route.get("spec") or {}
        changed = {field: body[field] for field in traffic.PROTOCOLS if body.get(field) != old.get(field)}
        if not changed:
            continue
        patch = {"metadata": {"annotations": stamp}, "spec": changed}
        version = meta.resource_version(route)
        draft.act(Patch(istio_networking_v1.VIRTUAL_SERVICE, reference.key, patch, resource_version=version))
        text = f"VirtualService `{reference.key.name}` set to desiredWeight '{target}'"
        draft.event(reasons.UPDATED_VIRTUAL_SERVICE, text)
        draft.routed = True
    if target != now.seen:
        draft.event(reasons.WEIGHT_UPDATED, f"Traffic weight updated from {now.seen} to {target}")


def _tell(draft: Draft, weight: int) -> None:
    situation, body = draft.situation, spec.canary(draft.situation.rollout) or {}
    new, stable = situation.sets.new, situation.sets.stable
    shown = {
        "canary": _destination(weight, body.get("canaryService"), new.hash if new else ""),
        "stable": _destination(
            spec.max_weight(situation.rollout) - weight, body.get("stableService"), stable.hash if stable else ""
        ),
    }
    draft.put("canary", weights=shown)


def _destination(weight: int, service: str | None, hash_: str) -> Object:
    found: Object = {"weight": weight}
    if service:
        found["serviceName"] = service
    if hash_:
        found["podTemplateHash"] = hash_
    return found


def _wait(draft: Draft, blocker: Blocker) -> None:
    draft.block(blocker.reason, blocker.message, blocker.until)
