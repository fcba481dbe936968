"""The events that a change of a pod's status is worth. Pure. Source: pkg/kubelet/events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.kubelet import pod_spec
from dabbawala.cluster.kubelet.container_status import CRASH_LOOP


class News(NamedTuple):
    """An event about a pod: type, reason, message."""

    type: str
    reason: str
    message: str


def of(pod: Mapping[str, Any], changes: Object) -> Iterator[News]:
    """News in `changes`, a status change that is about to be published for the pod."""
    old = pod_spec.status(pod)
    for field in ("initContainerStatuses", "containerStatuses"):
        before = {one["name"]: one for one in old.get(field) or ()}
        for status in changes.get(field) or ():
            yield from _container(pod, before.get(status["name"]) or {}, status)
    if changes.get("reason") and changes["reason"] != old.get("reason"):
        yield News("Warning", str(changes["reason"]), str(changes.get("message") or ""))


def _container(pod: Mapping[str, Any], before: Object, after: Object) -> Iterator[News]:
    waiting = (after.get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason", "")
    was = ((before.get("state") or {}).get("waiting") or {}).get("reason", "")
    if reason == was and after.get("restartCount") == before.get("restartCount"):
        return
    name, image, message = after["name"], after.get("image", ""), waiting.get("message", "")
    match reason:
        case "ErrImagePull":
            yield News("Warning", "Failed", f'Failed to pull image "{image}": {message}')
            yield News("Warning", "Failed", "Error: ErrImagePull")
        case "ImagePullBackOff":
            yield News("Normal", "BackOff", f'Back-off pulling image "{image}"')
            yield News("Warning", "Failed", "Error: ImagePullBackOff")
        case "ErrImageNeverPull":
            yield News("Warning", "ErrImageNeverPull", message)
            yield News("Warning", "Failed", "Error: ErrImageNeverPull")
        case "CreateContainerConfigError" | "CreateContainerError":
            yield News("Warning", "Failed", f"Error: {message}")
    if reason == CRASH_LOOP:
        described = pod_spec.describe(pod)
        yield News("Warning", "BackOff", f"Back-off restarting failed container {name} in pod {described}")
