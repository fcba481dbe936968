"""Reading pods: their containers, their security contexts, and where other kinds keep the pods that they make.

A scanner meets manifests that no server has accepted. What has the wrong shape counts as not set: saying that it is
wrong is the schema's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dabbawala.apimachinery.meta import Object

PODS = "pods"
TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "podtemplates": ("template",),
    "replicationcontrollers": ("spec", "template"),
    "replicasets.apps": ("spec", "template"),
    "deployments.apps": ("spec", "template"),
    "statefulsets.apps": ("spec", "template"),
    "daemonsets.apps": ("spec", "template"),
    "jobs.batch": ("spec", "template"),
    "cronjobs.batch": ("spec", "jobTemplate", "spec", "template"),
}
"""By resource, where its pod template is. Source: admission.go defaultPodSpecResources."""

_GROUPS = ("initContainers", "containers", "ephemeralContainers")


def pod_of(resource: str, obj: Mapping[str, Any]) -> tuple[Object, Object] | None:
    """Metadata and spec of a pod, or of the pods that an object makes; None for an object that makes none."""
    if resource == PODS:
        return mapping(obj, "metadata"), mapping(obj, "spec")
    path = TEMPLATES.get(resource)
    if path is None:
        return None
    template: Mapping[str, Any] = obj
    for part in path:
        found = template.get(part)
        if not isinstance(found, dict):
            return None
        template = found
    return mapping(template, "metadata"), mapping(template, "spec")


def mapping(obj: Mapping[str, Any], field: str) -> Object:
    found = obj.get(field)
    return found if isinstance(found, dict) else {}


def items(obj: Mapping[str, Any], field: str) -> Iterator[Object]:
    found = obj.get(field)
    if isinstance(found, list):
        yield from (item for item in found if isinstance(item, dict))


def text(obj: Mapping[str, Any], field: str) -> str:
    found = obj.get(field)
    return found if isinstance(found, str) else ""


def texts(obj: Mapping[str, Any], field: str) -> list[str]:
    found = obj.get(field)
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []


def containers(spec: Object) -> Iterator[tuple[str, Object]]:
    """Every container with its name; those that initialise first, as upstream goes through them."""
    for group in _GROUPS:
        for container in items(spec, group):
            yield text(container, "name"), container


def contexts(spec: Object) -> Iterator[tuple[str, Object]]:
    """The name and the security context of every container."""
    for name, container in containers(spec):
        yield name, mapping(container, "securityContext")


def on_windows(spec: Object) -> bool:
    return text(mapping(spec, "os"), "name") == "windows"


def in_user_namespace(spec: Object) -> bool:
    """Root inside is nobody outside. Source: KEP-127."""
    return spec.get("hostUsers") is False
