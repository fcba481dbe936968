"""PromQL by hand: what Prometheus 3 does differently from 2, and what no oracle can show."""

from __future__ import annotations

import math

import pytest

from dabbawala.timeseries import labels
from dabbawala.timeseries.promql import engine
from dabbawala.timeseries.promql.histogram import bucket_quantile
from dabbawala.timeseries.promql.values import Element, QueryError, format_value
from dabbawala.timeseries.samples import STALE, Samples, TooManySeries

MINUTE = 60_000


def counter(*values: float, name: str = "x", step: int = MINUTE, start: int = 0) -> Samples:
    store = Samples()
    for index, value in enumerate(values):
        store.append(labels.make({"__name__": name}), start + index * step, value)
    return store


def value_of(store: Samples, query: str, at: int) -> float | None:
    result = engine.query(store, query, at)
    if isinstance(result, float):
        return result
    assert isinstance(result, list)
    assert len(result) <= 1
    return result[0].value if result and isinstance(result[0], Element) else None


def test_a_range_is_left_open_and_right_closed() -> None:
    store = counter(*range(11))
    assert value_of(store, "count_over_time(x[5m])", 10 * MINUTE) == 5
    assert value_of(store, "sum_over_time(x[5m])", 10 * MINUTE) == 6 + 7 + 8 + 9 + 10


def test_a_rate_over_samples_on_the_boundary_extends_by_half_a_spacing_or_to_the_edge() -> None:
    store = counter(*(10 * index for index in range(11)), start=0)
    # In (5m, 10m] are the samples of minutes 6 to 10: 40 in 240 s; the left edge is one spacing away, within 1.1.
    assert value_of(store, "increase(x[5m])", 10 * MINUTE) == pytest.approx(50, rel=1e-12)
    assert value_of(store, "rate(x[5m])", 10 * MINUTE) == pytest.approx(50 / 300, rel=1e-12)


def test_a_subquery_is_left_open_too() -> None:
    store = counter(*range(21))
    assert value_of(store, "count_over_time(x[5m:1m])", 20 * MINUTE) == 5


def test_the_look_back_does_not_reach_the_sample_exactly_five_minutes_old() -> None:
    store = counter(1.0)
    assert value_of(store, "x", 5 * MINUTE - 1) == 1.0
    assert value_of(store, "x", 5 * MINUTE) is None


def test_a_counter_that_starts_in_the_window_is_not_extended_below_zero() -> None:
    store = counter(1, 101, start=9 * MINUTE)
    # 100 in 60 s; to the left only 0.6 s are needed to reach zero.
    assert value_of(store, "increase(x[5m])", 10 * MINUTE) == pytest.approx(100 * 60.6 / 60, rel=1e-12)


def test_a_stale_marker_ends_a_series_at_once_and_is_no_sample_of_a_range() -> None:
    store = counter(1, 2, 3)
    store.append(labels.make({"__name__": "x"}), 3 * MINUTE, STALE)
    assert value_of(store, "x", 3 * MINUTE) is None
    assert value_of(store, "count_over_time(x[10m])", 3 * MINUTE) == 3


def test_an_ordinary_nan_is_a_value() -> None:
    store = counter(1, math.nan)
    found = value_of(store, "x", MINUTE)
    assert found is not None
    assert math.isnan(found)


def test_atan2_drops_the_metric_name() -> None:
    result = engine.query(counter(1.0), "x atan2 x", 0)
    assert isinstance(result, list)
    assert result[0].labels == ()  # type: ignore[union-attr]


def test_results_that_lose_their_difference_are_an_error() -> None:
    store = counter(1.0)
    store.append(labels.make({"__name__": "y"}), 0, 2.0)
    with pytest.raises(QueryError, match="same labelset"):
        engine.query(store, 'abs({__name__=~"x|y"})', 0)


def test_a_pattern_is_all_of_a_label_in_linear_time_and_its_dot_takes_newlines_too() -> None:
    store = Samples()
    for path in ("a" * 40 + "!", "first\nsecond"):
        store.append(labels.make({"__name__": "x", "path": path}), 0, 1.0)
    assert value_of(store, 'count(x{path=~"([a-z0-9]+[-.]?)*"})', 0) is None
    assert value_of(store, 'count(x{path!~"([a-z0-9]+[-.]?)*"})', 0) == 2
    assert value_of(store, 'count(x{path=~"first.second"})', 0) == 1
    assert value_of(store, 'count(x{path=~"first"})', 0) is None


