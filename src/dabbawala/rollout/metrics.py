"""Numbers about Rollouts and analyses, under the names that Argo's dashboards and alerts use.

Gauges are read off the objects when somebody asks, so they cannot be out of date; counters are kept here. Labels are
bounded by the objects there are, and forgotten with them. Source: Argo Rollouts, docs/features/controller-metrics.md.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.reconcile.plan import Plan, Record
from dabbawala.rollout import phases, spec, state

BUCKETS = (0.01, 0.15, 0.25, 0.5, 1.0)
PHASES = (phases.HEALTHY, phases.PROGRESSING, phases.PAUSED, phases.DEGRADED)
RUN_PHASES = ("Pending", "Running", "Successful", "Failed", "Error", "Inconclusive")

Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Histogram:
    """Counts by upper bound, as Prometheus has them."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(BUCKETS, value)] += 1
        self.total += value


class Metrics:
    """Counters of one controller process."""

    def __init__(self) -> None:
        self.errors: dict[ObjectKey, int] = {}
        self.seconds: dict[ObjectKey, Histogram] = {}
        self.events: dict[tuple[ObjectKey, str, str], int] = {}

    def planned(self, key: ObjectKey, plan: Plan) -> None:
        for action in plan.actions:
            if isinstance(action, Record):
                about = (key, action.type, action.reason)
                self.events[about] = self.events.get(about, 0) + 1

    def took(self, key: ObjectKey, seconds: float) -> None:
        self.seconds.setdefault(key, Histogram()).add(seconds)

    def failed(self, key: ObjectKey) -> None:
        self.errors[key] = self.errors.get(key, 0) + 1

    def forget(self, key: ObjectKey) -> None:
        """The object is gone, and its series with it."""
        self.errors.pop(key, None)
        self.seconds.pop(key, None)
        for about in [about for about in self.events if about[0] == key]:
            del self.events[about]

    def render(self, rollouts: Iterable[Object], runs: Iterable[Object], *, version: str) -> str:
        """The text exposition of everything; in any thread, while counting goes on in another."""
        listed = list(rollouts)
        samples = [
            ("argo_rollouts_controller_info", "gauge", (("version", version),), 1.0),
            *(sample for rollout in listed for sample in _rollout(rollout)),
            *(sample for run in runs for sample in _run(run)),
            *self._counters(),
        ]
        return _text(samples)

    def _counters(self) -> Iterator[Sample]:
        for key, count in list(self.errors.items()):
            yield "rollout_reconcile_error", "counter", _named(key), float(count)
        for (key, type_, reason), count in list(self.events.items()):
            yield "rollout_events_total", "counter", (*_named(key), ("type", type_), ("reason", reason)), float(count)
        for key, histogram in list(self.seconds.items()):
            yield from _histogram("rollout_reconcile", _named(key), histogram)


Sample = tuple[str, str, Labels, float]


def _named(key: ObjectKey) -> Labels:
    return (("namespace", key.namespace), ("name", key.name))


def _rollout(rollout: Object) -> Iterator[Sample]:
    key = meta.key(rollout)
    strategy = "blueGreen" if spec.blue_green(rollout) is not None else "canary"
    router = next(iter(sorted(name for name in (spec.routing(rollout) or {}) if name != "managedRoutes")), "")
    now, _ = phases.seen_by_client(rollout) if rollout.get("status") else (phases.PROGRESSING, "")
    labels = (*_named(key), ("strategy", strategy), ("traffic_router", router), ("phase", now))
    yield "rollout_info", "gauge", labels, 1.0
    for phase in PHASES:
        yield "rollout_phase", "gauge", (*_named(key), ("strategy", strategy), ("phase", phase)), float(phase == now)
    status = state.of(rollout)
    counts = {field: int(status.get(f"{field}Replicas") or 0) for field in ("available", "updated")}
    total = int(status.get("replicas") or 0)
    shown = {
        "available": counts["available"],
        "unavailable": max(0, total - counts["available"]),
        "desired": spec.replicas(rollout),
        "updated": counts["updated"],
    }
    for name, count in shown.items():
        yield f"rollout_info_replicas_{name}", "gauge", _named(key), float(count)


def _run(run: Object) -> Iterator[Sample]:
    key, status = meta.key(run), run.get("status") or {}
    now = str(status.get("phase") or "Pending")
    yield "analysis_run_info", "gauge", (*_named(key), ("phase", now)), 1.0
    for phase in RUN_PHASES:
        yield "analysis_run_phase", "gauge", (*_named(key), ("phase", phase)), float(phase == now)
    results = {item.get("name"): item for item in status.get("metricResults") or ()}
    for metric in (run.get("spec") or {}).get("metrics") or ():
        name = str(metric.get("name"))
        kind = next(iter(metric.get("provider") or {}), "")
        found = str((results.get(name) or {}).get("phase") or "Pending")
        labels = (*_named(key), ("metric", name), ("type", kind))
        yield "analysis_run_metric_type", "gauge", labels, 1.0
        yield "analysis_run_metric_phase", "gauge", (*labels, ("phase", found)), 1.0


def _histogram(name: str, labels: Labels, histogram: Histogram) -> Iterator[Sample]:
    seen = 0
    for bound, count in zip((*(f"{bound:g}" for bound in BUCKETS), "+Inf"), histogram.counts, strict=True):
        seen += count
        yield f"{name}_bucket", "histogram", (*labels, ("le", bound)), float(seen)
    yield f"{name}_sum", "histogram", labels, histogram.total
    yield f"{name}_count", "histogram", labels, float(seen)


def _text(samples: Iterable[Sample]) -> str:
    """Grouped by family, each with its TYPE line."""
    families: dict[str, list[str]] = {}
    types: dict[str, str] = {}
    for name, type_, labels, value in samples:
        family = name.rsplit("_", 1)[0] if type_ == "histogram" else name
        types[family] = type_
        shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
        families.setdefault(family, []).append(f"{name}{{{shown}}} {_number(value)}")
    lines = []
    for family, listed in families.items():
        lines += [f"# TYPE {family} {types[family]}", *listed]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    """Whole numbers in full: a counter that has lost its last digits does not count."""
    return str(int(value)) if value.is_integer() else repr(value)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
