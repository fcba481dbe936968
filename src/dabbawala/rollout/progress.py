"""Conditions of a Rollout, and whether it still makes progress.

Same status and reason leave a condition alone; `lastTransitionTime` moves only with the status; `lastUpdateTime` of
Progressing moves with every step forward, and whenever there is something to wait for again; the progress deadline
counts from there. Source: Argo Rollouts, utils/conditions and rollout/sync.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dabbawala.apimachinery import clock, conditions, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import pauses, reasons, spec, state
from dabbawala.rollout.draft import Draft


def put(draft: Draft, type_: str, status: str, reason: str, message: str) -> None:
    listed = list(draft.status.get("conditions") or ())
    now = clock.format_time(draft.situation.now)
    old = conditions.find_in(listed, type_)
    if old is not None and old.get("status") == status and old.get("reason") == reason:
        return
    same = old is not None and old.get("status") == status
    entry: Object = {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": now,
        "lastTransitionTime": old["lastTransitionTime"] if same and old is not None else now,
    }
    draft.status["conditions"] = [item for item in listed if item.get("type") != type_] + [entry]


def drop(draft: Draft, type_: str) -> None:
    listed = list(draft.status.get("conditions") or ())
    if conditions.find_in(listed, type_) is not None:
        draft.status["conditions"] = [item for item in listed if item.get("type") != type_]


def note(draft: Draft, reason: str, message: str, status: str = "True") -> None:
    """Progress, with its reason; the clock of the deadline starts anew."""
    put(draft, reasons.PROGRESSING, status, reason, message)
    touch(draft)


def note_template(draft: Draft, name: str) -> None:
    """Another template than before, whose set is there: whatever the last one came to, this one has its whole time."""
    known = conditions.find(draft.situation.rollout, reasons.PROGRESSING) or {}
    if known.get("reason") in (reasons.NEW_REPLICA_SET, reasons.ABORTED):
        touch(draft)
    else:
        note(draft, reasons.FOUND_REPLICA_SET, f'Found new replica set "{name}"')


def touch(draft: Draft) -> None:
    now = clock.format_time(draft.situation.now)
    draft.status["conditions"] = [
        {**item, "lastUpdateTime": now} if item.get("type") == reasons.PROGRESSING else item
        for item in draft.status.get("conditions") or ()
    ]


def update(draft: Draft) -> None:
    """The conditions after this pass, from its status to come."""
    _progressing(draft)
    _paused(draft)
    complete, healthy = is_complete(draft), is_healthy(draft)
    put(draft, reasons.COMPLETED_TYPE, _text(complete), reasons.COMPLETED, reasons.COMPLETED)
    put(draft, reasons.HEALTHY, _text(healthy), reasons.HEALTHY_REASON, "Rollout is healthy" if healthy else (
        "Rollout is not healthy"))  # fmt: skip
    available = has_minimum_availability(draft)
    verb = "has" if available else "does not have"
    put(draft, reasons.AVAILABLE, _text(available), reasons.AVAILABLE_REASON, f"Rollout {verb} minimum availability")


def _text(value: bool) -> str:
    return "True" if value else "False"


def is_complete(draft: Draft) -> bool:
    """The current template is the stable one."""
    status = draft.status
    return bool(status.get("stableRS")) and status.get("stableRS") == status.get("currentPodHash")


def is_healthy(draft: Draft) -> bool:
    """Complete, and all of its pods are there and none of older revisions is needed."""
    status, count = draft.status, spec.replicas(draft.situation.rollout)
    if not is_complete(draft) or int(status.get("updatedReplicas") or 0) != count:
        return False
    body = spec.blue_green(draft.situation.rollout)
    if body is not None and (status.get("blueGreen") or {}).get("activeSelector") != status.get("currentPodHash"):
        return False
    return int(status.get("availableReplicas") or 0) >= count


def has_minimum_availability(draft: Draft) -> bool:
    rollout = draft.situation.rollout
    available, count = int(draft.status.get("availableReplicas") or 0), spec.replicas(rollout)
    if spec.blue_green(rollout) is not None:
        return available >= count and bool((draft.status.get("blueGreen") or {}).get("activeSelector"))
    return available >= count - spec.surge_and_unavailable(rollout)[1]


def _progressing(draft: Draft) -> None:
    situation = draft.situation
    current = conditions.find(situation.rollout, reasons.PROGRESSING)
    new = situation.sets.new
    name = new.name if new is not None else ""
    if draft.status.get("abort"):
        _aborted(draft, current)
    elif current is not None and current.get("reason") == reasons.ABORTED:
        note(draft, reasons.RETRY, "Retrying Rollout after abort", "Unknown")
    elif pauses.is_held(draft):
        put(draft, reasons.PROGRESSING, "Unknown", reasons.PAUSED, "Rollout is paused")
    elif current is not None and current.get("reason") == reasons.PAUSED:
        note(draft, reasons.RESUMED, "Rollout is resumed", "Unknown")
    elif is_healthy(draft):
        put(draft, reasons.PROGRESSING, "True", reasons.REPLICA_SET_AVAILABLE,
            f'ReplicaSet "{name}" has successfully progressed.')  # fmt: skip
    elif current is None:
        note(draft, reasons.FOUND_REPLICA_SET, f'Found new replica set "{name}"')
    elif made_progress(draft) or _begins_to_wait(draft, current):
        note(draft, reasons.REPLICA_SET_UPDATED, f'ReplicaSet "{name}" is progressing.')
    else:
        _deadline(draft, current, name)


def _aborted(draft: Draft, current: Object | None) -> None:
    if current is not None and current.get("reason") == reasons.ABORTED:
        return
    new = draft.situation.sets.new
    text = f"Rollout aborted update to revision {new.revision if new else 0}"
    if draft.abort_message:
        text = f"{text}: {draft.abort_message}"
    put(draft, reasons.PROGRESSING, "False", reasons.ABORTED, text)
    draft.event(reasons.ABORTED, text, "Warning")


def _paused(draft: Draft) -> None:
    """The Paused condition; its changes are what the events RolloutPaused and RolloutResumed tell."""
    was = conditions.is_true(draft.situation.rollout, reasons.PAUSED_TYPE)
    held = pauses.is_held(draft)
    if held and not was:
        given = [str(item.get("reason")) for item in draft.status.get("pauseConditions") or ()]
        why = f" ({given[0]})" if given else ""
        draft.event(reasons.PAUSED, f"Rollout is paused{why}")
    elif was and not held and not draft.status.get("abort"):
        draft.event(reasons.RESUMED, "Rollout is resumed")
    put(draft, reasons.PAUSED_TYPE, _text(held), reasons.PAUSED, "Rollout is paused" if held else "Rollout is resumed")


# The deadline.


def made_progress(draft: Draft) -> bool:
    """More pods updated, ready or available than before, fewer old ones, or another step."""
    before, after = state.of(draft.situation.rollout), draft.status
    if any(_count(after, kind) > _count(before, kind) for kind in ("updated", "ready", "available")):
        return True
    old_before = _count(before, "") - _count(before, "updated")
    old_after = _count(after, "") - _count(after, "updated")
    return old_after < old_before or after.get("currentStepIndex") != before.get("currentStepIndex")


def _begins_to_wait(draft: Draft, current: Object) -> bool:
    """Nothing was to be waited for, or only a judgement that may take for ever, and now something else is: a larger
    size, a pod that was lost."""
    rollout = draft.situation.rollout
    healthy = conditions.is_true(rollout, reasons.HEALTHY) or current.get("reason") == reasons.REPLICA_SET_AVAILABLE
    return healthy or (_is_being_judged(state.of(rollout)) and not _is_being_judged(draft.status))


def _count(status: object, kind: str) -> int:
    field = f"{kind}Replicas" if kind else "replicas"
    return int((status.get(field) if isinstance(status, dict) else 0) or 0)


def _deadline(draft: Draft, current: Object, name: str) -> None:
    rollout, now = draft.situation.rollout, draft.situation.now
    until = due(draft, current)
    if until is None or current.get("reason") == reasons.DEADLINE_EXCEEDED:
        return
    if now < until:
        draft.look_at(until)
        return
    text = f'ReplicaSet "{name}" has timed out progressing. {_remedy(draft)}'
    put(draft, reasons.PROGRESSING, "False", reasons.DEADLINE_EXCEEDED, text)
    draft.event(reasons.DEADLINE_EXCEEDED, text, "Warning")
    updating = bool(state.stable_hash(rollout)) and not state.is_fully_promoted(rollout)
    if rollout["spec"].get("progressDeadlineAbort") and updating:
        pauses.abort(draft, text)
        _aborted(draft, current)
        draft.look_again()


def _remedy(draft: Draft) -> str:
    """What whoever reads that the deadline is over does next."""
    name, space = meta.name(draft.situation.rollout), meta.namespace(draft.situation.rollout)
    return (
        f"`dabba rollout explain {name} -n {space}` says what it waits for; then correct the template, raise "
        f"progressDeadlineSeconds, or go back with `dabba rollout undo {name} -n {space}`"
    )


def due(draft: Draft, current: Object) -> datetime | None:
    """When the deadline ends; None while its clock does not run: in steps that may take for ever, while waiting for
    a scale-down deadline, and when nothing is left to do."""
    rollout = draft.situation.rollout
    step = state.current_step(rollout) or {}
    if step.get("pause") is not None or step.get("analysis") is not None or is_healthy(draft):
        return None
    if spec.blue_green(rollout) is not None and _is_being_judged(draft.status):
        return None
    if any(item.deadline is not None and item.deadline > draft.situation.now for item in draft.situation.sets.all):
        return None
    since = current.get("lastUpdateTime") or current.get("lastTransitionTime")
    return clock.parse_time(str(since)) + spec.progress_deadline(rollout) if since else None


def _is_being_judged(status: Mapping[str, Any]) -> bool:
    body = status.get("blueGreen") or {}
    fields = ("prePromotionAnalysisRunStatus", "postPromotionAnalysisRunStatus")
    return any((body.get(field) or {}).get("status") in ("Pending", "Running") for field in fields)
