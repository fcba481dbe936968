"""How sets that lost their traffic go away: not before the data plane has let go of them, and not before their delay.

Source: Argo Rollouts, rollout/replicaset.go.
"""

from __future__ import annotations

from dabbawala.rollout import attachment, spec, state
from dabbawala.rollout.draft import Draft
from dabbawala.rollout.routing import Traffic
from dabbawala.rollout.sets import Set


def retire(draft: Draft, traffic: Traffic) -> None:
    """Give each set that is neither new nor stable its deadline, newest first, and scale down those whose time has
    come. While an update is under way, a set that never became stable goes at once."""
    situation = draft.situation
    rollout, waiting = situation.rollout, 0
    limit = spec.scale_down_revision_limit(rollout)
    for item in reversed(situation.sets.others):
        if item.spec == 0:
            continue
        blocker = attachment.referenced(situation, item) or attachment.shared(situation, item)
        if blocker is not None or draft.routed or not traffic.settled:
            text = blocker.message if blocker is not None else "a route change is on its way"
            draft.block("StillReferenced", f"ReplicaSet {item.name} stays: {text}", blocker.until if blocker else None)
            continue
        superseded = spec.canary(rollout) is not None and item.deadline is None and not state.is_fully_promoted(rollout)
        if superseded or (limit is not None and waiting >= limit):
            draft.scale(item, 0)
        elif _wait_or_leave(draft, item):
            waiting += 1


def _wait_or_leave(draft: Draft, item: Set) -> bool:
    """True while the set is inside its delay."""
    delay = spec.scale_down_delay(draft.situation.rollout)
    if item.deadline is None and delay.total_seconds() > 0:
        draft.give_deadline(item, delay)
        return True
    if item.deadline is not None and item.deadline > draft.situation.now:
        draft.look_at(item.deadline)
        draft.block("ScaleDownDelay", f"ReplicaSet {item.name} stays until its deadline", item.deadline)
        return True
    draft.scale(item, 0)
    return False


def aborted_target(draft: Draft, new: Set, traffic: Traffic, *, role: str) -> int:
    """Pods of an aborted set: all of them until the stable set has taken over for `abortScaleDownDelaySeconds`."""
    situation = draft.situation
    rollout, stable = situation.rollout, situation.sets.stable
    delay = spec.abort_scale_down_delay(rollout)
    if new.spec == 0 or delay is None or stable is None:
        return new.spec
    if draft.routed or not traffic.settled or traffic.seen > 0:
        draft.block("RouteNotSettled", f"ReplicaSet {new.name} stays until the route has left it")
        return new.spec
    if stable.sure < spec.replicas(rollout):
        text = f"ReplicaSet {new.name} stays until ReplicaSet {stable.name} is fully available"
        draft.block("StableNotReady", text)
        return new.spec
    if new.deadline is None:
        draft.give_deadline(new, delay)
        return new.spec
    if new.deadline > situation.now:
        draft.look_at(new.deadline)
        draft.block("AbortScaleDownDelay", f"ReplicaSet {new.name} stays until its deadline", new.deadline)
        return new.spec
    return _release(draft, new, stable, role)


def _release(draft: Draft, new: Set, stable: Set, role: str) -> int:
    """Time is up: no Service may be left on a set without pods."""
    attachment.point(draft, role, stable, full=1)
    if role == "canary":
        attachment.point_subset(draft, role, stable, full=1)
    blocker = attachment.referenced(draft.situation, new)
    if draft.routed or blocker is not None:
        text = blocker.message if blocker is not None else "its Service was switched just now"
        draft.block("StillReferenced", f"ReplicaSet {new.name} stays: {text}")
        return new.spec
    return 0
