"""Blue-green: a full second set beside the active one, judged, then switched to by one change of a selector.

The pass, in order: the preview's door, sizes, the pause, the active door, analyses, promotion. Each part is a chain
of checks that says why it goes no further. Source: Argo Rollouts, rollout/bluegreen.go.
"""

from __future__ import annotations

from collections.abc import Callable

from dabbawala.rollout import (
    acceptance,
    analysis_runs,
    attachment,
    keys,
    metadata,
    pauses,
    promotion,
    reasons,
    restart,
    revision,
    spec,
    state,
)
from dabbawala.rollout.draft import Blocker, Draft
from dabbawala.rollout.observed import selector_hash, service_named
from dabbawala.rollout.routing import NONE
from dabbawala.rollout.scale_down import aborted_target, retire
from dabbawala.rollout.sets import Set


def run(draft: Draft) -> None:
    restart.run(draft)
    revision.clean_up(draft)
    _preview_door(draft)
    scale(draft)
    if not spec.is_paused(draft.situation.rollout):
        _pause(draft)
    if not spec.is_paused(draft.situation.rollout) or state.is_aborted(draft.situation.rollout):
        _active_door(draft)  # an abort takes the users back, whoever has paused
    _remember_doors(draft)
    analysis_runs.blue_green(draft)
    _checkpoint(draft)
    metadata.run(draft)
    why = promotion.blue_green_reason(draft)
    if why and not spec.is_paused(draft.situation.rollout):
        promotion.promote(draft, why)


def is_saturated(draft: Draft, item: Set | None) -> bool:
    """Asked for, annotated and available: all at the Rollout's size."""
    count = spec.replicas(draft.situation.rollout)
    return item is not None and item.spec == count and item.desired == count and item.sure == count


def _preview_door(draft: Draft) -> None:
    new = draft.situation.sets.new
    if new is None or pauses.is_inconclusive(draft) or state.is_aborted(draft.situation.rollout):
        return
    attachment.point(draft, "preview", new, full=state.preview_size(draft.situation.rollout))


# Sizes.


def scale(draft: Draft) -> None:
    situation = draft.situation
    rollout, sets, count = situation.rollout, situation.sets, spec.replicas(situation.rollout)
    if pauses.is_inconclusive(draft):
        draft.block(reasons.INCONCLUSIVE, "an analysis was inconclusive: nothing is scaled until someone decides")
        return
    _drop_stale_deadlines(draft)
    if sets.two_sided and sets.stable is not None and sets.stable.spec != count:
        draft.scale(sets.stable, count)
    elif sets.new is not None:
        target = count if not sets.two_sided else _new_size(draft, sets.new)
        if target != sets.new.spec:
            draft.scale(sets.new, target)
    if not draft.scaled and not state.is_aborted(rollout):
        retire(draft, NONE)


def _drop_stale_deadlines(draft: Draft) -> None:
    """The stable set goes nowhere. The new one keeps its deadline until it is stable: it tells that it ran lately."""
    stable = draft.situation.sets.stable
    if stable is not None and stable.deadline is not None:
        draft.annotate(stable, **{keys.SCALE_DOWN_DEADLINE: None})


def _new_size(draft: Draft, new: Set) -> int:
    if state.is_aborted(draft.situation.rollout):
        if selector_hash(service_named(draft.situation, "active") or {}) == new.hash:
            return new.spec
        return aborted_target(draft, new, NONE, role="preview")
    size = state.preview_size(draft.situation.rollout)
    return new.spec if new.spec > size and promotion.is_fast_rollback(draft.situation) else size


# The pause before the switch.


def _pause(draft: Draft) -> None:
    situation = draft.situation
    rollout, new = situation.rollout, situation.sets.new
    active = state.active_hash(rollout)
    if new is None or not active or active == new.hash or state.is_aborted(rollout):
        pauses.remove(draft, reasons.BLUE_GREEN_PAUSE)
        return
    if _needs_no_judgement(draft):
        pauses.remove(draft, reasons.BLUE_GREEN_PAUSE)
        return
    enabled, seconds = spec.auto_promotion(rollout)
    if (enabled and not seconds) or state.checkpoint_passed(rollout) or not _ready_to_pause(draft, new):
        return
    if state.pause_started(rollout, reasons.BLUE_GREEN_PAUSE) is None:
        _begin_or_end(draft)
    elif enabled and pauses.elapsed(draft, reasons.BLUE_GREEN_PAUSE, seconds):
        pauses.remove(draft, reasons.BLUE_GREEN_PAUSE)
        draft.put("blueGreen", scaleUpPreviewCheckPoint=True)
        draft.look_again()
    elif not enabled:
        draft.block(reasons.BLUE_GREEN_PAUSE, "paused until someone promotes: dabba rollout promote")


def _needs_no_judgement(draft: Draft) -> bool:
    """A person has said so, or the target is a set that was judged before and still runs."""
    rollout = draft.situation.rollout
    fast = promotion.is_fast_rollback(draft.situation)
    return fast or state.promotes_fully(rollout) or state.is_fully_promoted(rollout)


