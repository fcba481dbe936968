"""Defaults and validation of HorizontalPodAutoscalers, in the form of autoscaling/v2.

Source: pkg/apis/autoscaling/v2/defaults.go, pkg/apis/autoscaling/validation.
"""

from __future__ import annotations

from typing import Any

from dabbawala.api import field_checks as check
from dabbawala.api import names
from dabbawala.api.field_checks import Errors
from dabbawala.apimachinery import quantity, status
from dabbawala.apimachinery.meta import Object

DEFAULT_CPU_PERCENT = 80
MAX_STABILIZATION_SECONDS = 3600
MAX_PERIOD_SECONDS = 1800
# Type of a metric -> the field that describes it.
SOURCES = {
    "ContainerResource": "containerResource", "External": "external", "Object": "object", "Pods": "pods",
    "Resource": "resource",
}  # fmt: skip
_TARGETS = ("Utilization", "Value", "AverageValue")
_SELECTED = ("Disabled", "Max", "Min")
_POLICIES = ("Percent", "Pods")
_PERIOD_SECONDS = 15


def default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": DEFAULT_CPU_PERCENT}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    for metric in spec["metrics"]:
        for field in SOURCES.values():
            _canonical((metric.get(field) or {}).get("target") or {}, "value", "averageValue")
    behavior = spec.get("behavior")
    if behavior is not None:
        behavior["scaleUp"] = _rules(behavior.get("scaleUp"), {"stabilizationWindowSeconds": 0}, _policy("Pods", 4))
        behavior["scaleDown"] = _rules(behavior.get("scaleDown"), {})


def _canonical(holder: Object, *fields: str) -> None:
    for field in fields:
        if quantity.is_valid(holder.get(field)):
            holder[field] = quantity.canonical(holder[field])


def _policy(kind: str, value: int) -> Object:
    return {"type": kind, "value": value, "periodSeconds": _PERIOD_SECONDS}


def _rules(given: Object | None, usual: Object, *policies: Object) -> Object:
    wanted = {field: value for field, value in (given or {}).items() if value is not None}
    _canonical(wanted, "tolerance")
    return {**usual, "selectPolicy": "Max", "policies": [*policies, _policy("Percent", 100)], **wanted}


def autoscaler(new: Object, old: Object | None) -> Errors:
    spec = new.get("spec") or {}
    least, most = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    if least is not None and least < 1:
        yield status.invalid("spec.minReplicas", least, "must be greater than or equal to 1")
    if most < 1:
        yield status.invalid("spec.maxReplicas", most, "must be greater than 0")
    if least is not None and most < least:
        yield status.invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    yield from _reference(spec.get("scaleTargetRef") or {}, "spec.scaleTargetRef")
    for index, metric in enumerate(spec.get("metrics") or ()):
        yield from _metric(metric, f"spec.metrics[{index}]")
    for direction, rules in (spec.get("behavior") or {}).items():
        if rules is not None:
            yield from _scaling(rules, f"spec.behavior.{direction}")


def _reference(ref: Object, path: str) -> Errors:
    for field in ("kind", "name"):
        yield from check.named(ref.get(field), names.path_segment, f"{path}.{field}")


def _metric(metric: Object, path: str) -> Errors:
    kind = metric.get("type")
    if not kind:
        yield status.required(f"{path}.type", "must specify a metric source type")
    if kind not in SOURCES:
        yield status.not_supported(f"{path}.type", kind or "", tuple(SOURCES))
    present = [field for field in SOURCES.values() if metric.get(field) is not None]
    if present:
        yield from _source(present[0], metric[present[0]], f"{path}.{present[0]}")
    expected = SOURCES.get(kind or "", (kind or "").lower())
    if expected not in present:
        yield status.required(f"{path}.{expected}", "must populate information for the given metric source")
    for field in present:
        if field != expected:
            yield status.forbidden(f"{path}.{field}", "must populate the given metric source only")


