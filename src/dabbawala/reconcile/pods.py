"""What controllers ask of pods: is it active, ready, available, and how is one made from a template.

Shared by every controller that owns pods or counts them. Source: pkg/api/v1/pod and pkg/controller in Kubernetes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from dabbawala.apimachinery import clock, conditions, meta
from dabbawala.apimachinery.meta import Object

FINISHED = frozenset({"Succeeded", "Failed"})


def phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase") or "Pending")


def is_finished(pod: Object) -> bool:
    return phase(pod) in FINISHED


def is_active(pod: Object) -> bool:
    """Neither finished nor on its way out."""
    return not is_finished(pod) and not meta.is_deleting(pod)


def is_ready(pod: Object) -> bool:
    return conditions.is_true(pod, "Ready")


def ready_since(pod: Object) -> datetime | None:
    """When the Ready condition last became true; None while it is not."""
    found = conditions.find(pod, "Ready")
    if found is None or found.get("status") != "True" or not found.get("lastTransitionTime"):
        return None
    return clock.parse_time(found["lastTransitionTime"])


def available_at(pod: Object, min_ready_seconds: int) -> datetime | None:
    """When a ready pod has been, or will have been, ready for `min_ready_seconds`; None while it is not ready."""
    since = ready_since(pod)
    return None if since is None else since + timedelta(seconds=min_ready_seconds)


def is_available(pod: Object, min_ready_seconds: int, now: datetime) -> bool:
    if min_ready_seconds == 0:
        return is_ready(pod)
    at = available_at(pod, min_ready_seconds)
    return at is not None and at <= now


def next_available(pods: Iterable[Object], min_ready_seconds: int, now: datetime) -> timedelta | None:
    """How long until the next ready pod becomes available; None when there is nothing to wait for."""
    if min_ready_seconds == 0:
        return None
    moments = (available_at(pod, min_ready_seconds) for pod in pods)
    waits = [moment - now for moment in moments if moment is not None and moment > now]
    return min(waits, default=None)


def restarts(pod: Object) -> int:
    """The most restarts of any container."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return max((int(item.get("restartCount") or 0) for item in statuses), default=0)


def node_name(pod: Object) -> str:
    return str((pod.get("spec") or {}).get("nodeName") or "")


def from_template(template: Object, owner: Object, *, prefix: str) -> Object:
    """A pod as the template says, owned by `owner`, to be named by the server after `prefix`."""
    given = template.get("metadata") or {}
    metadata: Object = {field: dict(given[field]) for field in ("labels", "annotations") if given.get(field)}
    if given.get("finalizers"):
        metadata["finalizers"] = list(given["finalizers"])
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **metadata,
            "generateName": prefix,
            "namespace": meta.namespace(owner),
            "ownerReferences": [meta.owner_reference(owner)],
        },
        "spec": template["spec"],
    }
