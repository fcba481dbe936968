"""What is said of a PromQL expression: whether it can be read, what it reads, and what in it can never be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dabbawala.guard.languages import promql


@pytest.mark.parametrize(
    "expression",
    [
        "sum(rate(a_total[5m]))",
        'a{b="{{args.c}}"} > {{args.limit}}',
        "rate(a_total[$__rate_interval])",
        'sum by ($group) (a{region=~"$region"})',
        "increase(a_total[${range}])",
        "avg_over_time(a[[[window]]])".replace("[[[window]]]", "[$window]"),
    ],
)
def test_expressions_and_what_templates_put_into_them_can_be_read(expression: str) -> None:
    assert promql.model(expression)["error"] == ""


@pytest.mark.parametrize("expression", ["", "rate(a)", "sum(a", "a b", "foo(a)", "{}", "a[5m", "1 ==", None, 5, ["a"]])
def test_what_is_none_is_said_to_be_none(expression: object) -> None:
    found = promql.model(expression)
    assert found["error"]
    assert "\n" not in found["error"]


@pytest.mark.parametrize(
    ("expression", "counters"),
    [
        ("a_total > 5", ["a_total"]),
        ("a_total / (a_total + b_total)", ["a_total", "b_total"]),
        ("rate(a_total[5m])", []),
        ("sum(increase(a_total[1h]))", []),
        ("count(a_total)", []),
        ("absent(a_total)", []),
        ("a unless b_total", []),
        ("max_over_time(rate(a_total[5m])[1h:1m])", []),
        ("a_bytes", []),
        ("changes(a_total[5m]) > 0", []),
    ],
)
def test_counters_that_no_rate_is_taken_of(expression: str, counters: list[str]) -> None:
    assert promql.model(expression)["counters"] == counters


@pytest.mark.parametrize(
    "expression",
    [
        "sum by (a) (x) / sum by (b) (y)",
        "sum(x) / y",
        "x / sum(y)",
        'rate(x_total{code="500"}[5m]) / rate(x_total[5m])',
        "histogram_quantile(0.9, sum by (job) (rate(x_bucket[5m])))",
        "histogram_quantile(95, x_bucket)",
    ],
)
def test_what_can_never_be_is_a_fault(expression: str) -> None:
    assert len(promql.model(expression)["faults"]) == 1


@pytest.mark.parametrize(
    "expression",
    [
        "sum by (a) (x) / sum by (a) (y)",
        "sum(x) / sum(y)",
        "x / on (a) group_left y",
        "x / y",
        "sum(x) / scalar(y)",
        "sum without (a) (x) / y",
        "rate(x_total[5m]) * 100",
        "sum(x) or vector(0)",
        "histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m])))",
        "histogram_quantile(0.9, rate(x[5m]))",
    ],
)
def test_what_may_be_is_none(expression: str) -> None:
    assert promql.model(expression)["faults"] == []


@pytest.mark.parametrize(
    ("expression", "compares"),
    [
        ("a > 5", True),
        ("a", False),
        ("a > bool 5", False),
        ("absent(a)", True),
        ("sum(a > 5)", True),
        ("a and b", True),
    ],
)
def test_whether_it_holds_only_sometimes(expression: str, compares: bool) -> None:
    assert promql.model(expression)["compares"] is compares


def test_a_value_that_is_a_percentage_is_scaled() -> None:
    assert promql.model("a / b * 100 > 5")["scaled"]
    assert promql.model("(a / b) * 100")["scaled"]
    assert not promql.model("a / b > 0.05")["scaled"]


def test_ranges_are_in_seconds() -> None:
    assert promql.model("rate(a_total[1m]) + avg_over_time(b[2h])")["ranges"] == [
        {"function": "rate", "metric": "a_total", "seconds": 60},
        {"function": "avg_over_time", "metric": "b", "seconds": 7200},
    ]


@given(st.text(alphabet="ab_total()[]{}5m=~!\"',./*+- $sumratebyon><\n", max_size=80))
def test_no_text_breaks_the_reader(text: str) -> None:
    assert isinstance(promql.model(text)["error"], str)


def test_what_nests_deeply_is_refused_or_read() -> None:
    for expression in ("(" * 50_000, "-" * 50_000 + "a", "(" * 2_000 + "a" + ")" * 2_000, "a+" * 5_000 + "a"):
        assert isinstance(promql.model(expression)["faults"], list)