def _begin_or_end(draft: Draft) -> None:
    if pauses.resumed_by_user(draft):
        pauses.remove(draft, reasons.BLUE_GREEN_PAUSE)
        draft.put("blueGreen", scaleUpPreviewCheckPoint=True)
    else:
        pauses.add(draft, reasons.BLUE_GREEN_PAUSE)
    draft.look_again()


def _ready_to_pause(draft: Draft, new: Set) -> bool:
    size = state.preview_size(draft.situation.rollout)
    return not draft.scaled and new.spec == size and new.sure >= size and _pre_analysis_passed(draft) is None


def _pre_analysis_passed(draft: Draft) -> Blocker | None:
    rollout = draft.situation.rollout
    if not (spec.blue_green(rollout) or {}).get("prePromotionAnalysis") or not state.stable_hash(rollout):
        return None
    found = (draft.status.get("blueGreen") or {}).get("prePromotionAnalysisRunStatus") or {}
    if found.get("status") == "Successful":
        return None
    text = f"pre-promotion AnalysisRun {found.get('name', '')} is {found.get('status') or 'about to start'}"
    return Blocker("AnalysisRunning", text)


def _checkpoint(draft: Draft) -> None:
    """One way until the next template: pause and pre-promotion analysis are done, the preview may grow."""
    situation = draft.situation
    rollout, new = situation.rollout, situation.sets.new
    if new is None or state.checkpoint_passed(rollout) or not situation.sets.two_sided:
        return
    if spec.preview_replicas(rollout) is None or draft.scaled or state.is_aborted(rollout):
        return
    enabled, seconds = spec.auto_promotion(rollout)
    waits = not enabled or seconds > 0
    if not waits and new.sure >= state.preview_size(draft.situation.rollout) and _pre_analysis_passed(draft) is None:
        draft.put("blueGreen", scaleUpPreviewCheckPoint=True)
        draft.look_again()


# The switch.

Check = Callable[[Draft, Set], Blocker | None]


def _scaling_done(draft: Draft, new: Set) -> Blocker | None:
    if draft.scaled:
        return Blocker("Scaling", "a ReplicaSet was resized just now")
    if is_saturated(draft, new):
        return None
    count = spec.replicas(draft.situation.rollout)
    return Blocker("NotSaturated", f"ReplicaSet {new.name} has {new.available} of {count} available pods")


def _not_held(draft: Draft, new: Set) -> Blocker | None:
    if not pauses.is_held(draft) or not state.active_hash(draft.situation.rollout):
        return None
    return Blocker("Paused", "the switch waits for the pause to end")


def _preview_judged(draft: Draft, new: Set) -> Blocker | None:
    return None if _needs_no_judgement(draft) else _pre_analysis_passed(draft)


def _pause_served(draft: Draft, new: Set) -> Blocker | None:
    """The pause asked for has been begun and ended."""
    rollout = draft.situation.rollout
    enabled, seconds = spec.auto_promotion(rollout)
    if (enabled and not seconds) or not state.active_hash(rollout) or _needs_no_judgement(draft):
        return None
    if (draft.status.get("blueGreen") or {}).get("scaleUpPreviewCheckPoint"):
        return None
    return Blocker(reasons.BLUE_GREEN_PAUSE, "the pause before the switch is still to come")


def _preview_settled(draft: Draft, new: Set) -> Blocker | None:
    """The preview's door was moved earlier and holds: the new pods have been reachable through a Service."""
    service = service_named(draft.situation, "preview")
    if service is None or spec.replicas(draft.situation.rollout) == 0:
        return None
    if draft.routed:
        return Blocker("DoorJustMoved", "the preview Service was switched just now")
    return acceptance.service_blocker(draft.situation.world, service, new, max(1, new.sure))


SWITCH: tuple[Check, ...] = (_scaling_done, _not_held, _preview_judged, _pause_served, _preview_settled)


def _active_door(draft: Draft) -> None:
    """To the new set when every check passes; back to the stable one after an abort."""
    situation = draft.situation
    rollout, sets = situation.rollout, situation.sets
    if state.is_aborted(rollout):
        if sets.stable is not None:
            attachment.point(draft, "active", sets.stable, full=1)
        return
    if pauses.is_inconclusive(draft) or sets.new is None:
        return
    service = service_named(situation, "active")
    if service is None or selector_hash(service) == sets.new.hash:
        return
    for check in SWITCH:
        blocker = check(draft, sets.new)
        if blocker is not None:
            draft.block(blocker.reason, blocker.message, blocker.until)
            return
    attachment.point(draft, "active", sets.new, full=spec.replicas(rollout))


def _remember_doors(draft: Draft) -> None:
    """The status tells where the doors lead, as observed."""
    for role, field in (("active", "activeSelector"), ("preview", "previewSelector")):
        service = service_named(draft.situation, role)
        draft.put("blueGreen", **{field: (selector_hash(service) or None) if service is not None else None})
