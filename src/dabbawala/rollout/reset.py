"""A new template, or other steps: forget what belonged to the old one, and begin at the right step.

Source: Argo Rollouts, rollout/sync.go (resetRolloutStatus).
"""

from __future__ import annotations

import orjson

from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import go_json, pauses, progress, promotion, reasons, spec, state
from dabbawala.rollout.draft import Draft


def step_hash(rollout: Object) -> str:
    """Identity of the list of steps; empty without steps."""
    steps = spec.steps(rollout)
    return go_json.short_hash(orjson.dumps(steps, option=orjson.OPT_SORT_KEYS).decode()) if steps else ""


def template_changed(draft: Draft) -> bool:
    new = draft.situation.sets.new
    return new is not None and state.current_hash(draft.situation.rollout) != new.hash


def steps_changed(draft: Draft) -> bool:
    known = str(state.of(draft.situation.rollout).get("currentStepHash") or "")
    return known != step_hash(draft.situation.rollout)


def apply(draft: Draft) -> bool:
    """Reset if there is reason to; True when this pass has done so and is over."""
    if template_changed(draft):
        _for_new_template(draft)
        return True
    if steps_changed(draft):
        _for_new_steps(draft)
        return True
    return False


def _for_new_template(draft: Draft) -> None:
    situation, status = draft.situation, draft.status
    new = situation.sets.new
    assert new is not None, "the caller has looked"
    pauses.clear(draft)
    for field in ("abort", "abortedAt", "promoteFull"):
        status.pop(field, None)
    status["currentPodHash"] = new.hash
    if spec.blue_green(situation.rollout) is not None:
        gone = dict.fromkeys(("prePromotionAnalysisRunStatus", "postPromotionAnalysisRunStatus"))
        draft.put("blueGreen", scaleUpPreviewCheckPoint=None, **gone)
        if promotion.is_fast_rollback(situation):
            # It may take over at once, so it is not cut down to the size of a preview first.
            draft.put("blueGreen", scaleUpPreviewCheckPoint=True)
    else:
        draft.put("canary", currentStepAnalysisRunStatus=None, currentBackgroundAnalysisRunStatus=None)
    _first_step(draft)
    progress.note_template(draft, new.name)
    draft.look_again()


def _first_step(draft: Draft) -> None:
    situation = draft.situation
    rollout, new = situation.rollout, situation.sets.new
    steps = spec.steps(rollout)
    if not steps:
        draft.status.pop("currentStepIndex", None)
        draft.status.pop("currentStepHash", None)
    else:
        draft.status |= {"currentStepHash": step_hash(rollout), "currentStepIndex": 0}
    if new is None:
        return
    if not state.stable_hash(rollout):
        _skip(draft, "")
    elif state.stable_hash(rollout) == new.hash:
        _skip(draft, "Rollback to stable ReplicaSets")
    elif promotion.is_within_window(situation, new):
        _skip(draft, f"Rollback within the window: {new.name}")


def _skip(draft: Draft, why: str) -> None:
    steps = spec.steps(draft.situation.rollout)
    if steps:
        draft.status["currentStepIndex"] = len(steps)
        if why:
            draft.event(reasons.SKIP_STEPS, why)


def _for_new_steps(draft: Draft) -> None:
    rollout, status = draft.situation.rollout, draft.status
    steps = spec.steps(rollout)
    pauses.clear(draft)
    if not steps:
        status.pop("currentStepIndex", None)
        status.pop("currentStepHash", None)
        draft.look_again()
        return
    settled = state.is_fully_promoted(rollout) or not state.stable_hash(rollout)
    status |= {"currentStepHash": step_hash(rollout), "currentStepIndex": len(steps) if settled else 0}
    draft.put("canary", currentStepAnalysisRunStatus=None)
    draft.look_again()
