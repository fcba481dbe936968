"""How autoscalers look in a table. Source: pkg/printers/internalversion, formatHPAMetrics."""

from __future__ import annotations

from collections.abc import Sequence

from dabbawala.api import autoscaling_rules, autoscaling_v1_form, cells
from dabbawala.apimachinery.meta import Object

_SHOWN = 2


def _v2(obj: Object) -> Object:
    """The stored form; the view of autoscaling/v1 is printed the same."""
    return autoscaling_v1_form.to_v2(obj) if obj.get("apiVersion") == "autoscaling/v1" else obj


def _reference(obj: Object) -> str:
    ref = cells.spec(obj).get("scaleTargetRef") or {}
    return f"{ref.get('kind')}/{ref.get('name')}"


def _targets(obj: Object) -> str:
    obj = _v2(obj)
    asked: Sequence[Object] = cells.spec(obj).get("metrics") or ()
    measured: Sequence[Object] = cells.status(obj).get("currentMetrics") or ()
    shown = [_target(metric, measured[at] if at < len(measured) else {}) for at, metric in enumerate(asked)]
    more = f" + {len(shown) - _SHOWN} more..." if len(shown) > _SHOWN else ""
    return (", ".join(shown[:_SHOWN]) or cells.NONE) + more


def _target(metric: Object, measured: Object) -> str:
    field = autoscaling_rules.SOURCES.get(metric.get("type") or "", "")
    source = metric.get(field)
    if source is None:
        return "<unknown type>"
    target, current = source.get("target") or {}, (measured.get(field) or {}).get("current") or {}
    average = target.get("averageValue") is not None
    if field in ("resource", "containerResource"):
        shown = _plain(target, current, "averageValue") if average else _percents(target, current)
        return f"{source.get('name')}: {shown}"
    if field == "pods" or not average:
        return _plain(target, current, "averageValue" if field == "pods" else "value")
    return _plain(target, current, "averageValue") + " (avg)"


def _plain(target: Object, current: Object, field: str) -> str:
    return f"{current.get(field) or cells.UNKNOWN}/{target.get(field)}"


def _percents(target: Object, current: Object) -> str:
    wanted, found = target.get("averageUtilization"), current.get("averageUtilization")
    return f"{cells.UNKNOWN if found is None else f'{found}%'}/{'<auto>' if wanted is None else f'{wanted}%'}"


def _least(obj: Object) -> str:
    value = cells.spec(obj).get("minReplicas")
    return "<unset>" if value is None else str(value)


AUTOSCALER = (
    cells.NAME,
    cells.column("Reference", _reference),
    cells.column("Targets", _targets),
    cells.column("MinPods", _least),
    cells.column("MaxPods", lambda obj: cells.spec(obj).get("maxReplicas") or 0),
    cells.column("Replicas", lambda obj: cells.status(obj).get("currentReplicas") or 0),
    cells.AGE,
)
