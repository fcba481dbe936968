"""The lifecycle of a canary step, as a table: each kind of step is done when its checks pass, in order.

Source: Argo Rollouts, rollout/canary.go. A step that is not in the table is refused by validation and raises here.
"""

from __future__ import annotations

from collections.abc import Callable

from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import attachment, counting, pauses, reasons, spec, state, weights
from dabbawala.rollout.draft import Blocker, Draft
from dabbawala.rollout.routing import Traffic

Check = Callable[[Draft, Traffic, Object], Blocker | None]
"""Why the step is not done; None when this check passes."""


def _counts_reached(draft: Draft, traffic: Traffic, step: Object) -> Blocker | None:
    if draft.scaled:
        return Blocker("Scaling", "a ReplicaSet was resized just now")
    return counting.blocker(draft.situation, traffic.seen)


def _weight_holds(draft: Draft, traffic: Traffic, step: Object) -> Blocker | None:
    """Written, and accepted by the data plane: only then has the step happened."""
    rollout = draft.situation.rollout
    if spec.routing(rollout) is None:
        return None
    wanted = weights.set_weight(rollout)
    if traffic.error or draft.routed or traffic.seen != wanted:
        return Blocker("WeightNotWritten", traffic.error or f"the route gives the canary {traffic.seen}, not {wanted}")
    new, door = draft.situation.sets.new, attachment.door_hash(draft.situation, "canary")
    if wanted and new is not None and door not in (None, new.hash):
        return Blocker("CanaryNotAttached", f"what the route gives the canary does not reach ReplicaSet {new.name}")
    return traffic.pending


def _waited(draft: Draft, traffic: Traffic, step: Object) -> Blocker | None:
    """The pause has begun, and has ended by time or by a user."""
    situation = draft.situation
    if pauses.resumed_by_user(draft):
        return None
    if state.pause_started(situation.rollout, reasons.CANARY_PAUSE) is None:
        pauses.add(draft, reasons.CANARY_PAUSE)
        draft.look_again()
        return Blocker(reasons.CANARY_PAUSE, "the pause begins")
    duration = (step.get("pause") or {}).get("duration")
    if duration is None:
        return Blocker(reasons.CANARY_PAUSE, "paused until someone promotes: dabba rollout promote")
    if pauses.elapsed(draft, reasons.CANARY_PAUSE, spec.seconds(duration)):
        return None
    return Blocker(reasons.CANARY_PAUSE, f"paused for {duration}")


def _analysis_successful(draft: Draft, traffic: Traffic, step: Object) -> Blocker | None:
    found = (draft.status.get("canary") or {}).get("currentStepAnalysisRunStatus") or {}
    if found.get("status") == "Successful":
        return None
    name = found.get("name") or "of this step"
    return Blocker("AnalysisRunning", f"AnalysisRun {name} is {found.get('status') or 'about to start'}")


TABLE: dict[str, tuple[Check, ...]] = {
    "setWeight": (_counts_reached, _weight_holds),
    "setCanaryScale": (_counts_reached,),
    "pause": (_waited,),
    "analysis": (_analysis_successful,),
}


def kind(step: Object) -> str:
    """Which row of the table a step is. Raises KeyError for a step that is none."""
    for name in TABLE:
        if step.get(name) is not None:
            return name
    raise KeyError(f"step {step} is of no kind that this controller carries: {', '.join(TABLE)}")


def blocker(draft: Draft, traffic: Traffic, step: Object) -> Blocker | None:
    """The first unmet check of the step; None when it is done."""
    for check in TABLE[kind(step)]:
        found = check(draft, traffic, step)
        if found is not None:
            return found
    return None


def describe(step: Object) -> str:
    """A step in a few words, as events and views show it: `setWeight: 20`, `pause: 30s`."""
    name = kind(step)
    value = step[name]
    if name == "pause":
        duration = (value or {}).get("duration")
        return f"pause: {duration}" if duration is not None else "pause"
    if name == "analysis":
        templates = ",".join(str(item.get("templateName")) for item in value.get("templates") or ())
        return f"analysis: {templates}"
    if name == "setCanaryScale":
        return "setCanaryScale: " + ", ".join(f"{field}={given}" for field, given in sorted(value.items()))
    return f"{name}: {value}"


def advance(draft: Draft, traffic: Traffic) -> None:
    """Complete the current step if it is done. One step a pass: the next is looked at on a fresh observation."""
    rollout = draft.situation.rollout
    step, index = state.current_step(rollout), state.step_index(rollout)
    if step is None or index is None or not _may_advance(draft):
        return
    found = blocker(draft, traffic, step)
    if found is not None:
        draft.block(found.reason, found.message, found.until)
        return
    total = len(spec.steps(rollout))
    draft.status["currentStepIndex"] = index + 1
    pauses.clear(draft)
    if kind(step) == "analysis":
        draft.put("canary", currentStepAnalysisRunStatus=None)
    draft.event(reasons.STEP_COMPLETED, f"Rollout step {index + 1}/{total} completed ({describe(step)})")
    draft.look_again()


def _may_advance(draft: Draft) -> bool:
    rollout = draft.situation.rollout
    if draft.status.get("abort") or spec.is_paused(rollout) or not state.stable_hash(rollout):
        return False
    if pauses.is_inconclusive(draft) or state.promotes_fully(rollout):
        return False
    return not state.is_fully_promoted(rollout)
