"""The phase of a Rollout: the first row that applies. The table is the documentation; a test covers it row by row.

Source: Argo Rollouts, utils/rollout/rolloututil.go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dabbawala.apimachinery import clock, conditions, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import keys, reasons, spec, state

HEALTHY, PROGRESSING, PAUSED, DEGRADED = "Healthy", "Progressing", "Paused", "Degraded"

Test = Callable[[Object], str | None]
"""The message when the row applies to a Rollout, else None."""


@dataclass(frozen=True, slots=True)
class Row:
    number: int
    phase: str
    test: Test


def _invalid_spec(rollout: Object) -> str | None:
    found = conditions.find(rollout, reasons.INVALID_SPEC)
    return f"{reasons.INVALID_SPEC}: {found.get('message')}" if found and found.get("status") == "True" else None


def _failed(rollout: Object) -> str | None:
    found = conditions.find(rollout, reasons.PROGRESSING)
    if found and found.get("reason") in (reasons.ABORTED, reasons.DEADLINE_EXCEEDED):
        return f"{found['reason']}: {found.get('message')}"
    return None


def _paused_by_user(rollout: Object) -> str | None:
    return "manually paused" if spec.is_paused(rollout) else None


def _paused_by_controller(rollout: Object) -> str | None:
    reasons_given = [str(item.get("reason")) for item in state.pause_conditions(rollout)]
    return reasons_given[0] if reasons_given else None


def _restarting(rollout: Object) -> str | None:
    wanted, done = rollout["spec"].get("restartAt"), state.of(rollout).get("restartedAt")
    if not wanted or (done and clock.parse_time(done) >= clock.parse_time(wanted)):
        return None
    return "rollout is restarting"


def _too_few_updated(rollout: Object) -> str | None:
    return "more replicas need to be updated" if _count(rollout, "updated") < spec.replicas(rollout) else None


def _too_few_available(rollout: Object) -> str | None:
    short = _count(rollout, "available") < _count(rollout, "updated")
    return "updated replicas are still becoming available" if short else None


def _cutover_pending(rollout: Object) -> str | None:
    pending = state.active_hash(rollout) != state.current_hash(rollout)
    return "active service cutover pending" if spec.blue_green(rollout) is not None and pending else None


def _verification_pending(rollout: Object) -> str | None:
    body = spec.blue_green(rollout)
    if body is None or state.is_fully_promoted(rollout):
        return None
    return (
        "waiting for post-promotion analysis to complete"
        if body.get("postPromotionAnalysis")
        else ("waiting for analysis to complete")
    )


def _old_pods_left(rollout: Object) -> str | None:
    basic = spec.canary(rollout) is not None and spec.routing(rollout) is None
    left = int(state.of(rollout).get("replicas") or 0) > _count(rollout, "updated")
    return "old replicas are pending termination" if basic and left else None


def _steps_left(rollout: Object) -> str | None:
    left = spec.canary(rollout) is not None and not state.is_fully_promoted(rollout)
    return "waiting for all steps to complete" if left else None


def _otherwise(rollout: Object) -> str | None:
    return ""


TABLE: tuple[Row, ...] = (
    Row(1, DEGRADED, _invalid_spec),
    Row(2, DEGRADED, _failed),
    Row(3, PAUSED, _paused_by_user),
    Row(4, PAUSED, _paused_by_controller),
    Row(5, PROGRESSING, _restarting),
    Row(6, PROGRESSING, _too_few_updated),
    Row(7, PROGRESSING, _too_few_available),
    Row(8, PROGRESSING, _cutover_pending),
    Row(9, PROGRESSING, _verification_pending),
    Row(10, PROGRESSING, _old_pods_left),
    Row(11, PROGRESSING, _steps_left),
    Row(12, HEALTHY, _otherwise),
)


def row(rollout: Object) -> tuple[Row, str]:
    """The row that applies, and its message."""
    for candidate in TABLE:
        message = candidate.test(rollout)
        if message is not None:
            return candidate, message
    raise AssertionError("the last row always applies")


def phase(rollout: Object) -> tuple[str, str]:
    """Phase and message, as the controller writes them."""
    found, message = row(rollout)
    return found.phase, message


def seen_by_client(rollout: Object) -> tuple[str, str]:
    """Phase and message for somebody who cannot know whether the controller has already looked."""
    if not state.is_observed(rollout):
        return PROGRESSING, "waiting for rollout spec update to be observed"
    if state.is_controller_paused(rollout) and not state.pause_conditions(rollout) and not state.is_aborted(rollout):
        return PROGRESSING, "waiting for rollout to unpause"
    if rollout["spec"].get("workloadRef"):
        wanted = meta.annotations(rollout).get(keys.WORKLOAD_GENERATION)
        if str(state.of(rollout).get("workloadObservedGeneration") or "") != str(wanted or ""):
            return PROGRESSING, "waiting for rollout spec update to be observed for the reference workload"
    return phase(rollout)


def _count(rollout: Object, kind: str) -> int:
    return int(state.of(rollout).get(f"{kind}Replicas") or 0)
