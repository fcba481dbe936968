"""HorizontalPodAutoscalers as autoscaling/v1 shows them: one CPU percentage, and annotations for all the rest.

The stored form is that of autoscaling/v2. What v1 has no fields for (other metrics, behaviour, conditions, what was
measured) travels in annotations, so that a client of v1 that writes back what it has read loses nothing.
Source: pkg/apis/autoscaling/v1/conversion.go; the annotations hold the metrics in the form of v1 and the behaviour in
that of Go's internal types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from dabbawala.api import autoscaling_rules
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object

_PREFIX = "autoscaling.alpha.kubernetes.io/"
METRICS, BEHAVIOR = _PREFIX + "metrics", _PREFIX + "behavior"
CURRENT, CONDITIONS = _PREFIX + "current-metrics", _PREFIX + "conditions"
_PERCENT, _CURRENT_PERCENT = "targetCPUUtilizationPercentage", "currentCPUUtilizationPercentage"

_Fields = Mapping[str, Mapping[str, tuple[str, ...]]]
# Source -> field of v1 -> path in v2. `target` is `current` in what was measured.
_SPEC: _Fields = {
    "resource": {
        "name": ("name",),
        "targetAverageUtilization": ("target", "averageUtilization"),
        "targetAverageValue": ("target", "averageValue"),
    },
    "pods": {
        "metricName": ("metric", "name"),
        "selector": ("metric", "selector"),
        "targetAverageValue": ("target", "averageValue"),
    },
    "object": {
        "target": ("describedObject",),
        "metricName": ("metric", "name"),
        "selector": ("metric", "selector"),
        "targetValue": ("target", "value"),
        "averageValue": ("target", "averageValue"),
    },
    "external": {
        "metricName": ("metric", "name"),
        "metricSelector": ("metric", "selector"),
        "targetValue": ("target", "value"),
        "targetAverageValue": ("target", "averageValue"),
    },
}
_CONTAINER = {"container": ("container",)}
_ASKED: _Fields = {**_SPEC, "containerResource": {**_SPEC["resource"], **_CONTAINER}}
_MEASURED: _Fields = {
    source: {
        name.replace("target", "current") if path != ("describedObject",) else name: tuple(
            "current" if part == "target" else part for part in path
        )
        for name, path in fields.items()
    }
    for source, fields in _ASKED.items()
}
# The value that a target gives -> its type.
_TARGET_TYPES = {"averageUtilization": "Utilization", "averageValue": "AverageValue", "value": "Value"}


def default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if spec.get(_PERCENT) is None and not meta.annotations(obj).get(METRICS):
        spec[_PERCENT] = autoscaling_rules.DEFAULT_CPU_PERCENT


def keep_status(new: Object, old: Object | None) -> None:
    """Conditions and measurements are status, although they stand in annotations: they stay as they were."""
    before = meta.annotations(old or {})
    kept = {key: value for key, value in meta.annotations(new).items() if key not in (CURRENT, CONDITIONS)}
    kept.update({key: before[key] for key in (CURRENT, CONDITIONS) if key in before})
    _annotate(new, kept)


def to_v2(obj: Object) -> Object:
    spec, state, noted = dict(obj.get("spec") or {}), dict(obj.get("status") or {}), dict(meta.annotations(obj))
    metrics = []
    percent, measured = spec.pop(_PERCENT, None), state.pop(_CURRENT_PERCENT, None)
    if percent is not None:
        target = {"type": "Utilization", "averageUtilization": percent}
        metrics.append({"type": "Resource", "resource": {"name": "cpu", "target": target}})
    metrics += _each(noted.pop(METRICS, ""), lambda metric: _nested(metric, _ASKED))
    if metrics:
        spec["metrics"] = metrics
    behavior = _read(noted.pop(BEHAVIOR, ""))
    if isinstance(behavior, dict):
        spec["behavior"] = _recased(behavior, str.lower)
    current = _each(noted.pop(CURRENT, ""), lambda metric: _nested(metric, _MEASURED))
    if not current and measured is not None:
        current = [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": measured}}}]
    conditions = _each(noted.pop(CONDITIONS, ""), dict)
    state.update({field: value for field, value in (("currentMetrics", current), ("conditions", conditions)) if value})
    if not state.get("currentReplicas"):
        state.pop("currentReplicas", None)
    return _made(obj, "autoscaling/v2", spec, state, noted)


def from_v2(obj: Object) -> Object:
    spec, state, noted = dict(obj.get("spec") or {}), dict(obj.get("status") or {}), dict(meta.annotations(obj))
    others = []
    for metric in spec.pop("metrics", None) or ():
        percent = _cpu_percent(metric, "target")
        if percent is not None and _PERCENT not in spec:
            spec[_PERCENT] = percent
        else:
            others.append(_flat(metric, _ASKED))
    measured = state.pop("currentMetrics", None) or ()
    percents = [found for metric in measured if (found := _cpu_percent(metric, "current")) is not None]
    if percents:
        state[_CURRENT_PERCENT] = percents[0]
    behavior = spec.pop("behavior", None)
    for key, value in (
        (METRICS, others),
        (BEHAVIOR, _recased(behavior, str.upper) if behavior else None),
        (CURRENT, [_flat(metric, _MEASURED) for metric in measured]),
        (CONDITIONS, state.pop("conditions", None)),
    ):
        if value:
            noted[key] = orjson.dumps(value).decode()
    state.setdefault("currentReplicas", 0)
    return _made(obj, "autoscaling/v1", spec, state, noted)


def _made(obj: Object, version: str, spec: Object, state: Object, noted: Mapping[str, str]) -> Object:
    made = {**obj, "apiVersion": version, "metadata": dict(obj.get("metadata") or {}), "spec": spec}
    if "status" in obj:
        made["status"] = state
    _annotate(made, noted)
    return made


def _annotate(obj: Object, annotations: Mapping[str, str]) -> None:
    metadata = obj.setdefault("metadata", {})
    metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = dict(annotations)


def _cpu_percent(metric: Object, field: str) -> Any:
    resource = metric.get("resource") or {}
    values = resource.get(field) or {}
    return values.get("averageUtilization") if resource.get("name") == "cpu" else None


def _flat(metric: Object, fields: _Fields) -> Object:
    """A metric of v2 in the form of v1."""
    made: Object = {"type": metric.get("type")}
    for source, names in fields.items():
        if metric.get(source) is not None:
            found = {name: _at(metric[source], path) for name, path in names.items()}
            made[source] = {name: value for name, value in found.items() if value is not None}
    return made


def _at(holder: Any, path: Iterable[str]) -> Any:
    for part in path:
        holder = holder.get(part) if isinstance(holder, dict) else None
    return holder


def _nested(metric: Object, fields: _Fields) -> Object:
    """A metric of v1 in the form of v2."""
    made: Object = {"type": metric.get("type")}
    for source, names in fields.items():
        given = metric.get(source)
        if not isinstance(given, dict):
            continue
        made[source] = {}
        for name, path in names.items():
            if given.get(name) is not None:
                holder = made[source]
                for part in path[:-1]:
                    holder = holder.setdefault(part, {})
                holder[path[-1]] = given[name]
        target = made[source].get("target")
        if target:
            target["type"] = next(kind for value, kind in _TARGET_TYPES.items() if value in target)
    return made


def _each(text: str, make: Callable[[Object], Object]) -> list[Object]:
    found = _read(text)
    return [make(item) for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _read(text: str) -> Any:
    """What an annotation holds; None when that is not JSON, as nobody else reads it."""
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        return None


def _recased(value: Any, case: Callable[[str], str]) -> Any:
    """The same with the first letter of every field in upper or lower case; what is null is left out."""
    if isinstance(value, list):
        return [_recased(item, case) for item in value]
    if not isinstance(value, dict):
        return value
    return {case(key[:1]) + key[1:]: _recased(item, case) for key, item in value.items() if item is not None}
