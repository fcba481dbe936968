"""Defaults and validation of ReplicationControllers and PodTemplates, the oldest holders of a pod template.

Source: pkg/apis/core/v1/defaults.go, pkg/apis/core/validation.
"""

from __future__ import annotations

from dabbawala.api import field_checks as check
from dabbawala.api import object_meta, pod_defaults, pod_validation, workload_validation
from dabbawala.api.field_checks import Errors
from dabbawala.apimachinery import status
from dabbawala.apimachinery.meta import Object


def default_controller(obj: Object) -> None:
    """What the template says of its pods is the controller's own, where it says nothing itself."""
    spec = obj.setdefault("spec", {})
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if labels:
        spec["selector"] = spec.get("selector") or dict(labels)
        metadata = obj.setdefault("metadata", {})
        metadata["labels"] = metadata.get("labels") or dict(labels)
    spec.setdefault("replicas", 1)
    if spec.get("template") is not None:
        pod_defaults.template(spec)


def replication_controller(new: Object, old: Object | None) -> Errors:
    spec = new.get("spec") or {}
    for field in ("minReadySeconds", "replicas"):
        yield from check.at_least(spec.get(field), 0, f"spec.{field}")
    yield from object_meta.labels(spec.get("selector") or {}, "spec.selector")
    if not spec.get("selector"):
        yield status.required("spec.selector")
    if spec.get("template") is None:
        yield status.required("spec.template")
        return
    yield from workload_validation.selected(spec, {"matchLabels": spec.get("selector") or {}})
    yield from pod_validation.template(spec, "spec")
    yield from workload_validation.running_for_ever(spec, "ReplicationController")


def pod_template(new: Object, old: Object | None) -> Errors:
    for error in pod_validation.template(new, ""):
        yield status.FieldError(error.field.removeprefix("."), error.reason, error.message)
