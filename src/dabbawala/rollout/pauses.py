"""Pausing, aborting and retrying: who may stop a Rollout, and what each leaves behind.

`pauseConditions` are the controller's, `spec.paused` is the user's. While `controllerPause` is set and the conditions
are gone, a user has promoted past the pause of that moment and no other: whatever it ends takes `controllerPause` with
it, and so does every step that is done. Source: Argo Rollouts, rollout/pause.go.
"""

from __future__ import annotations

from datetime import datetime

from dabbawala.apimachinery import clock
from dabbawala.rollout import reasons, spec, state
from dabbawala.rollout.draft import Draft


def add(draft: Draft, reason: str) -> None:
    """Pause for that reason, from now, unless it is one already."""
    listed = list(draft.status.get("pauseConditions") or ())
    if any(item.get("reason") == reason for item in listed):
        return
    listed.append({"reason": reason, "startTime": clock.format_time(draft.situation.now)})
    draft.status |= {"pauseConditions": listed, "controllerPause": True}


def remove(draft: Draft, reason: str) -> None:
    kept = [item for item in draft.status.get("pauseConditions") or () if item.get("reason") != reason]
    if kept:
        draft.status["pauseConditions"] = kept
    else:
        draft.status.pop("pauseConditions", None)
        draft.status.pop("controllerPause", None)


def clear(draft: Draft) -> None:
    draft.status.pop("pauseConditions", None)
    draft.status.pop("controllerPause", None)


def resumed_by_user(draft: Draft) -> bool:
    """The controller had paused, somebody took its conditions away, and nothing else in this pass was meant by it."""
    rollout = draft.situation.rollout
    resumed = state.is_controller_paused(rollout) and not state.pause_conditions(rollout)
    return resumed and bool(draft.status.get("controllerPause"))


def elapsed(draft: Draft, reason: str, seconds: float) -> bool:
    """The pause has lasted that long; if not, look again when it has."""
    started = state.pause_started(draft.situation.rollout, reason)
    if started is None:
        return False
    until = _after(started, seconds)
    if draft.situation.now >= until:
        return True
    draft.block(reason, f"paused until {clock.format_time(until)}", until)
    return False


def _after(moment: datetime, seconds: float) -> datetime:
    return datetime.fromtimestamp(moment.timestamp() + seconds, tz=moment.tzinfo)


def abort(draft: Draft, why: str) -> None:
    """Abort the update under way; `why` ends up in the Progressing condition."""
    if draft.status.get("abort"):
        return
    draft.status["abort"] = True
    draft.status["abortedAt"] = clock.format_time(draft.situation.now)
    draft.abort_message = why


def settle(draft: Draft) -> None:
    """Take in what a user did to `abort`: stamp it, drop it where there is nothing to abort, or clean up after a
    retry."""
    rollout = draft.situation.rollout
    if state.is_aborted(rollout) and state.is_fully_promoted(rollout):
        draft.status.pop("abort", None)
        draft.status.pop("abortedAt", None)
    elif state.is_aborted(rollout):
        draft.status.pop("promoteFull", None)  # or a retry would skip all that it is made for
        draft.status.setdefault("abortedAt", clock.format_time(draft.situation.now))
        back_to_start(draft)
        clear(draft)
    else:
        if draft.status.pop("abortedAt", None):
            _start_afresh(draft)
        draft.status.pop("abort", None)
    if state.promotes_fully(rollout):
        clear(draft)


def _start_afresh(draft: Draft) -> None:
    """A retry: verdicts of the aborted try are forgotten, so that new runs decide."""
    if spec.blue_green(draft.situation.rollout) is not None:
        gone = dict.fromkeys(("prePromotionAnalysisRunStatus", "postPromotionAnalysisRunStatus"))
        draft.put("blueGreen", scaleUpPreviewCheckPoint=None, **gone)
    else:
        draft.put("canary", currentStepAnalysisRunStatus=None, currentBackgroundAnalysisRunStatus=None)


def back_to_start(draft: Draft) -> None:
    """The first step again; the last where the stable set is the current one."""
    steps = spec.steps(draft.situation.rollout)
    if steps:
        done = state.is_fully_promoted(draft.situation.rollout)
        draft.status["currentStepIndex"] = len(steps) if done else 0


def is_held(draft: Draft) -> bool:
    """By the user or by the controller, as of this pass."""
    return spec.is_paused(draft.situation.rollout) or bool(draft.status.get("pauseConditions"))


def is_inconclusive(draft: Draft) -> bool:
    """An analysis left it to a person, as of this pass."""
    listed = draft.status.get("pauseConditions") or ()
    return any(item.get("reason") == reasons.INCONCLUSIVE for item in listed)
