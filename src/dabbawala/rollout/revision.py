"""Revisions: making the set of a new template, numbering it, and forgetting old ones.

Source: Argo Rollouts, rollout/sync.go and rollout/replicaset.go.
"""

from __future__ import annotations

from dabbawala.api import apps_v1, argoproj_v1alpha1
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.reconcile.plan import Create, Delete, Patch
from dabbawala.rollout import identity, keys, progress, reasons, spec, state
from dabbawala.rollout.draft import Draft
from dabbawala.rollout.observed import Situation
from dabbawala.rollout.sets import Set

HISTORY_BYTES_MAX = 2000
"""Characters of the revision history annotation; the oldest are dropped beyond it."""


def adopt(draft: Draft) -> bool:
    """Take ReplicaSets that the selector matches and nobody controls; True when there were any."""
    rollout = draft.situation.rollout
    for orphan in draft.situation.world.orphans:
        references = [*meta.owner_references(orphan), meta.owner_reference(rollout)]
        body = {"metadata": {"uid": meta.uid(orphan), "ownerReferences": references}}
        version = meta.resource_version(orphan)
        draft.act(Patch(apps_v1.REPLICA_SET, meta.key(orphan), body, resource_version=version))
    return bool(draft.situation.world.orphans)


def ensure(draft: Draft) -> bool:
    """Make the set of the current template, at 0 pods, or bring it up to date; True when this pass has written
    something that must be seen first."""
    situation = draft.situation
    if situation.sets.new is None:
        return _create(draft)
    return (
        _renumber(draft)
        or _follow_min_ready(draft, situation.sets.new)
        or _annotate_rollout(draft, situation.sets.new.revision)
    )


def _create(draft: Draft) -> bool:
    situation = draft.situation
    rollout, status = situation.rollout, draft.status
    collisions = state.collision_count(rollout)
    hash_ = identity.mint(spec.template(rollout), collisions)
    name = f"{meta.name(rollout)}-{hash_}"
    if any(item.name == name for item in situation.sets.all):
        status["collisionCount"] = collisions + 1
        draft.look_again()
        return True
    number = _latest(situation) + 1
    draft.event(reasons.NOT_COMPLETED, f"Rollout not completed, started update to revision {number} ({hash_})")
    draft.act(Create(apps_v1.REPLICA_SET, replica_set(situation, name, hash_, number)))
    draft.event(reasons.UPDATED, f"Rollout updated to revision {number}")
    draft.event(reasons.NEW_REPLICA_SET, f"Created ReplicaSet {name} (revision {number})")
    message = f'Created new replica set "{name}"'
    progress.note(draft, reasons.NEW_REPLICA_SET, message)
    return True


def _latest(situation: Situation) -> int:
    return max((item.revision for item in situation.sets.all), default=0)


def replica_set(situation: Situation, name: str, hash_: str, number: int) -> Object:
    """The ReplicaSet of the current template, with no pods yet."""
    rollout = situation.rollout
    template = with_anti_affinity(spec.template(rollout), situation)
    metadata = template.get("metadata") or {}
    labels = {**(metadata.get("labels") or {}), keys.HASH: hash_}
    selector = rollout["spec"].get("selector") or {}
    made: Object = {
        "apiVersion": apps_v1.REPLICA_SET.api_version,
        "kind": apps_v1.REPLICA_SET.kind,
        "metadata": {
            "name": name,
            "namespace": meta.namespace(rollout),
            "labels": {**labels, **_instance(rollout)},
            "annotations": {
                keys.REVISION: str(number),
                keys.DESIRED_REPLICAS: str(spec.replicas(rollout)),
                keys.TEMPLATE_DIGEST: identity.digest(spec.template(rollout)),
            },
            "ownerReferences": [meta.owner_reference(rollout)],
        },
        "spec": {
            "replicas": 0,
            "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), keys.HASH: hash_}},
            "template": {**template, "metadata": {**metadata, "labels": labels}},
        },
    }
    if spec.min_ready_seconds(rollout):
        made["spec"]["minReadySeconds"] = spec.min_ready_seconds(rollout)
    return made