def _source(field: str, source: Object, path: str) -> Errors:
    target = source.get("target") or {}
    if field in ("resource", "containerResource"):
        if not source.get("name"):
            yield status.required(f"{path}.name", "must specify a resource name")
        if field == "containerResource" and not source.get("container"):
            yield status.required(f"{path}.container", "must specify a container")
        yield from _target(target, f"{path}.target")
        yield from _raw_or_percent(target, f"{path}.target")
        return
    if field == "object":
        yield from _reference(source.get("describedObject") or {}, f"{path}.describedObject")
    yield from _identifier(source.get("metric") or {}, f"{path}.metric")
    yield from _target(target, f"{path}.target")
    yield from _value_or_average(field, target, f"{path}.target")


def _raw_or_percent(target: Object, path: str) -> Errors:
    percent, raw = target.get("averageUtilization"), target.get("averageValue")
    if percent is None and raw is None:
        message = "must set either a target raw value or a target utilization"
        yield status.required(f"{path}.averageUtilization", message)
    if percent is not None and raw is not None:
        message = "may not set both a target raw value and a target utilization"
        yield status.forbidden(f"{path}.averageValue", message)


def _value_or_average(field: str, target: Object, path: str) -> Errors:
    value, average = target.get("value"), target.get("averageValue")
    if field == "pods":
        if not _is_positive(average):
            yield status.required(f"{path}.averageValue", "must specify a positive target averageValue")
        return
    if value is None and average is None:
        missing = (
            "must set either a target value or averageValue"
            if field == "object"
            else "must set either a target value for metric or a per-pod target"
        )
        yield status.required(f"{path}.averageValue", missing)
    if field == "external" and value is not None and average is not None:
        message = "may not set both a target value for metric and a per-pod target"
        yield status.forbidden(f"{path}.value", message)


def _identifier(metric: Object, path: str) -> Errors:
    if not metric.get("name"):
        yield status.required(f"{path}.name", "must specify a metric name")
    else:
        yield from check.named(metric["name"], names.path_segment, f"{path}.name")


def _target(target: Object, path: str) -> Errors:
    kind, percent = target.get("type"), target.get("averageUtilization")
    if not kind:
        yield status.required(f"{path}.type", "must specify a metric target type")
    if kind not in _TARGETS:
        yield status.invalid(f"{path}.type", kind or "", "must be either Utilization, Value, or AverageValue")
    for field in ("value", "averageValue"):
        if target.get(field) is not None and not _is_positive(target[field]):
            yield status.invalid(f"{path}.{field}", str(target[field]), "must be positive")
    if percent is not None and percent < 1:
        yield status.invalid(f"{path}.averageUtilization", percent, "must be greater than 0")


def _is_positive(value: Any) -> bool:
    return quantity.is_valid(value) and quantity.parse(value) > 0


def _scaling(rules: Object, path: str) -> Errors:
    window, chosen = rules.get("stabilizationWindowSeconds"), rules.get("selectPolicy")
    if window is not None and window < 0:
        yield status.invalid(f"{path}.stabilizationWindowSeconds", window, "must be greater than or equal to zero")
    if window is not None and window > MAX_STABILIZATION_SECONDS:
        message = f"must be less than or equal to {MAX_STABILIZATION_SECONDS}"
        yield status.invalid(f"{path}.stabilizationWindowSeconds", window, message)
    if chosen is not None and chosen not in _SELECTED:
        yield status.not_supported(f"{path}.selectPolicy", chosen, _SELECTED)
    if not rules.get("policies"):
        yield status.required(f"{path}.policies", "must specify at least one Policy")
    for index, policy in enumerate(rules.get("policies") or ()):
        yield from _scaling_policy(policy, f"{path}.policies[{index}]")


def _scaling_policy(policy: Object, path: str) -> Errors:
    if policy.get("type") not in _POLICIES:
        yield status.not_supported(f"{path}.type", policy.get("type") or "", _POLICIES)
    for field in ("value", "periodSeconds"):
        if (policy.get(field) or 0) <= 0:
            yield status.invalid(f"{path}.{field}", policy.get(field) or 0, "must be greater than zero")
    if (policy.get("periodSeconds") or 0) > MAX_PERIOD_SECONDS:
        message = f"must be less than or equal to {MAX_PERIOD_SECONDS}"
        yield status.invalid(f"{path}.periodSeconds", policy["periodSeconds"], message)
