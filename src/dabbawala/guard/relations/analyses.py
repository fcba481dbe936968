"""The analyses of a Rollout: which templates it runs when, and whether they can come to an end with what they get."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Function
from dabbawala.guard.world import TYPE, World

_TEMPLATE, _CLUSTER_TEMPLATE = "AnalysisTemplate.argoproj.io", "ClusterAnalysisTemplate.argoproj.io"


class _Use(NamedTuple):
    analysis: Mapping[str, Any]
    field: str
    background: bool


def analyses(world: World, rollout: Mapping[str, Any]) -> list[Object]:
    """Those whose template is here: `template`, `field`, `missing` (arguments that nobody gives) and `endless` (metrics
    that a step would wait for in vain)."""
    obj: Object = dict(rollout)
    return list(_analyses(world, obj))


def _analyses(world: World, rollout: Object) -> Iterator[Object]:
    for use in _uses((rollout.get("spec") or {}).get("strategy") or {}):
        given = {argument.get("name") for argument in use.analysis.get("args") or ()}
        for ref in use.analysis.get("templates") or ():
            name = str(ref.get("templateName") or "")
            kind, home = (_CLUSTER_TEMPLATE, "") if ref.get("clusterScope") else (_TEMPLATE, meta.namespace(rollout))
            template = world.find(kind, home, name)
            if template is not None:
                spec = template.get("spec") or {}
                yield {
                    "template": name,
                    "field": use.field,
                    "missing": [argument for argument in _needed(spec) if argument not in given],
                    "endless": [] if use.background else _endless(spec),
                }


def _uses(strategy: Mapping[str, Any]) -> Iterator[_Use]:
    canary, blue_green = strategy.get("canary") or {}, strategy.get("blueGreen") or {}
    if canary.get("analysis"):
        yield _Use(canary["analysis"], "spec.strategy.canary.analysis", True)
    for index, step in enumerate(canary.get("steps") or ()):
        if step.get("analysis"):
            yield _Use(step["analysis"], f"spec.strategy.canary.steps[{index}].analysis", False)
    for field in ("prePromotionAnalysis", "postPromotionAnalysis"):
        if blue_green.get(field):
            yield _Use(blue_green[field], f"spec.strategy.blueGreen.{field}", False)


def _needed(spec: Mapping[str, Any]) -> Iterator[str]:
    for argument in spec.get("args") or ():
        if argument.get("value") is None and argument.get("valueFrom") is None:
            yield str(argument.get("name"))


def _endless(spec: Mapping[str, Any]) -> list[str]:
    bounds = ("count", "consecutiveSuccessLimit")
    metrics = spec.get("metrics") or ()
    return [str(m.get("name")) for m in metrics if m.get("interval") and not any(m.get(bound) for bound in bounds)]


FUNCTIONS = (Function("analyses", (TYPE, "dyn"), "list<dyn>", analyses, receiver=True),)