def _instance(rollout: Object) -> dict[str, str]:
    found = meta.labels(rollout).get(keys.INSTANCE_ID)
    return {keys.INSTANCE_ID: found} if found else {}


def with_anti_affinity(template: Object, situation: Situation) -> Object:
    """The template with a term that keeps its pods off nodes that run the stable revision, where asked for."""
    rule = spec.strategy(situation.rollout).get("antiAffinity")
    stable = state.stable_hash(situation.rollout)
    if not rule or not stable:
        return template
    term: Object = {
        "labelSelector": {"matchExpressions": [{"key": keys.HASH, "operator": "In", "values": [stable]}]},
        "topologyKey": "kubernetes.io/hostname",
    }
    preferred = rule.get("preferredDuringSchedulingIgnoredDuringExecution")
    kind = f"{'preferred' if preferred else 'required'}DuringSchedulingIgnoredDuringExecution"
    added = {"weight": int(preferred["weight"]), "podAffinityTerm": term} if preferred else term
    body = template.get("spec") or {}
    affinity = body.get("affinity") or {}
    anti = affinity.get("podAntiAffinity") or {}
    anti = {**anti, kind: [*(anti.get(kind) or ()), added]}
    return {**template, "spec": {**body, "affinity": {**affinity, "podAntiAffinity": anti}}}


def _renumber(draft: Draft) -> bool:
    """A set that is taken up again becomes the newest revision."""
    situation = draft.situation
    new = situation.sets.new
    assert new is not None, "the caller has looked"
    newest = max((item.revision for item in situation.sets.all if item.name != new.name), default=0)
    if new.revision > newest or (new.revision == newest and new.revision > 0):
        return False
    number = newest + 1
    history = [part for part in str(meta.annotations(new.object).get(keys.REVISION_HISTORY, "")).split(",") if part]
    if new.revision:
        history.append(str(new.revision))
    while len(",".join(history)) > HISTORY_BYTES_MAX:
        history.pop(0)
    changes = {keys.REVISION: str(number)} | ({keys.REVISION_HISTORY: ",".join(history)} if history else {})
    draft.event(reasons.NOT_COMPLETED, f"Rollout not completed, started update to revision {number} ({new.hash})")
    draft.annotate(new, **changes)
    draft.event(reasons.UPDATED, f"Rollout updated to revision {number}")
    return True


def _follow_min_ready(draft: Draft, new: Set) -> bool:
    """`minReadySeconds` is no part of the template, so that a change of it reaches the set that is there."""
    wanted = spec.min_ready_seconds(draft.situation.rollout)
    if int((new.object.get("spec") or {}).get("minReadySeconds") or 0) == wanted:
        return False
    version = meta.resource_version(new.object)
    body = {"spec": {"minReadySeconds": wanted or None}}
    draft.act(Patch(apps_v1.REPLICA_SET, meta.key(new.object), body, resource_version=version))
    return True


def _annotate_rollout(draft: Draft, number: int) -> bool:
    """The Rollout carries its revision, and the generation of the workload it refers to."""
    rollout, workload = draft.situation.rollout, draft.situation.world.workload
    wanted = {keys.REVISION: str(number)}
    if workload is not None:
        wanted[keys.WORKLOAD_GENERATION] = str(meta.generation(workload))
    current = meta.annotations(rollout)
    changes = {name: value for name, value in wanted.items() if current.get(name) != value}
    if not changes:
        return False
    body = {"metadata": {"annotations": changes}}
    draft.act(Patch(argoproj_v1alpha1.ROLLOUT, meta.key(rollout), body))
    return True


def clean_up(draft: Draft) -> None:
    """Delete empty sets beyond `revisionHistoryLimit`, oldest first."""
    situation = draft.situation
    others = [item for item in situation.sets.others if not meta.is_deleting(item.object)]
    surplus = len(others) - spec.revision_history_limit(situation.rollout)
    for item in others[: max(surplus, 0)]:
        if item.spec == 0 and item.replicas == 0:
            draft.act(Delete(apps_v1.REPLICA_SET, _key(item.object), uid=meta.uid(item.object)))


def _key(obj: Object) -> ObjectKey:
    return meta.key(obj)
