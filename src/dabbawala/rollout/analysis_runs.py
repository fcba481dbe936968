"""The analyses of a Rollout: which must run now, under which name, and what their verdicts do to it.

The status names the current run of each role; a role without a name gets a new run when it is its turn, so a retry
or a promotion past an inconclusive verdict starts afresh. Runs of no role are terminated. Source:
Argo Rollouts, rollout/analysis.go.
"""

from __future__ import annotations

from dataclasses import dataclass

from dabbawala.api import argoproj_v1alpha1
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile.plan import Create, Delete, Patch
from dabbawala.rollout import keys, pauses, promotion, reasons, spec, state
from dabbawala.rollout.analysis import templates
from dabbawala.rollout.draft import Draft
from dabbawala.rollout.observed import Situation

FINISHED = frozenset({"Successful", "Failed", "Error", "Inconclusive"})


@dataclass(frozen=True, slots=True)
class Role:
    """What a run is for. `field` is where the status names it, in `status.<part>`."""

    kind: str
    part: str
    field: str
    title: str


STEP = Role(keys.STEP_RUN, "canary", "currentStepAnalysisRunStatus", "Step")
BACKGROUND = Role(keys.BACKGROUND_RUN, "canary", "currentBackgroundAnalysisRunStatus", "Background")
PRE = Role(keys.PRE_RUN, "blueGreen", "prePromotionAnalysisRunStatus", "Pre Promotion")
POST = Role(keys.POST_RUN, "blueGreen", "postPromotionAnalysisRunStatus", "Post Promotion")


def phase(run: Object) -> str:
    return str((run.get("status") or {}).get("phase") or "")


def is_finished(run: Object) -> bool:
    return phase(run) in FINISHED


def canary(draft: Draft) -> None:
    """The run of the current analysis step, and the one in the background."""
    situation = draft.situation
    rollout, index = situation.rollout, state.step_index(situation.rollout)
    step = (state.current_step(rollout) or {}).get("analysis")
    updating = _is_updating(draft)
    _play(draft, STEP, step if updating else None, suffix=f"-{index}", step_index=index)
    background = (spec.canary(rollout) or {}).get("analysis")
    started = background is not None and (index is None or index >= int(background.get("startingStep") or 0))
    _play(draft, BACKGROUND, background if updating and started else None, suffix="")
    _tidy(draft, (STEP, BACKGROUND))


def blue_green(draft: Draft) -> None:
    """Before the switch, when the preview is ready; after it, until it has passed."""
    situation = draft.situation
    rollout, new = situation.rollout, situation.sets.new
    body = spec.blue_green(rollout) or {}
    active = str((draft.status.get("blueGreen") or {}).get("activeSelector") or "")
    updating = _is_updating(draft) and new is not None and not _is_fast(draft)
    before = updating and new is not None and active != new.hash
    ready = before and new is not None and _preview_ready(draft)
    known = (draft.status.get("blueGreen") or {}).get(PRE.field)
    _play(draft, PRE, body.get("prePromotionAnalysis") if before and (ready or known) else None, suffix="-pre")
    after = updating and new is not None and active == new.hash and not draft.routed
    _play(draft, POST, body.get("postPromotionAnalysis") if after else None, suffix="-post")
    _tidy(draft, (PRE, POST))


def _is_fast(draft: Draft) -> bool:
    return promotion.is_fast_rollback(draft.situation) or state.promotes_fully(draft.situation.rollout)


def _preview_ready(draft: Draft) -> bool:
    new, size = draft.situation.sets.new, state.preview_size(draft.situation.rollout)
    return new is not None and not draft.scaled and not draft.routed and new.spec == size and new.sure >= size


def _is_updating(draft: Draft) -> bool:
    rollout = draft.situation.rollout
    if draft.status.get("abort") or not state.stable_hash(rollout) or state.is_fully_promoted(rollout):
        return False
    return not state.promotes_fully(rollout)


def _play(draft: Draft, role: Role, wanted: Object | None, *, suffix: str, step_index: int | None = None) -> None:
    """Keep one role: forget it, start its run, or take in the verdict."""
    recorded = (draft.status.get(role.part) or {}).get(role.field)
    if wanted is None:
        if recorded and recorded.get("status") not in FINISHED:
            draft.put(role.part, **{role.field: None})
        return
    run = _named(draft.situation, recorded["name"]) if recorded else None
    if recorded and run is not None:
        _judge(draft, role, run, recorded)
    elif not pauses.is_held(draft) or (recorded and recorded.get("status") not in FINISHED):
        _start(draft, role, wanted, suffix, step_index)


def _named(situation: Situation, name: str) -> Object | None:
    return next((run for run in situation.world.analysis_runs if meta.name(run) == name), None)


