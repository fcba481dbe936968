"""A Rollout's plan: pure, from what is wanted and what is seen to what is written now.

One pass is a chain of stages; a stage that says so ends the pass, for what it wrote must be seen before anything is
decided on top of it. What the pass waits for is left in the draft, so that `explain` gives the very predicate that is
unmet. Source: Argo Rollouts, rollout/controller.go and sync.go.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from dabbawala.api import argoproj_v1alpha1
from dabbawala.apimachinery import conditions, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile.plan import Patch, Plan
from dabbawala.rollout import (
    blue_green,
    canary,
    canary_scaling,
    pauses,
    progress,
    reasons,
    references,
    report,
    reset,
    revision,
    routing,
    spec,
    validation,
    workload,
)
from dabbawala.rollout.draft import Draft
from dabbawala.rollout.observed import Observed, situate

INVALID_RECHECK = timedelta(seconds=20)

Stage = Callable[[Draft], bool]
"""True ends the pass."""


def plan(desired: Object, observed: Observed, now: datetime) -> Plan:
    """What to write now for this Rollout, and when to look again."""
    return decide(desired, observed, now).finish()


def decide(desired: Object, observed: Observed, now: datetime) -> Draft:
    """The pass with its reasons."""
    draft = Draft(situate(desired, observed, now))
    for stage in STAGES:
        if stage(draft):
            break
    return draft


def _leave_alone(draft: Draft) -> bool:
    """Being deleted, or another controller's."""
    situation = draft.situation
    if meta.is_deleting(situation.rollout):
        return True
    if not situation.world.claimed_by:
        return False
    text = f"not reconciled: {situation.world.claimed_by}"
    draft.block(reasons.FOREIGN_CONTROLLER, text, situation.now + INVALID_RECHECK)
    known = conditions.find(situation.rollout, reasons.FOREIGN_CONTROLLER)
    if known is None or known.get("message") != text:
        draft.event(reasons.FOREIGN_CONTROLLER, text, "Warning")
        progress.drop(draft, reasons.FOREIGN_CONTROLLER)
        progress.put(draft, reasons.FOREIGN_CONTROLLER, "True", reasons.FOREIGN_CONTROLLER, text)
    return True


def _say_hello(draft: Draft) -> bool:
    progress.drop(draft, reasons.FOREIGN_CONTROLLER)
    if not draft.situation.rollout.get("status"):
        key = draft.situation.key
        draft.event(reasons.ADDED, f"Rollout resource added to informer: {key.namespace}/{key.name}")
    return False


def _write_replicas(draft: Draft) -> bool:
    """An HPA needs a number to read."""
    rollout = draft.situation.rollout
    if (rollout.get("spec") or {}).get("replicas") is not None:
        return False
    draft.act(Patch(argoproj_v1alpha1.ROLLOUT, meta.key(rollout), {"spec": {"replicas": 1}}))
    return True


def _refuse_invalid(draft: Draft) -> bool:
    situation = draft.situation
    written = situation.rollout
    if (written.get("spec") or {}).get("workloadRef"):
        written = {**written, "spec": {**written["spec"], "template": {}}}
    errors = validation.validate(written) or references.validate(situation)
    if not errors:
        progress.drop(draft, reasons.INVALID_SPEC)
        return False
    text = validation.message(situation.rollout, errors)
    known = conditions.find(situation.rollout, reasons.INVALID_SPEC)
    if known is None or known.get("message") != text:
        progress.drop(draft, reasons.INVALID_SPEC)
        progress.put(draft, reasons.INVALID_SPEC, "True", reasons.INVALID_SPEC, text)
        draft.event(reasons.INVALID_SPEC, text, "Warning")
    draft.status["observedGeneration"] = str(meta.generation(situation.rollout))
    report.phase(draft)
    draft.block(reasons.INVALID_SPEC, text, situation.now + INVALID_RECHECK)
    return True


def _take_in_abort(draft: Draft) -> bool:
    pauses.settle(draft)
    return False


def _reset(draft: Draft) -> bool:
    if not reset.apply(draft):
        return False
    report.counts(draft)
    report.phase(draft)
    return True


def _follow_scale(draft: Draft) -> bool:
    """`spec.replicas` has changed: sizes only, no steps, no traffic."""
    if not report.is_scaling_event(draft) or spec.is_paused(draft.situation.rollout):
        return False
    count = spec.replicas(draft.situation.rollout)
    if spec.blue_green(draft.situation.rollout) is not None:
        blue_green.scale(draft)
    else:
        traffic = routing.look(draft.situation) if spec.routing(draft.situation.rollout) is not None else routing.NONE
        canary_scaling.scale(draft, traffic)
    for item in draft.situation.sets.all:
        resized = any(isinstance(act, Patch) and act.key == meta.key(item.object) for act in draft.actions)
        if item.spec > 0 and item.desired != count and not resized:
            draft.scale(item, item.spec)
    return _tell(draft)


def _strategy(draft: Draft) -> bool:
    rollout = draft.situation.rollout
    (blue_green if spec.blue_green(rollout) is not None else canary).run(draft)
    return False


def _migrate(draft: Draft) -> bool:
    workload.migrate(draft)
    return False


def _tell(draft: Draft) -> bool:
    report.counts(draft)
    progress.update(draft)
    report.phase(draft)
    return True


STAGES: tuple[Stage, ...] = (
    _leave_alone,
    _say_hello,
    _write_replicas,
    _refuse_invalid,
    revision.adopt,
    _take_in_abort,
    revision.ensure,
    _reset,
    _follow_scale,
    _strategy,
    _migrate,
    _tell,
)
