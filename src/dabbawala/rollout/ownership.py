"""Whose Rollout is it? Two controllers that steer one Rollout would tear it apart, so the rule is plain:

1. A Rollout whose `controller-instance-id` label is not ours is another controller's. We do not touch it at all: that
   is sharding, and its owner writes its status.
2. Where an Argo Rollouts controller runs without such an id (a Deployment named `argo-rollouts`, or of its image, with
   ready replicas), every Rollout without the label in its reach (all namespaces, or its own with `--namespaced`) is
   Argo's. We say so on the Rollout once, by event and condition, and wait until that controller is gone.

Several of our own are kept apart by leader election.
"""

from __future__ import annotations

from collections.abc import Iterable

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import keys

NAME, IMAGE = "argo-rollouts", "argoproj/argo-rollouts"


def is_ours(obj: Object, instance_id: str) -> bool:
    """Rule 1."""
    return meta.labels(obj).get(keys.INSTANCE_ID, "") == instance_id


def claimed_by(rollout: Object, deployments: Iterable[Object], instance_id: str) -> str:
    """Rule 2: who else owns the Rollout, as a sentence with the remedy; empty when nobody does."""
    if instance_id:
        return ""
    for deployment in deployments:
        if not is_argo(deployment) or not int((deployment.get("status") or {}).get("readyReplicas") or 0):
            continue
        arguments = _arguments(deployment)
        if any(text.startswith("--instance-id") for text in arguments):
            continue
        if "--namespaced" in arguments and meta.namespace(deployment) != meta.namespace(rollout):
            continue
        where = f"{meta.namespace(deployment)}/{meta.name(deployment)}"
        return (
            f"the Argo Rollouts controller {where} owns this Rollout; scale it to 0, "
            f"or give one of the two an --instance-id and the Rollout the label {keys.INSTANCE_ID}"
        )
    return ""


def is_argo(deployment: Object) -> bool:
    """A Deployment that runs Argo's controller, by its name or by its image."""
    if meta.name(deployment) == NAME:
        return True
    return any(IMAGE in str(item.get("image", "")) for item in _containers(deployment))


def _containers(deployment: Object) -> list[Object]:
    template = (deployment.get("spec") or {}).get("template") or {}
    return list((template.get("spec") or {}).get("containers") or ())


def _arguments(deployment: Object) -> list[str]:
    return [
        str(text)
        for item in _containers(deployment)
        for text in (*(item.get("command") or ()), *(item.get("args") or ()))
    ]
