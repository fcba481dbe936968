"""Aggregations: many elements to one a group, or a choice of them."""

from __future__ import annotations

import math
from collections.abc import Callable

from dabbawala.timeseries import labels
from dabbawala.timeseries.promql.instant import LABEL_NAME, in_order
from dabbawala.timeseries.promql.ranges import kahan_sum, largest, mean, quantile, smallest, variance
from dabbawala.timeseries.promql.values import Element, QueryError, Vector, format_value

Grouping = Callable[[labels.Labels], labels.Labels]

COMBINE: dict[str, Callable[[list[float]], float]] = {
    "sum": kahan_sum,
    "avg": mean,
    "min": smallest,
    "max": largest,
    "count": lambda values: float(len(values)),
    "group": lambda values: 1.0,
    "stddev": lambda values: math.sqrt(variance(values)),
    "stdvar": variance,
}


def aggregate(op: str, vector: Vector, grouping: Grouping, parameter: float | str | None, now_ms: int) -> Vector:
    groups: dict[labels.Labels, Vector] = {}
    for e in vector:
        groups.setdefault(grouping(e.labels), []).append(e)
    if op in COMBINE:
        return [Element(key, COMBINE[op]([e.value for e in of]), now_ms) for key, of in groups.items()]
    if op == "quantile":
        assert isinstance(parameter, float)
        return [Element(key, quantile(parameter, [e.value for e in of]), now_ms) for key, of in groups.items()]
    if op == "count_values":
        return _count_values(groups, str(parameter), now_ms)
    if op in ("topk", "bottomk", "limitk"):
        assert isinstance(parameter, float)
        return _chosen(op, groups, parameter)
    raise QueryError(f"aggregation {op} is not supported here")


def _count_values(groups: dict[labels.Labels, Vector], label: str, now_ms: int) -> Vector:
    if not LABEL_NAME.fullmatch(label):
        raise QueryError(f"invalid label name {label!r} in count_values()")
    counts: dict[labels.Labels, int] = {}
    for key, of in groups.items():
        for e in of:
            named = labels.replaced(key, label, format_value(e.value))
            counts[named] = counts.get(named, 0) + 1
    return [Element(key, float(count), now_ms) for key, count in counts.items()]


def _chosen(op: str, groups: dict[labels.Labels, Vector], k: float) -> Vector:
    if math.isnan(k):
        raise QueryError(f"{op}: the number of elements is NaN")
    count = max(0, int(k))
    if op == "limitk":
        return [e for of in groups.values() for e in of[:count]]
    return [e for of in groups.values() for e in in_order(of, descending=op == "topk")[:count]]
