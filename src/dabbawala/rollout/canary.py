"""Canary: the new set beside the stable one, growing by steps, with pods alone or with routed traffic.

The pass, in order: the doors, the route, analyses, sizes, the step, promotion. Source: Argo Rollouts,
rollout/canary.go.
"""

from __future__ import annotations

from dabbawala.rollout import (
    analysis_runs,
    attachment,
    counting,
    metadata,
    pauses,
    promotion,
    restart,
    revision,
    routing,
    spec,
    state,
    steps,
)
from dabbawala.rollout.canary_scaling import scale
from dabbawala.rollout.draft import Draft
from dabbawala.rollout.routing import Traffic
from dabbawala.rollout.sets import Set


def run(draft: Draft) -> None:
    restart.run(draft)
    metadata.run(draft)
    revision.clean_up(draft)
    frozen = pauses.is_inconclusive(draft) or spec.is_paused(draft.situation.rollout)
    before = routing.look(draft.situation) if spec.routing(draft.situation.rollout) is not None else routing.NONE
    if not frozen or state.is_aborted(draft.situation.rollout):
        doors(draft, before)
    traffic = routing.steer(draft) if not frozen or state.is_aborted(draft.situation.rollout) else before
    analysis_runs.canary(draft)
    if not spec.is_paused(draft.situation.rollout):
        scale(draft, traffic)
        steps.advance(draft, traffic)
        why = promotion.canary_reason(draft, traffic)
        if why:
            promotion.promote(draft, why)


def doors(draft: Draft, traffic: Traffic) -> None:
    """Point Services and subsets: the stable ones at the stable set, the canary's where the canary is, or at the
    stable set while there is none."""
    situation = draft.situation
    sets, count = situation.sets, spec.replicas(situation.rollout)
    stable = sets.stable or sets.new
    if stable is None:
        return
    attachment.point(draft, "stable", stable, full=count)
    attachment.point_subset(draft, "stable", stable, full=count)
    target = _canary_target(draft, traffic, stable)
    if target is None:
        return
    if not _may_leave(draft, traffic, target):
        draft.block("CanaryStillRouted", "the canary's Service moves when the route sends it nothing")
        return
    attachment.point(draft, "canary", target, full=1)
    attachment.point_subset(draft, "canary", target, full=1)


def _canary_target(draft: Draft, traffic: Traffic, stable: Set) -> Set | None:
    """The stable set while the step wants no canary pods. None leaves the door where it is."""
    situation = draft.situation
    rollout, new = situation.rollout, situation.sets.new
    if new is None or not situation.sets.two_sided or state.is_aborted(rollout):
        return stable
    if new.sure > 0 and counting.desired(situation, traffic.seen).canary > 0:
        return new
    current = attachment.door_hash(situation, "canary")
    wanted = counting.desired(situation, traffic.seen).canary > 0
    return None if current in (stable.hash, "", None) or (wanted and current == new.hash) else stable


def _may_leave(draft: Draft, traffic: Traffic, target: Set) -> bool:
    """Nothing flows through the door as far as the data plane knows, or it leads there already, or nobody manages
    it yet, or where it leads now has no pods left to serve."""
    situation = draft.situation
    if spec.routing(situation.rollout) is None:
        return True
    current = attachment.door_hash(situation, "canary")
    if not current or current == target.hash:
        return True
    leads_to = situation.sets.by_hash(current)
    if leads_to is None or leads_to.available == 0:
        return True
    return traffic.seen == 0 and traffic.settled
