"""Functions of range vectors: each takes the samples of one window and gives one value, or None for no result.

Windows are left-open and right-closed, as since Prometheus 3.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable

from dabbawala.timeseries.promql.values import Range

EXTRAPOLATE_WITHIN = 1.1

RangeFunction = Callable[[Range], float | None]


def _extrapolated(window: Range, *, counter: bool, per_second: bool) -> float | None:
    samples = window.samples
    if len(samples) < 2:
        return None
    (first_ms, first), (last_ms, last) = samples[0], samples[-1]
    change = last - first + (_resets_total(samples) if counter else 0.0)
    sampled = (last_ms - first_ms) / 1000
    spacing = sampled / (len(samples) - 1)
    to_start = _boundary((first_ms - window.start_ms) / 1000, spacing)
    to_end = _boundary((window.end_ms - last_ms) / 1000, spacing)
    if counter and change > 0 and first >= 0:
        to_start = min(to_start, sampled * (first / change))
    factor = (sampled + to_start + to_end) / sampled
    if per_second:
        factor /= (window.end_ms - window.start_ms) / 1000
    return change * factor


def _boundary(distance: float, spacing: float) -> float:
    """How far to extend towards the edge of the window, in seconds."""
    return distance if distance < spacing * EXTRAPOLATE_WITHIN else spacing / 2


def _resets_total(samples: list[tuple[int, float]]) -> float:
    lost, previous = 0.0, samples[0][1]
    for _, value in samples[1:]:
        if value < previous:
            lost += previous
        previous = value
    return lost


def rate(window: Range) -> float | None:
    return _extrapolated(window, counter=True, per_second=True)


def increase(window: Range) -> float | None:
    return _extrapolated(window, counter=True, per_second=False)


def delta(window: Range) -> float | None:
    return _extrapolated(window, counter=False, per_second=False)


def _last_two(window: Range, *, counter: bool, per_second: bool) -> float | None:
    if len(window.samples) < 2:
        return None
    (before_ms, before), (last_ms, last) = window.samples[-2:]
    change = last if counter and last < before else last - before
    return change / ((last_ms - before_ms) / 1000) if per_second else change


def irate(window: Range) -> float | None:
    return _last_two(window, counter=True, per_second=True)


def idelta(window: Range) -> float | None:
    return _last_two(window, counter=False, per_second=False)


def kahan_sum(values: Iterable[float]) -> float:
    """Compensated (Neumaier) sum, as Prometheus adds."""
    total, lost = 0.0, 0.0
    for value in values:
        step = total + value
        if math.isinf(step):
            lost = 0.0
        elif abs(total) >= abs(value):
            lost += (total - step) + value
        else:
            lost += (value - step) + total
        total = step
    return total + lost if math.isfinite(total) else total


def mean(values: list[float]) -> float:
    """The sum over the count, or an incremental mean where the sum would overflow."""
    total = kahan_sum(values)
    if math.isfinite(total) or not all(math.isfinite(value) for value in values):
        return total / len(values)
    average = 0.0
    for count, value in enumerate(values, 1):
        average += value / count - average / count
    return average


def variance(values: list[float]) -> float:
    """Of the population, by Welford's update."""
    average, squares = 0.0, 0.0
    for count, value in enumerate(values, 1):
        difference = value - average
        average += difference / count
        squares += difference * (value - average)
    return squares / len(values)


def quantile(fraction: float, values: list[float]) -> float:
    """Linear interpolation between the nearest ranks; ±Inf outside of [0, 1]."""
    if not values or math.isnan(fraction):
        return math.nan
    if fraction < 0:
        return -math.inf
    if fraction > 1:
        return math.inf
    ordered = sorted(values, key=lambda value: (not math.isnan(value), value))
    rank = fraction * (len(ordered) - 1)
    low = max(0, math.floor(rank))
    high = min(len(ordered) - 1, low + 1)
    weight = rank - math.floor(rank)
    return ordered[low] * (1 - weight) + ordered[high] * weight


def smallest(values: list[float]) -> float:
    return min((value for value in values if value == value), default=math.nan)


def largest(values: list[float]) -> float:
    return max((value for value in values if value == value), default=math.nan)


def regression(window: Range, at_ms: int) -> tuple[float, float] | None:
    """Slope per second, and the value at `at_ms`, of the least-squares line."""
    samples = window.samples
    if len(samples) < 2:
        return None
    if all(value == samples[0][1] for _, value in samples) and math.isfinite(samples[0][1]):
        return 0.0, samples[0][1]
    xs = [(time - at_ms) / 1000 for time, _ in samples]
    ys = [value for _, value in samples]
    count = float(len(samples))
    sum_x, sum_y = kahan_sum(xs), kahan_sum(ys)
    covariance = kahan_sum(x * y for x, y in zip(xs, ys, strict=True)) - sum_x * sum_y / count
    spread = kahan_sum(x * x for x in xs) - sum_x * sum_x / count
    slope = covariance / spread
    return slope, sum_y / count - slope * sum_x / count


def deriv(window: Range) -> float | None:
    line = regression(window, window.samples[0][0] if window.samples else 0)
    return line and line[0]


def changes(window: Range) -> float | None:
    values = [value for _, value in window.samples]
    pairs = itertools.pairwise(values)
    return float(sum(old != new and not (old != old and new != new) for old, new in pairs)) if values else None


def resets(window: Range) -> float | None:
    values = [value for _, value in window.samples]
    return float(sum(new < old for old, new in itertools.pairwise(values))) if values else None


def _over_time(combine: Callable[[list[float]], float]) -> RangeFunction:
    def over_time(window: Range) -> float | None:
        return combine([value for _, value in window.samples]) if window.samples else None

    return over_time


def _ts_of(choose: Callable[[list[tuple[int, float]]], int]) -> RangeFunction:
    return lambda window: choose(window.samples) / 1000 if window.samples else None


def _mad(values: list[float]) -> float:
    middle = quantile(0.5, values)
    return quantile(0.5, [abs(value - middle) for value in values])


RANGE_FUNCTIONS: dict[str, RangeFunction] = {
    "rate": rate,
    "increase": increase,
    "delta": delta,
    "irate": irate,
    "idelta": idelta,
    "deriv": deriv,
    "changes": changes,
    "resets": resets,
    "sum_over_time": _over_time(kahan_sum),
    "avg_over_time": _over_time(mean),
    "min_over_time": _over_time(smallest),
    "max_over_time": _over_time(largest),
    "count_over_time": _over_time(lambda values: float(len(values))),
    "last_over_time": _over_time(lambda values: values[-1]),
    "first_over_time": _over_time(lambda values: values[0]),
    "present_over_time": _over_time(lambda values: 1.0),
    "stddev_over_time": _over_time(lambda values: math.sqrt(variance(values))),
    "stdvar_over_time": _over_time(variance),
    "mad_over_time": _over_time(_mad),
    "ts_of_last_over_time": _ts_of(lambda samples: samples[-1][0]),
    "ts_of_first_over_time": _ts_of(lambda samples: samples[0][0]),
}

KEEP_NAME = frozenset({"last_over_time", "first_over_time"})