def _judge(draft: Draft, role: Role, run: Object, recorded: Object) -> None:
    now, before = phase(run), str(recorded.get("status") or "")
    message = (run.get("status") or {}).get("message")
    entry = {"name": meta.name(run), "status": now or "Pending"} | ({"message": message} if message else {})
    if now == "Inconclusive" and before == now:
        if not pauses.is_inconclusive(draft):
            draft.put(role.part, **{role.field: None})  # somebody promoted past the verdict: a new run decides
            pauses.remove(draft, reasons.INCONCLUSIVE)  # and past nothing else
            draft.look_again()
        return
    draft.put(role.part, **{role.field: entry})
    if now and now != before:
        text = f"{role.title} Analysis Run '{meta.name(run)}' Status New: '{now}' Previous: '{before}'"
        draft.event(f"AnalysisRun{now}", text, "Warning" if now in ("Failed", "Error") else "Normal")
    if now in ("Failed", "Error"):
        pauses.abort(draft, message or f"AnalysisRun {meta.name(run)} ended {now}")
        draft.look_again()
    elif now == "Inconclusive":
        pauses.add(draft, reasons.INCONCLUSIVE)


def _start(draft: Draft, role: Role, wanted: Object, suffix: str, step_index: int | None) -> None:
    situation = draft.situation
    new = situation.sets.new
    if new is None or not state.is_observed(situation.rollout):
        draft.look_again()
        return
    try:
        made = templates.run_spec(situation, wanted)
    except templates.Unusable as wrong:
        pauses.abort(draft, str(wrong))
        return
    base = f"{meta.name(situation.rollout)}-{new.hash}-{new.revision}{suffix}"
    running = _reusable(situation, base, made)
    name = meta.name(running) if running is not None else _free_name(situation, base)
    if running is None:
        labels = {keys.HASH: new.hash, keys.ROLLOUT_TYPE: role.kind}
        if step_index is not None:
            labels[keys.STEP_INDEX] = str(step_index)
        draft.act(Create(argoproj_v1alpha1.ANALYSIS_RUN, _run(situation, name, labels, made, wanted)))
    draft.put(role.part, **{role.field: {"name": name, "status": "Pending"}})


def _run(situation: Situation, name: str, labels: dict[str, str], body: Object, wanted: Object) -> Object:
    extra = wanted.get("analysisRunMetadata") or {}
    rollout = situation.rollout
    instance = meta.labels(rollout).get(keys.INSTANCE_ID)
    revision = {keys.REVISION: str(situation.sets.new.revision)} if situation.sets.new else {}
    return {
        "apiVersion": argoproj_v1alpha1.ANALYSIS_RUN.api_version,
        "kind": argoproj_v1alpha1.ANALYSIS_RUN.kind,
        "metadata": {
            "name": name,
            "namespace": meta.namespace(rollout),
            "labels": {**(extra.get("labels") or {}), **labels, **({keys.INSTANCE_ID: instance} if instance else {})},
            "annotations": {**(extra.get("annotations") or {}), **revision},
            "ownerReferences": [meta.owner_reference(rollout)],
        },
        "spec": body,
    }


def _reusable(situation: Situation, base: str, body: Object) -> Object | None:
    """A run of that name that a lost answer or a crash left unrecorded."""
    for run in situation.world.analysis_runs:
        same_name = meta.name(run) == base or meta.name(run).startswith(f"{base}.")
        alike = all(run["spec"].get(field) == body.get(field) for field in ("metrics", "args"))
        if same_name and alike and not is_finished(run) and not run["spec"].get("terminate"):
            return run
    return None


def _free_name(situation: Situation, base: str) -> str:
    taken = {meta.name(run) for run in situation.world.analysis_runs}
    number, name = 0, base
    while name in taken:
        number += 1
        name = f"{base}.{number}"
    return name


def _tidy(draft: Draft, roles: tuple[Role, ...]) -> None:
    """Terminate runs of no role, and delete finished ones beyond the history limits or of forgotten revisions."""
    situation = draft.situation
    current = {str(((draft.status.get(role.part) or {}).get(role.field) or {}).get("name", "")) for role in roles}
    finished: dict[bool, list[Object]] = {True: [], False: []}
    for run in situation.world.analysis_runs:
        if meta.name(run) in current or meta.is_deleting(run):
            continue
        if not is_finished(run):
            _terminate(draft, run)
        elif _is_forgotten(situation, run):
            _delete(draft, run)
        else:
            finished[phase(run) == "Successful"].append(run)
    good, bad = spec.analysis_history_limits(situation.rollout)
    for successful, limit in ((True, good), (False, bad)):
        listed = sorted(finished[successful], key=lambda run: meta.metadata(run).get("creationTimestamp") or "")
        for run in listed[: max(0, len(listed) - limit)]:
            _delete(draft, run)


def _is_forgotten(situation: Situation, run: Object) -> bool:
    hash_ = str(meta.labels(run).get(keys.HASH, ""))
    return bool(hash_) and situation.sets.by_hash(hash_) is None


def _terminate(draft: Draft, run: Object) -> None:
    if not run["spec"].get("terminate"):
        draft.act(Patch(argoproj_v1alpha1.ANALYSIS_RUN, meta.key(run), {"spec": {"terminate": True}}))
        draft.event(reasons.ANALYSIS_TERMINATING, f"Terminating AnalysisRun '{meta.name(run)}'")


def _delete(draft: Draft, run: Object) -> None:
    draft.act(Delete(argoproj_v1alpha1.ANALYSIS_RUN, meta.key(run), uid=meta.uid(run)))
