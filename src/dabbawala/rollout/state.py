"""What a Rollout's status remembers between two looks: the machine's memory. Source: RolloutStatus, v1alpha1."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import spec


def of(rollout: Object) -> Mapping[str, Any]:
    return rollout.get("status") or {}


def current_hash(rollout: Object) -> str:
    return str(of(rollout).get("currentPodHash") or "")


def stable_hash(rollout: Object) -> str:
    return str(of(rollout).get("stableRS") or "")


def active_hash(rollout: Object) -> str:
    return str((of(rollout).get("blueGreen") or {}).get("activeSelector") or "")


def preview_hash(rollout: Object) -> str:
    return str((of(rollout).get("blueGreen") or {}).get("previewSelector") or "")


def is_aborted(rollout: Object) -> bool:
    return bool(of(rollout).get("abort"))


def promotes_fully(rollout: Object) -> bool:
    return bool(of(rollout).get("promoteFull"))


def is_fully_promoted(rollout: Object) -> bool:
    return bool(stable_hash(rollout)) and stable_hash(rollout) == current_hash(rollout)


def pause_conditions(rollout: Object) -> list[Object]:
    return list(of(rollout).get("pauseConditions") or ())


def pause_started(rollout: Object, reason: str) -> datetime | None:
    for condition in pause_conditions(rollout):
        if condition.get("reason") == reason:
            return clock.parse_time(condition["startTime"])
    return None


def is_controller_paused(rollout: Object) -> bool:
    return bool(of(rollout).get("controllerPause"))


def is_observed(rollout: Object) -> bool:
    """The controller has taken in this generation of the spec."""
    return str(of(rollout).get("observedGeneration") or "") == str(meta.generation(rollout))


def step_index(rollout: Object) -> int | None:
    """Index of the current step; the number of steps when all are done; None when there are none."""
    if not spec.steps(rollout):
        return None
    given = of(rollout).get("currentStepIndex")
    return 0 if given is None else min(int(given), len(spec.steps(rollout)))


def current_step(rollout: Object) -> Object | None:
    index = step_index(rollout)
    if index is None or index >= len(spec.steps(rollout)):
        return None
    return spec.steps(rollout)[index]


def collision_count(rollout: Object) -> int:
    return int(of(rollout).get("collisionCount") or 0)


def checkpoint_passed(rollout: Object) -> bool:
    return bool((of(rollout).get("blueGreen") or {}).get("scaleUpPreviewCheckPoint"))


def weights(rollout: Object) -> Mapping[str, Any]:
    return (of(rollout).get("canary") or {}).get("weights") or {}


def is_observed_once(rollout: Object) -> bool:
    """The controller has looked at this Rollout before."""
    return bool(of(rollout).get("observedGeneration"))


def preview_size(rollout: Object) -> int:
    """Pods of a blue-green Rollout's new set while it is only previewed: all, unless `previewReplicaCount` holds."""
    count, active = spec.preview_replicas(rollout), active_hash(rollout)
    if count is None or not active or active == current_hash(rollout):
        return spec.replicas(rollout)
    if checkpoint_passed(rollout) or promotes_fully(rollout):
        return spec.replicas(rollout)
    return min(count, spec.replicas(rollout))
