"""Sizes of a canary's sets in this pass. The first change ends the scaling of the pass: what it frees is seen next.

Behind a router nothing shrinks below the traffic it may still be sent, as the data plane has it. Without one, pods
move within maxSurge and maxUnavailable, and a set that a Service selects keeps a pod.
"""

from __future__ import annotations

from dabbawala.rollout import attachment, counting, keys, reasons, replicas, spec, state, weights
from dabbawala.rollout.draft import Draft
from dabbawala.rollout.observed import Situation
from dabbawala.rollout.replicas import Limits, Side
from dabbawala.rollout.routing import Traffic
from dabbawala.rollout.scale_down import aborted_target, retire
from dabbawala.rollout.sets import NO_SIDE, Set


def scale(draft: Draft, traffic: Traffic) -> None:
    if state.pause_started(draft.situation.rollout, reasons.INCONCLUSIVE) is not None:
        draft.block(reasons.INCONCLUSIVE, "an analysis was inconclusive: nothing is scaled until someone decides")
        return
    drop_stale_deadlines(draft)
    if spec.routing(draft.situation.rollout) is not None:
        _routed(draft, traffic)
    else:
        _basic(draft)


def drop_stale_deadlines(draft: Draft) -> None:
    """A set that is stable, or new and not aborted, is going nowhere."""
    rollout, sets = draft.situation.rollout, draft.situation.sets
    kept = {item.name: item for item in (sets.stable, None if state.is_aborted(rollout) else sets.new) if item}
    for item in kept.values():
        if item.deadline is not None:
            draft.annotate(item, **{keys.SCALE_DOWN_DEADLINE: None})
            draft.scaled = True


# Behind a router.


def _routed(draft: Draft, traffic: Traffic) -> None:
    situation = draft.situation
    sets, counts = situation.sets, counting.desired(situation, traffic.seen)
    if not sets.two_sided:
        if sets.new is not None:
            _resize(draft, sets.new, spec.replicas(situation.rollout))
    else:
        assert sets.stable is not None, "two sides mean a stable one"
        _resize(draft, sets.stable, _held(draft, traffic, sets.stable, counts.stable, of_canary=False))
        if not draft.scaled and sets.new is not None:
            _resize(draft, sets.new, _canary_target(draft, traffic, sets.new, counts.canary))
    if not draft.scaled:
        retire(draft, traffic)


def _canary_target(draft: Draft, traffic: Traffic, new: Set, count: int) -> int:
    if state.is_aborted(draft.situation.rollout) and not (spec.is_dynamic(draft.situation.rollout) and traffic.seen):
        return aborted_target(draft, new, traffic, role="canary")
    held = _held(draft, traffic, new, count, of_canary=True)
    if held == 0 and new.spec > 0:
        blocker = attachment.referenced(draft.situation, new)
        if blocker is not None:
            draft.block(blocker.reason, blocker.message, blocker.until)
            return 1
    return held


def _held(draft: Draft, traffic: Traffic, item: Set, target: int, *, of_canary: bool) -> int:
    """No shrinking while a route change is on its way, nor below the share that the route still gives the set."""
    rollout = draft.situation.rollout
    if target >= item.spec:
        return target
    if draft.routed or not traffic.settled:
        draft.block("RouteNotSettled", f"ReplicaSet {item.name} keeps {item.spec} pods until the route holds")
        return item.spec
    if of_canary and weights.canary_scale(rollout) is not None:
        return target  # the user asked for this size in so many words
    weight = attachment.share(draft.situation, item, traffic.seen)
    share = weights.of_weight(spec.replicas(rollout), weight, spec.max_weight(rollout))
    return min(item.spec, max(target, share))


# By pod counts alone.


def _basic(draft: Draft) -> None:
    situation = draft.situation
    limits, sets = limits_of(situation), situation.sets
    unseen = next((item.name for item in sets.all if not item.is_observed), "")
    if unseen:
        draft.block("NotObserved", f"ReplicaSet {unseen} has not been acted upon at its present size")
        return
    new = sets.new.side if sets.new is not None else NO_SIDE
    stable = sets.stable.side if sets.stable is not None and sets.two_sided else NO_SIDE
    counts = counting.desired(situation, 0)
    moved = replicas.move(counts, new, stable, [item.side for item in sets.others], limits)
    if sets.two_sided and sets.stable is not None:
        _resize(draft, sets.stable, _keep_one(draft, sets.stable, moved.stable, limits))
    if not draft.scaled and sets.new is not None:
        _resize(draft, sets.new, _keep_one(draft, sets.new, moved.canary, limits))
    if not draft.scaled:
        _shrink_others(draft, limits)


def limits_of(situation: Situation) -> Limits:
    surge, unavailable = spec.surge_and_unavailable(situation.rollout)
    return Limits(spec.replicas(situation.rollout), surge, unavailable)


def _shrink_others(draft: Draft, limits: Limits) -> None:
    """A pod that is kept for its Service takes no part: what may go would else be spent on one that does not."""
    sets = draft.situation.sets
    available = sum(item.available for item in sets.all)
    kept = [0 if item.spec == 0 or _keeper(draft, item, limits) is None else 1 for item in sets.others]
    sides = [
        Side(item.spec - count, max(0, item.available - count)) for item, count in zip(sets.others, kept, strict=True)
    ]
    targets = replicas.shrink_others(sides, available, limits)
    for item, count, target in zip(sets.others, kept, targets, strict=True):
        if item.spec > 0:
            _resize(draft, item, _keep_one(draft, item, target, limits) if target == 0 else target + count)


def _keep_one(draft: Draft, item: Set, target: int, limits: Limits) -> int:
    """A set that a Service selects keeps a pod; except where no surge leaves no room for it."""
    if target > 0 or item.spec == 0:
        return target
    keeper = _keeper(draft, item, limits)
    if keeper is None:
        return target
    draft.block("StillReferenced", keeper)
    return 1


def _keeper(draft: Draft, item: Set, limits: Limits) -> str | None:
    """Why the set keeps a pod."""
    if limits.surge == 0 or limits.replicas == 0:
        return None
    blocker = attachment.referenced(draft.situation, item)
    if blocker is not None:
        return blocker.message
    return "a Service was switched just now" if draft.routed else None


def _resize(draft: Draft, item: Set, count: int) -> None:
    if count != item.spec:
        draft.scale(item, count)
