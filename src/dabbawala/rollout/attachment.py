"""Which revision each door leads to: Services and subsets pointed at sets, and when they may be.

A door is pointed at a set only when the set can take what comes through it: an unmanaged door (one that selects every
revision) is taken over only by a set that is fully available, a managed one by a set with an available pod, and the
canary's door moves only while the route sends it nothing. DESIGN.md, rules 1, 2 and 8.
"""

from __future__ import annotations

from dabbawala.api import core_v1, istio_networking_v1
from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile.plan import Patch
from dabbawala.rollout import acceptance, keys, reasons, spec, traffic
from dabbawala.rollout.draft import Blocker, Draft
from dabbawala.rollout.observed import Situation, selector_hash, service_named
from dabbawala.rollout.sets import Set


def door_hash(situation: Situation, role: str) -> str | None:
    """The revision a door of the canary strategy leads to: subset first, then Service. None without such a door."""
    rule_key = traffic.destination_rule(situation.rollout)
    if rule_key is not None:
        rule = situation.world.destination_rules.get(rule_key)
        who = traffic.sides(situation.rollout)
        subset = who.canary_subset if role == "canary" else who.stable_subset
        return traffic.subset_hash(rule, subset) if rule is not None and subset else None
    service = service_named(situation, role)
    return None if service is None else selector_hash(service)


def leads_elsewhere(situation: Situation) -> bool:
    """The canary's door still leads to another revision: a route that was left from an earlier release (a new one may
    begin before the last has put it back) is emptied first, then the door moves, then weight comes."""
    new, current = situation.sets.new, door_hash(situation, "canary")
    return bool(current) and new is not None and current != new.hash


def share(situation: Situation, item: Set, seen: int) -> int:
    """The set's weight in the route as written, through whichever doors lead to it: after a promotion both may. A
    door that selects every revision leads to every set."""
    maximum, found = spec.max_weight(situation.rollout), 0
    for role, weight in (("canary", seen), ("stable", maximum - seen)):
        if door_hash(situation, role) in (item.hash, "", None):
            found += weight
    return found


def point(draft: Draft, role: str, target: Set, *, full: int) -> None:
    """Point the Service in `role` at the set, if it is not there and may be. `full` is what the set must have
    available to take over a Service that selected every revision so far."""
    service = service_named(draft.situation, role)
    if service is None or selector_hash(service) == target.hash:
        return
    current, name = selector_hash(service), meta.name(service)
    need = max(full, 1) if not current else 1
    if target.sure < need and spec.replicas(draft.situation.rollout) > 0:
        text = f"Service {name} waits for {need} available pods of ReplicaSet {target.name}; it has {target.sure}"
        draft.block("TargetNotAvailable", text)
        return
    body = {
        "metadata": {"annotations": {keys.MANAGED_BY: meta.name(draft.situation.rollout)}},
        "spec": {"selector": {keys.HASH: target.hash}},
    }
    draft.act(Patch(core_v1.SERVICE, meta.key(service), body, resource_version=meta.resource_version(service)))
    text = f"Switched selector for service '{name}' from '{current}' to '{target.hash}'"
    draft.event(reasons.SWITCH_SERVICE, text)
    draft.routed = True


def point_subset(draft: Draft, role: str, target: Set, *, full: int) -> None:
    """The same for a subset of the DestinationRule. Its endpoints are the Service's: they must be there before it
    leads to them, for the rule and the endpoints reach the data plane each in its own time."""
    situation = draft.situation
    key = traffic.destination_rule(situation.rollout)
    rule = situation.world.destination_rules.get(key) if key is not None else None
    who = traffic.sides(situation.rollout)
    subset = who.canary_subset if role == "canary" else who.stable_subset
    if rule is None or not subset or traffic.subset_hash(rule, subset) == target.hash:
        return
    written = [act for act in draft.actions if isinstance(act, Patch)]
    if any(act.kind is istio_networking_v1.DESTINATION_RULE for act in written):
        draft.block("DoorJustMoved", f"subset {subset} follows when the other one's change has been seen")
        return
    blocker = _too_few(situation, rule, subset, target, full=full)
    if blocker is not None:
        draft.block(blocker.reason, blocker.message)
        return
    body = {
        "metadata": {
            "annotations": {
                keys.MANAGED_BY: meta.name(situation.rollout),
                keys.ROUTE_CHANGED_AT: clock.format_time(situation.now),
            }
        },
        "spec": {"subsets": traffic.with_subset(rule, subset, target.hash)["subsets"]},
    }
    version = meta.resource_version(rule)
    draft.act(Patch(istio_networking_v1.DESTINATION_RULE, meta.key(rule), body, resource_version=version))
    text = f"DestinationRule `{meta.name(rule)}` subset `{subset}` set to `{target.hash}`"
    draft.event(reasons.UPDATED_DESTINATION_RULE, text)
    draft.routed = True


