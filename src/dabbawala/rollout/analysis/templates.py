"""From AnalysisTemplates and a Rollout's arguments to the spec of one AnalysisRun.

Templates are flattened (a template may name others), their metrics and arguments joined; an argument given twice with
different values, or left without a value, is an error. Source: Argo Rollouts, utils/analysis/factory.go and helpers.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dabbawala.apimachinery import jsonpath, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import state
from dabbawala.rollout.observed import Situation, Templates

TEMPLATE, CLUSTER_TEMPLATE = "AnalysisTemplate", "ClusterAnalysisTemplate"


class Unusable(Exception):
    """The templates or arguments do not make a run; the message says why."""


def reference_key(reference: Object) -> tuple[str, str]:
    kind = CLUSTER_TEMPLATE if reference.get("clusterScope") else TEMPLATE
    return kind, str(reference.get("templateName", ""))


def flatten(references: Iterable[Object], known: Templates) -> list[Object]:
    """Every template referred to, directly or through others, each once, however often and in whatever circle it is
    named. Raises Unusable."""
    found: dict[tuple[str, str], Object] = {}
    waiting = list(references)[::-1]
    while waiting:
        kind, name = key = reference_key(waiting.pop())
        if key in found:
            continue
        if key not in known:
            raise Unusable(f"{kind} '{name}' not found")
        found[key] = known[key]
        waiting += ((known[key].get("spec") or {}).get("templates") or ())[::-1]
    return list(found.values())


def run_spec(situation: Situation, analysis: Object) -> Object:
    """The spec of the AnalysisRun that an analysis block of the Rollout asks for. Raises Unusable."""
    given = [argument(situation, item) for item in analysis.get("args") or ()]
    return build(flatten(analysis.get("templates") or (), situation.world.templates), given, analysis)


def build(templates: list[Object], given: list[Object], extra: Object) -> Object:
    """Join templates and arguments. `extra` may add dryRun and measurementRetention."""
    bodies = [item.get("spec") or {} for item in templates]
    metrics = [metric for body in bodies for metric in body.get("metrics") or ()]
    names = [str(metric.get("name")) for metric in metrics]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Unusable(f"two metrics have the same name '{twice}'")
    if not metrics:
        raise Unusable("the analysis has no metrics")
    made: Object = {"metrics": metrics}
    arguments = merge([arg for body in bodies for arg in body.get("args") or ()], given)
    if arguments:
        made["args"] = arguments
    for field in ("dryRun", "measurementRetention"):
        joined = [item for body in (*bodies, extra) for item in body.get(field) or ()]
        if joined:
            made[field] = joined
    ttl = next((body["ttlStrategy"] for body in bodies if body.get("ttlStrategy")), None)
    return made | ({"ttlStrategy": ttl} if ttl else {})


def merge(declared: Iterable[Object], given: Iterable[Object]) -> list[Object]:
    """Arguments the templates declare, with the values given, or else their own. Raises Unusable."""
    merged: dict[str, Object] = {}
    for item in declared:
        name = str(item.get("name"))
        if item.get("value") is not None and item.get("valueFrom"):
            raise Unusable(f"arg '{name}' has both Value and ValueFrom fields")
        other = merged.setdefault(name, dict(item))
        if _value(other) is not None and _value(item) is not None and _value(other) != _value(item):
            shown = f"'{other.get('value')}', '{item.get('value')}'"
            raise Unusable(f"Argument '{name}' specified multiple times with different values: {shown}")
        if _value(other) is None:
            merged[name] = dict(item)
    for item in given:
        name = str(item.get("name"))
        if _value(item) is not None or name not in merged:
            merged[name] = dict(item)
    missing = [name for name, item in merged.items() if _value(item) is None]
    if missing:
        raise Unusable(f"args.{missing[0]} was not resolved")
    return list(merged.values())


def _value(item: Mapping[str, Any]) -> Any:
    return item.get("value") if item.get("value") is not None else item.get("valueFrom")


def argument(situation: Situation, item: Object) -> Object:
    """One argument of the Rollout with its value looked up. Secrets are left to the run. Raises Unusable."""
    source = item.get("valueFrom") or {}
    name, value = str(item.get("name")), item.get("value")
    if source.get("secretKeyRef"):
        return {"name": name, "valueFrom": {"secretKeyRef": source["secretKeyRef"]}}
    if source.get("podTemplateHashValue"):
        latest = source["podTemplateHashValue"] == "Latest"
        new = situation.sets.new
        value = (new.hash if new else "") if latest else state.stable_hash(situation.rollout)
    elif source.get("fieldRef"):
        value = field(situation.rollout, str(source["fieldRef"].get("fieldPath", "")))
    return {"name": name} if value is None else {"name": name, "value": str(value)}


def field(rollout: Object, path: str) -> str:
    """Any path of the Rollout, such as `metadata.labels['app']` or `spec.replicas`. Raises Unusable."""
    try:
        found = jsonpath.first(rollout, "{." + path.lstrip(".") + "}")
    except ValueError as wrong:
        raise Unusable(f"fieldRef {path!r}: {wrong}") from wrong
    if found is None:
        raise Unusable(f"fieldRef {path!r}: Rollout {meta.name(rollout)} has no such field")
    return str(found).lower() if isinstance(found, bool) else str(found)
