"""When the new set becomes the stable one, and when going back needs no steps.

Each question is an ordered chain; its first answer is the reason. Source: Argo Rollouts,
rollout/sync.go (shouldFullPromote).
"""

from __future__ import annotations

from dabbawala.apimachinery import clock
from dabbawala.rollout import pauses, reasons, spec, state
from dabbawala.rollout.draft import Draft
from dabbawala.rollout.observed import Situation
from dabbawala.rollout.routing import Traffic
from dabbawala.rollout.sets import Set


def canary_reason(draft: Draft, traffic: Traffic) -> str:
    """Why the new set is to be promoted now; empty when it is not."""
    situation = draft.situation
    rollout, new = situation.rollout, situation.sets.new
    steps = spec.steps(rollout)
    if new is None or state.stable_hash(rollout) == new.hash:
        return ""
    if not state.stable_hash(rollout) or situation.sets.stable is None:
        return "Initial deploy" if new.sure >= spec.replicas(rollout) else ""
    if draft.status.get("abort") or new.sure < spec.replicas(rollout):
        return ""
    if state.promotes_fully(rollout):
        return "Full promotion requested"
    if (state.step_index(rollout) or 0) < len(steps) or not _traffic_arrived(draft, traffic):
        return ""
    if is_within_window(situation, new):
        return "Rollback within the window"
    return f"Completed all {len(steps)} canary steps" if steps else "Completed all canary steps"


def _traffic_arrived(draft: Draft, traffic: Traffic) -> bool:
    """Behind a router, all of the traffic is on the new set, and the data plane has it so."""
    if spec.routing(draft.situation.rollout) is None:
        return not draft.routed
    if draft.routed or not traffic.settled or traffic.seen < spec.max_weight(draft.situation.rollout):
        draft.block("WeightNotWritten", "promotion waits until the route gives the new ReplicaSet everything")
        return False
    return True


def blue_green_reason(draft: Draft) -> str:
    situation = draft.situation
    rollout, new = situation.rollout, situation.sets.new
    active = str((draft.status.get("blueGreen") or {}).get("activeSelector") or "")
    if new is None or state.stable_hash(rollout) == new.hash:
        return ""
    if active != new.hash:
        return ""
    if not state.stable_hash(rollout):
        return "Initial deploy"
    if draft.status.get("abort"):
        return ""
    if state.promotes_fully(rollout):
        return "Full promotion requested"
    if is_fast_rollback(situation):
        return "Rollback to a ReplicaSet within its scale-down delay or window"
    if not _post_analysis_passed(draft):
        return ""
    return "Completed blue-green update"


def _post_analysis_passed(draft: Draft) -> bool:
    if not (spec.blue_green(draft.situation.rollout) or {}).get("postPromotionAnalysis"):
        return True
    found = (draft.status.get("blueGreen") or {}).get("postPromotionAnalysisRunStatus") or {}
    if found.get("status") == "Successful":
        return True
    text = f"post-promotion AnalysisRun {found.get('name', '')} is {found.get('status') or 'about to start'}"
    draft.block("AnalysisRunning", text)
    return False


def promote(draft: Draft, why: str) -> None:
    """Make the new set the stable one. Doors, weights and the old set follow in later passes."""
    new = draft.situation.sets.new
    assert new is not None, "only an existing set is promoted"
    draft.status["stableRS"] = new.hash
    if spec.steps(draft.situation.rollout):
        draft.status["currentStepIndex"] = len(spec.steps(draft.situation.rollout))
    pauses.clear(draft)
    for field in ("abort", "abortedAt", "promoteFull"):
        draft.status.pop(field, None)
    text = f"Rollout completed update to revision {new.revision} ({new.hash}): {why}"
    draft.event(reasons.COMPLETED, text)
    draft.look_again()


def is_within_window(situation: Situation, target: Set) -> bool:
    """`rollbackWindow`: the target is older than the stable set, with fewer than `revisions` sets in between."""
    window = ((situation.rollout.get("spec") or {}).get("rollbackWindow") or {}).get("revisions")
    stable = situation.sets.stable
    if not window or stable is None or not _before(target, stable):
        return False
    between = [item for item in situation.sets.all if _before(target, item) and _before(item, stable)]
    return len(between) < int(window)


def _before(left: Set, right: Set) -> bool:
    return (
        bool(left.created)
        and bool(right.created)
        and left.name != right.name
        and (clock.parse_time(left.created) < clock.parse_time(right.created))
    )


def is_fast_rollback(situation: Situation) -> bool:
    """The target was stable before, and still runs, for it lost its traffic only lately; or it is inside the
    rollback window. A set that was aborted never was stable: it is younger than the stable one."""
    new, stable = situation.sets.new, situation.sets.stable
    if new is None or stable is None or not situation.sets.two_sided or state.is_aborted(situation.rollout):
        return False
    return is_within_window(situation, new) or (new.deadline is not None and _before(new, stable))