def _too_few(situation: Situation, rule: Object, subset: str, target: Set, *, full: int) -> Blocker | None:
    """Why the subset may not lead to the set yet: pods, or endpoints of the Service that it divides, are missing."""
    if spec.replicas(situation.rollout) == 0:
        return None
    need = max(full, 1) if not traffic.subset_hash(rule, subset) else 1
    if target.sure < need:
        text = f"subset {subset} waits for {need} available pods of ReplicaSet {target.name}; it has {target.sure}"
        return Blocker("TargetNotAvailable", text)
    divided = situation.world.services.get(traffic.split_service(rule))
    return acceptance.endpoints_blocker(situation.world, divided, target, need) if divided is not None else None


def attached(situation: Situation, role: str, target: Set, need: int) -> Blocker | None:
    """Why traffic sent to the side in `role` would not reach `need` ready pods of the set; None when it would. The
    stable side is where traffic came from: what leads there is not held up by a node that lags behind."""
    key, retreat = traffic.destination_rule(situation.rollout), role == "stable"
    if key is not None:
        blocker = _subset_blocker(situation, role, target, retreat=retreat)
        if blocker is not None:
            return blocker
    service = service_named(situation, role)
    if service is None:
        return _unserved(situation, target, need, retreat=retreat)
    return acceptance.service_blocker(situation.world, service, target, need, retreat=retreat)


def _unserved(situation: Situation, target: Set, need: int, *, retreat: bool) -> Blocker | None:
    """The same where a subset is the door, and the Service that it divides may be known."""
    if target.ready < need:
        return Blocker("PodsNotReady", f"ReplicaSet {target.name} has {target.ready} of {need} ready pods")
    key = traffic.destination_rule(situation.rollout)
    rule = situation.world.destination_rules.get(key) if key is not None else None
    divided = situation.world.services.get(traffic.split_service(rule)) if rule is not None else None
    if divided is None:
        return None
    pending = acceptance.unprogrammed(divided, retreat=retreat)
    return pending or acceptance.endpoints_blocker(situation.world, divided, target, need)


def _subset_blocker(situation: Situation, role: str, target: Set, *, retreat: bool) -> Blocker | None:
    key = traffic.destination_rule(situation.rollout)
    rule = situation.world.destination_rules.get(key) if key is not None else None
    if rule is None:
        return Blocker(reasons.DESTINATION_RULE_NOT_FOUND, f"DestinationRule {key} is not there")
    who = traffic.sides(situation.rollout)
    subset = who.canary_subset if role == "canary" else who.stable_subset
    if subset and traffic.subset_hash(rule, subset) != target.hash:
        return Blocker("SubsetNotSwitched", f"subset {subset} does not select ReplicaSet {target.name} yet")
    return acceptance.route_blocker(rule, situation.rollout, situation.now, retreat=retreat)


def referenced(situation: Situation, item: Set) -> Blocker | None:
    """Why the set may still be sent traffic: a Service or subset selects it, or one that has let go of it has not
    reached the data plane yet."""
    for service in situation.world.services.values():
        if selector_hash(service) == item.hash:
            return Blocker("StillReferenced", f"Service {meta.name(service)} still selects ReplicaSet {item.name}")
        pending = acceptance.unprogrammed(service)
        if pending is not None:
            return pending
    key = traffic.destination_rule(situation.rollout)
    rule = situation.world.destination_rules.get(key) if key is not None else None
    if rule is None:
        return None
    for piece in (rule.get("spec") or {}).get("subsets") or ():
        if (piece.get("labels") or {}).get(keys.HASH) == item.hash:
            return Blocker("StillReferenced", f"subset {piece.get('name')} still selects ReplicaSet {item.name}")
    return acceptance.route_blocker(rule, situation.rollout, situation.now)


def shared(situation: Situation, item: Set) -> Blocker | None:
    """Why the set's pods may be all that stands behind a Service that selects every revision."""
    count = spec.replicas(situation.rollout)
    if any(other.sure >= count for other in situation.sets.all if other.name != item.name):
        return None
    for service in situation.world.services.values():
        if not selector_hash(service):
            text = f"Service {meta.name(service)} selects every revision, and no other set is fully available"
            return Blocker("StillReferenced", text)
    return None
