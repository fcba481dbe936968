"""What people do to a Rollout, each as one plain patch: the same that Argo's plugin and Argo CD send.

Nothing here is private API, so plugin and dashboards work against our controller, and this command against Argo's.
Source: Argo Rollouts, pkg/kubectl-argo-rollouts/cmd.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from dabbawala.api import apps_v1, argoproj_v1alpha1
from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.patch_type import PatchType
from dabbawala.reconcile.plan import Patch
from dabbawala.rollout import keys, spec, state

ROLLOUT = argoproj_v1alpha1.ROLLOUT


class NotPossible(Exception):
    """The Rollout is not in a state for that; the message says why, and what would work."""


def _status(rollout: Object, **fields: Any) -> Patch:
    return Patch(ROLLOUT, meta.key(rollout), {"status": fields}, subresource="status")


def _spec(rollout: Object, **fields: Any) -> Patch:
    return Patch(ROLLOUT, meta.key(rollout), {"spec": fields})


def promote(rollout: Object) -> list[Patch]:
    """End the pause; without one, leave the current step behind."""
    patches = [_spec(rollout, paused=False)] if spec.is_paused(rollout) else []
    if state.pause_conditions(rollout):
        patches.append(_status(rollout, pauseConditions=None))
    if patches:
        return patches
    index, total = state.step_index(rollout), len(spec.steps(rollout))
    if index is None or index >= total:
        raise NotPossible(f"Rollout {meta.name(rollout)} is not paused, and there is no step left to leave")
    return [_status(rollout, controllerPause=None, currentStepIndex=index + 1)]


def skip_step(rollout: Object) -> list[Patch]:
    """Leave the current step, paused or not."""
    index, total = state.step_index(rollout), len(spec.steps(rollout))
    if index is None:
        raise NotPossible(f"Rollout {meta.name(rollout)} has no steps to skip")
    return [_leave_for(rollout, min(index + 1, total))]


def skip_all(rollout: Object) -> list[Patch]:
    if not spec.steps(rollout):
        raise NotPossible(f"Rollout {meta.name(rollout)} has no steps to skip")
    return [_leave_for(rollout, len(spec.steps(rollout)))]


def _leave_for(rollout: Object, index: int) -> Patch:
    """To another step. That the controller had paused at this one must not count as its promotion there."""
    return _status(rollout, pauseConditions=None, controllerPause=None, currentStepIndex=index)


def promote_fully(rollout: Object) -> list[Patch]:
    """Skip steps, pauses and analyses."""
    patches = [_spec(rollout, paused=False)] if spec.is_paused(rollout) else []
    if not state.is_fully_promoted(rollout):
        patches.append(_status(rollout, promoteFull=True))
    if not patches:
        raise NotPossible(f"Rollout {meta.name(rollout)} is fully promoted already")
    return patches


def pause(rollout: Object) -> list[Patch]:
    return [_spec(rollout, paused=True)]


def abort(rollout: Object) -> list[Patch]:
    return [_status(rollout, abort=True)]


def retry(rollout: Object) -> list[Patch]:
    if not state.is_aborted(rollout):
        raise NotPossible(f"Rollout {meta.name(rollout)} is not aborted; there is nothing to retry")
    return [_status(rollout, abort=False)]


def restart(rollout: Object, at: datetime) -> list[Patch]:
    return [_spec(rollout, restartAt=clock.format_time(at))]


def set_image(rollout: Object, images: Mapping[str, str]) -> list[Patch]:
    """Container name -> image; `*` stands for every container."""
    if (rollout.get("spec") or {}).get("workloadRef"):
        raise NotPossible(f"Rollout {meta.name(rollout)} takes its template from a workload; set the image there")
    pod = (spec.template(rollout).get("spec")) or {}
    names = {str(item.get("name")) for field in _LISTS for item in pod.get(field) or ()}
    unknown = sorted(name for name in images if name != "*" and name not in names)
    if unknown:
        listed = ", ".join(sorted(names))
        raise NotPossible(f"Rollout {meta.name(rollout)} has no container {unknown[0]}; it has {listed}")
    changed = {field: [_with_image(item, images) for item in pod[field]] for field in _LISTS if pod.get(field)}
    return [_spec(rollout, template={"spec": changed})]


_LISTS = ("initContainers", "containers")


def _with_image(container: Object, images: Mapping[str, str]) -> Object:
    wanted = images.get(str(container.get("name")), images.get("*"))
    return {**container, "image": wanted} if wanted else container


def undo(rollout: Object, sets: Iterable[Object], revision: int = 0) -> list[Patch]:
    """The template of another revision, by default the one before the current."""
    numbered = {_revision(item): item for item in sets}
    if not revision:
        earlier = sorted(number for number in numbered if number < max(numbered, default=0))
        if not earlier:
            raise NotPossible(f"Rollout {meta.name(rollout)} has no earlier revision")
        revision = earlier[-1]
    if revision not in numbered:
        known = ", ".join(map(str, sorted(numbered))) or "none"
        raise NotPossible(f"Rollout {meta.name(rollout)} has no revision {revision}; it has {known}")
    template = _without_hash(numbered[revision]["spec"]["template"])
    reference = (rollout.get("spec") or {}).get("workloadRef")
    replace: Any = [{"op": "replace", "path": "/spec/template", "value": template}]
    if reference:
        if reference.get("kind") != "Deployment":
            raise NotPossible(f"only the template of a Deployment can be put back, not of a {reference.get('kind')}")
        key = ObjectKey(meta.namespace(rollout), str(reference.get("name")))
        return [_json_patch(apps_v1.DEPLOYMENT, key, replace)]
    return [_json_patch(ROLLOUT, meta.key(rollout), replace)]


def _json_patch(kind: Any, key: ObjectKey, operations: Any) -> Patch:
    return Patch(kind, key, operations, type=PatchType.JSON)


def _revision(replica_set: Object) -> int:
    text = str(meta.annotations(replica_set).get(keys.REVISION, "0"))
    return int(text) if text.isdecimal() else 0


def _without_hash(template: Object) -> Object:
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {name: value for name, value in (metadata.get("labels") or {}).items() if name != keys.HASH}
    metadata.pop("creationTimestamp", None)
    return {**template, "metadata": metadata}
