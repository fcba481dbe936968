"""Which pod and container a stream or log is about, with the answers kubectl's users know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver.objects import Objects
from dabbawala.cluster.apiserver.routes import Target

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


def bound_pod(objects: Objects, target: Target) -> Object:
    """The pod, which has a node. Raises NotFound or BadRequest."""
    pod = objects.get("pods", target.namespace, target.name)
    if pod is None:
        raise status.not_found("pods", target.name)
    if not pod["spec"].get("nodeName"):
        raise status.BadRequest(f"pod {target.name} does not have a host assigned")
    return pod


def running_pod(objects: Objects, target: Target) -> Object:
    """A bound pod that has not ended. Raises NotFound or BadRequest."""
    pod = bound_pod(objects, target)
    phase = (pod.get("status") or {}).get("phase")
    if phase in ("Succeeded", "Failed"):
        raise status.BadRequest(f"cannot exec into a container in a completed pod; current phase is {phase}")
    return pod


def wanted_container(pod: Object, asked: str) -> str:
    """The container asked for, else the pod's default. Raises BadRequest."""
    names = list(_names(pod, "containers"))
    every = [*names, *_names(pod, "initContainers"), *_names(pod, "ephemeralContainers")]
    if asked:
        if asked not in every:
            raise status.BadRequest(f"container {asked} is not valid for pod {meta.name(pod)}")
        return asked
    preferred = meta.annotations(pod).get(DEFAULT_CONTAINER)
    if preferred in names:
        return str(preferred)
    if len(every) == 1:
        return every[0]
    inits = list(_names(pod, "initContainers"))
    also = f" or one of the init containers: [{' '.join(inits)}]" if inits else ""
    raise status.BadRequest(
        f"a container name must be specified for pod {meta.name(pod)}, choose one of: [{' '.join(names)}]{also}"
    )


def _names(pod: Object, field: str) -> Iterator[str]:
    containers: list[Any] = pod["spec"].get(field) or []
    return (str(one["name"]) for one in containers)


def container_state(pod: Object, name: str) -> Object:
    """The container's state as last published; empty when nothing has been."""
    status_ = pod.get("status") or {}
    for field in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for one in status_.get(field) or ():
            if one.get("name") == name:
                return dict(one)
    return {}
