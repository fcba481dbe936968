"""histogram_quantile over classic buckets. Source: Prometheus promql/quantile.go."""

from __future__ import annotations

import math
from collections.abc import Iterable

from dabbawala.timeseries import labels
from dabbawala.timeseries.promql.values import Element, Vector

SMALL_DELTA = 1e-12
Bucket = tuple[float, float]


def histogram_quantile(fraction: float, vector: Vector, now_ms: int) -> Vector:
    groups: dict[labels.Labels, list[Bucket]] = {}
    for element in vector:
        try:
            bound = float(labels.get(element.labels, "le"))
        except ValueError:
            continue
        rest = labels.without(element.labels, ("le", labels.NAME))
        groups.setdefault(rest, []).append((bound, element.value))
    return [Element(group, bucket_quantile(fraction, buckets), now_ms) for group, buckets in groups.items()]


def bucket_quantile(fraction: float, buckets: Iterable[Bucket]) -> float:
    """The value below which `fraction` of the observations lie, by linear interpolation inside a bucket."""
    if math.isnan(fraction):
        return math.nan
    if not 0 <= fraction <= 1:
        return -math.inf if fraction < 0 else math.inf
    ordered = _monotonic(_merged(sorted(buckets)))
    if len(ordered) < 2 or ordered[-1][0] != math.inf or ordered[-1][1] == 0 or math.isnan(ordered[-1][1]):
        return math.nan
    rank = fraction * ordered[-1][1]
    index = next((i for i, (_, count) in enumerate(ordered[:-1]) if count >= rank), len(ordered) - 1)
    if index == len(ordered) - 1:
        return ordered[-2][0]
    return _inside(ordered, index, rank)


def _inside(ordered: list[Bucket], index: int, rank: float) -> float:
    end, count = ordered[index]
    if index == 0:
        if end <= 0:
            return end
        return end * (rank / count) if count else math.nan
    start, before = ordered[index - 1]
    return start + (end - start) * ((rank - before) / (count - before))


def _merged(buckets: list[Bucket]) -> list[Bucket]:
    merged: dict[float, float] = {}
    for bound, count in buckets:
        merged[bound] = merged.get(bound, 0.0) + count
    return list(merged.items())


def _monotonic(buckets: list[Bucket]) -> list[Bucket]:
    """Counts that shrink from one bucket to the next are measurement noise: the larger one holds."""
    steady: list[Bucket] = []
    for bound, count in buckets:
        before = steady[-1][1] if steady else count
        near = abs(count - before) <= SMALL_DELTA * max(abs(count), abs(before))
        steady.append((bound, before if steady and (near or count < before) else count))
    return steady