def test_a_label_is_replaced_by_the_groups_of_a_pattern_that_cannot_run_away() -> None:
    store = Samples()
    store.append(labels.make({"__name__": "x", "path": "first\nsecond"}), 0, 1.0)
    result = engine.query(
        store, 'label_replace(x, "rest", "${rest}-$1-$3-$9", "path", "(f).*\\n(?P<rest>.*)|(a*)*b")', 0
    )
    assert isinstance(result, list)
    assert labels.get(result[0].labels, "rest") == "second-f--"
    with pytest.raises(QueryError, match=r"invalid regular expression in label_replace\(\): .*: missing \)"):
        engine.query(store, 'label_replace(x, "rest", "", "path", "(")', 0)


def test_many_to_many_matching_names_the_group() -> None:
    store = Samples()
    for pod in "ab":
        store.append(labels.make({"__name__": "x", "job": "j", "pod": pod}), 0, 1.0)
    with pytest.raises(QueryError, match=r'found duplicate series for the match group \{job="j"\}'):
        engine.query(store, "x / on(job) x", 0)


@pytest.mark.parametrize(
    ("buckets", "expected"),
    [
        ([(1.0, 5.0), (math.inf, 10.0)], 1.0),
        ([(1.0, 0.0), (math.inf, 0.0)], math.nan),
        ([(1.0, 5.0), (2.0, 10.0)], math.nan),
        ([(-1.0, 6.0), (math.inf, 10.0)], -1.0),
        ([(1.0, 10.0), (2.0, 9.0), (math.inf, 10.0)], 0.9),
    ],
)
def test_bucket_quantile_at_the_edges(buckets: list[tuple[float, float]], expected: float) -> None:
    assert bucket_quantile(0.9, buckets) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (0.1, "0.1"),
        (1e21, "1000000000000000000000"),
        (1e-7, "0.0000001"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_values_are_printed_as_prometheus_prints_them(value: float, text: str) -> None:
    assert format_value(value) == text


def test_the_bound_on_series_is_named() -> None:
    store = Samples(series_max=1)
    store.append(labels.make({"__name__": "a"}), 0, 1.0)
    with pytest.raises(TooManySeries, match="1 series are kept at the most"):
        store.append(labels.make({"__name__": "b"}), 0, 1.0)


def test_what_is_older_than_the_retention_is_forgotten_with_its_series() -> None:
    store = Samples(retention_ms=MINUTE)
    store.append(labels.make({"__name__": "a"}), 0, 1.0)
    store.trim(3 * MINUTE)
    assert len(store) == 0
    assert engine.query(store, "a", 0) == []


def test_a_range_query_with_too_many_points_is_refused() -> None:
    with pytest.raises(QueryError, match="11000 points"):
        engine.query_range(Samples(), "x", 0, 12_000_000, 1000)


def test_the_oldest_samples_go_when_there_are_too_many_however_young_they_are() -> None:
    store = Samples(samples_max=100)
    for index in range(100):
        for name in ("a", "b", "c"):
            store.append(labels.make({"__name__": name}), index * 1000, float(index))
    store.trim(100_000)
    left = [series.times for series in store]
    assert 60 < sum(map(len, left)) <= 100
    assert {times[-1] for times in left} == {99_000}


def test_a_query_that_reads_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SAMPLES_MAX", 1000)
    store = counter(*range(11))
    assert value_of(store, "max_over_time(x[10m:1m])", 10 * MINUTE) == 10
    with pytest.raises(QueryError, match="reads more than 1000 samples"):
        engine.query(store, "max_over_time(vector(1)[10m:100ms])", 10 * MINUTE)
    with pytest.raises(QueryError, match="reads more than 1000 samples"):
        engine.query_range(store, "sum_over_time(x[10m])", 0, 20 * MINUTE, 1000)


def test_a_query_ends_when_nobody_waits_for_it_any_more() -> None:
    asked = 0

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        return asked > 5

    with pytest.raises(QueryError, match="stopped"):
        engine.query(counter(1.0), "max_over_time(x[1d:1ms])", MINUTE, stopped)
    assert asked == 6


def test_divisions_by_nothing_are_not_numbers() -> None:
    empty_first = {"0.1": 0.0, "1": 5.0, "+Inf": 5.0}
    assert math.isnan(bucket_quantile(0.0, [(float(bound), count) for bound, count in empty_first.items()]))
    rounded = value_of(counter(1.5), "round(x, 0)", 0)
    assert rounded is not None
    assert math.isnan(rounded)
    assert value_of(counter(1.5e308), "round(x, 1e-9)", 0) == 1.5e308
