"""The workloads' manifests, made to fit a machine, by factors that the report states.

Two hundred and a thousand replicas of real processes do not fit two cores, and nobody watches a pause of an hour. So
replicas, requests of CPU and memory, pauses, probe delays, analysis intervals and the windows of queries are divided;
what is released, in which steps, by which weights and judged by which thresholds stays as written. One threshold is
the exception: conversion compared with the old version's, because a few dozen purchases differ by chance alone. Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dabbawala.apimachinery.meta import Object

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
WINDOW = re.compile(r"\[(\d+(?:ms|s|m|h))\]")
WINDOW_SECONDS_MIN = 5.0
WINDOW_SECONDS_PER = 300.0
"""A window of `WINDOW_SECONDS_PER` becomes no shorter than `WINDOW_SECONDS_MIN`, a longer one in proportion."""

INTERVAL_SECONDS_MIN = 1.0
FIRST_LOOK_SECONDS_MIN = WINDOW_SECONDS_MIN
"""Nothing is judged before its whole window lies in the time of the new version."""

COMPARED = re.compile(r"(?<=result\[0\] >= )0\.95$")
NOISE_DEVIATIONS = 3.0

PROBE_SECONDS_MIN = {
    "readinessProbe": {"initialDelaySeconds": 0, "periodSeconds": 1},
    "livenessProbe": {"initialDelaySeconds": 10, "periodSeconds": 5},
}
"""A pod is ready as soon as it says so; but no busy machine may be mistaken for a dead program."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """`replicas` is the count to run; `time` is what durations are divided by; `resources` what requests are.

    `compared` is how many events of each kind a comparison of the new version with the old one can expect to count
    when it first looks; 0 leaves its threshold as it is.
    """

    replicas: int
    preview_replicas: int
    time: float
    resources: float
    compared: float = 0.0

    @property
    def noise(self) -> float:
        """What a ratio of two such counts may be off by chance: three standard deviations of a Poisson count."""
        return NOISE_DEVIATIONS * math.sqrt(2 / self.compared) if self.compared else 0.0


def seconds(duration: str | int) -> float:
    """`300s`, `1h30m` or a number of seconds."""
    if isinstance(duration, int) or duration.isdigit():
        return float(duration)
    return sum(float(number) * SECONDS[unit] for number, unit in DURATION.findall(duration))


def shorten(duration: str | int, factor: float, at_least: float = 1) -> str:
    return f"{max(at_least, round(seconds(duration) / factor)):g}s"


def query(text: str, factor: float) -> str:
    """The same query with shorter windows; a window keeps enough scrapes for a rate."""

    def window(found: re.Match[str]) -> str:
        least = WINDOW_SECONDS_MIN * max(1.0, seconds(found[1]) / WINDOW_SECONDS_PER)
        return f"[{shorten(found[1], factor, least)}]"

    return WINDOW.sub(window, text)


def scaled(manifest: Object, scaling: Scaling) -> Object:
    """A copy of the manifest at that scale; kinds that carry no scale are returned as they are."""
    adapt: dict[str, Callable[[Object, Scaling], Object]] = {"Rollout": _rollout, "AnalysisTemplate": _analysis}
    change = adapt.get(manifest.get("kind", ""))
    return change(manifest, scaling) if change else manifest


def _rollout(manifest: Object, scaling: Scaling) -> Object:
    spec = {**manifest["spec"], "replicas": scaling.replicas}
    strategy = dict(spec["strategy"])
    if "blueGreen" in strategy:
        strategy["blueGreen"] = _blue_green(strategy["blueGreen"], scaling)
    if "canary" in strategy:
        canary = strategy["canary"]
        strategy["canary"] = {**canary, "steps": [_step(step, scaling.time) for step in canary.get("steps", ())]}
    return {**manifest, "spec": {**spec, "strategy": strategy, "template": _template(spec["template"], scaling)}}


def _blue_green(blue_green: Object, scaling: Scaling) -> Object:
    changed = dict(blue_green)
    if "previewReplicaCount" in changed:
        changed["previewReplicaCount"] = scaling.preview_replicas
    if "scaleDownDelaySeconds" in changed:
        changed["scaleDownDelaySeconds"] = max(5, round(changed["scaleDownDelaySeconds"] / scaling.time))
    return changed


def _step(step: Object, factor: float) -> Object:
    duration = (step.get("pause") or {}).get("duration")
    return {"pause": {"duration": shorten(duration, factor)}} if duration is not None else step


def _template(template: Object, scaling: Scaling) -> Object:
    spec = template["spec"]
    containers = [_container(container, scaling) for container in spec["containers"]]
    return {**template, "spec": {**spec, "containers": containers}}


def _container(container: Object, scaling: Scaling) -> Object:
    changed = dict(container)
    for probe in PROBE_SECONDS_MIN:
        if probe in changed:
            changed[probe] = _probe(probe, changed[probe], scaling.time)
    requests = (changed.get("resources") or {}).get("requests")
    if requests:
        smaller = {
            resource: _divided(resource, str(amount), scaling.resources) for resource, amount in requests.items()
        }
        changed["resources"] = {**changed["resources"], "requests": smaller}
    return changed


def _probe(name: str, probe: Object, factor: float) -> Object:
    least = PROBE_SECONDS_MIN[name]
    return {**probe, **{field: max(least[field], round(probe[field] / factor)) for field in least if field in probe}}


def _divided(resource: str, amount: str, factor: float) -> str:
    number, unit = re.fullmatch(r"(\d+)(\D*)", amount).groups()  # type: ignore[union-attr]  # our own manifests
    if resource == "cpu":
        return f"{max(1, math.ceil(int(number) * (1 if unit == 'm' else 1000) / factor))}m"
    return f"{max(1, math.ceil(int(number) * (1024 if unit == 'Gi' else 1) / factor))}Mi"


def _analysis(manifest: Object, scaling: Scaling) -> Object:
    metrics = [_metric(metric, scaling) for metric in manifest["spec"]["metrics"]]
    return {**manifest, "spec": {**manifest["spec"], "metrics": metrics}}


def _metric(metric: Object, scaling: Scaling) -> Object:
    changed: dict[str, Any] = dict(metric)
    for field, least in (("interval", INTERVAL_SECONDS_MIN), ("initialDelay", FIRST_LOOK_SECONDS_MIN)):
        if field in changed:
            changed[field] = shorten(changed[field], scaling.time, least)
    if changed["name"] == "conversion-rate":
        threshold = f"{0.95 - scaling.noise:.2f}"
        changed["successCondition"] = COMPARED.sub(threshold, changed["successCondition"])
    prometheus = changed.get("provider", {}).get("prometheus")
    if prometheus:
        changed["provider"] = {"prometheus": {**prometheus, "query": query(prometheus["query"], scaling.time)}}
    return changed
