"""PodDisruptionBudget: how many of the selected pods are healthy, how many must be, how many may go.

Percentages are of the pods that the owning workloads ask for, not of those that happen to exist.
Source: pkg/controller/disruption in Kubernetes 1.37.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from dabbawala.api import policy_v1
from dabbawala.apimachinery import clock, conditions, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile import pods
from dabbawala.reconcile.plan import Plan, status_change

DISRUPTION_ALLOWED = "DisruptionAllowed"
DELETION_TIMEOUT = timedelta(minutes=2)
"""How long an eviction that was granted counts as a pod that goes, if it does not."""


def plan(desired: Object, selected: Sequence[Object], expected: int, now: datetime) -> Plan:
    """`expected` is the sum of the scales of the controllers of the selected pods."""
    counted = {meta.name(pod): pod for pod in selected if pods.is_active(pod)}
    granted = _still_going(desired, counted, now)
    healthy = sum(pods.is_ready(pod) for name, pod in counted.items() if name not in granted)
    total, needed = _needed(desired, len(counted), expected)
    allowed = max(healthy - needed, 0) if total > 0 else 0
    status: Object = {
        "currentHealthy": healthy,
        "desiredHealthy": needed,
        "expectedPods": total,
        "disruptionsAllowed": allowed,
        "observedGeneration": meta.generation(desired),
        "disruptedPods": granted or None,
        "conditions": conditions.put(
            (desired.get("status") or {}).get("conditions") or (), _condition(desired, allowed), now
        ),
    }
    if set((desired.get("status") or {}).get("disruptedPods") or {}) - set(granted):
        gone = {name: None for name in desired["status"]["disruptedPods"] if name not in granted}
        status["disruptedPods"] = {**granted, **gone}
    waits = [clock.parse_time(at) + DELETION_TIMEOUT - now for at in granted.values()]
    return Plan(status_change(policy_v1.POD_DISRUPTION_BUDGET, desired, status), min(waits, default=None))


def _condition(desired: Object, allowed: int) -> conditions.Condition:
    generation = meta.generation(desired)
    if allowed > 0:
        return conditions.Condition(DISRUPTION_ALLOWED, "True", "SufficientPods", observed_generation=generation)
    return conditions.Condition(DISRUPTION_ALLOWED, "False", "InsufficientPods", observed_generation=generation)


def _still_going(desired: Object, counted: dict[str, Object], now: datetime) -> dict[str, str]:
    """Evictions that were granted and whose pods are still there unmarked, for as long as that may last."""
    granted = (desired.get("status") or {}).get("disruptedPods") or {}
    return {
        name: at for name, at in granted.items() if name in counted and clock.parse_time(at) + DELETION_TIMEOUT > now
    }


def _needed(desired: Object, present: int, expected: int) -> tuple[int, int]:
    """(pods that count, pods that must be healthy)."""
    spec = desired["spec"]
    unavailable, available = spec.get("maxUnavailable"), spec.get("minAvailable")
    if unavailable is not None:
        return expected, max(expected - _share(unavailable, expected), 0)
    if isinstance(available, str):
        return expected, _share(available, expected)
    return present, int(available or 0)


def _share(value: int | str, total: int) -> int:
    """Percentages round up, for both fields."""
    return value if isinstance(value, int) else math.ceil(int(value.removesuffix("%")) * total / 100)
