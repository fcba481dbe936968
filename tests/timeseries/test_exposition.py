from __future__ import annotations

import pytest

from dabbawala.timeseries import exposition, labels
from dabbawala.timeseries.labels import make


def test_a_page_is_read_in_order_with_escapes_and_times() -> None:
    page = (
        "# HELP http_requests_total Requests\n# TYPE http_requests_total counter\n"
        'http_requests_total{path="a\\"b\\\\c\\nd",status="200"} 3 1700000000000\n'
        'le_total{le="+Inf",} 1e3\n\nplain NaN\n'
    )
    first, second, third = exposition.parse(page)
    assert first.labels == make({"__name__": "http_requests_total", "path": 'a"b\\c\nd', "status": "200"})
    assert (first.value, first.timestamp_ms) == (3.0, 1_700_000_000_000)
    assert (labels.get(second.labels, "le"), second.value) == ("+Inf", 1000.0)
    assert third.value != third.value


def test_a_label_value_may_hold_braces() -> None:
    (sample,) = exposition.parse('x{path="/products/{id}"} 1\n')
    assert labels.get(sample.labels, "path") == "/products/{id}"


def test_open_metrics_exemplars_and_seconds_are_understood() -> None:
    (sample,) = exposition.parse('x_bucket{le="1"} 4 1700000000.5 # {trace="t"} 0.5\n# EOF\n', open_metrics=True)
    assert (sample.value, sample.timestamp_ms) == (4.0, 1_700_000_000_500)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("a 1\nb", "line 2"),
        ('a{x="1" y="2"} 1', "line 1: cannot read the labels"),
        ("a one", "line 1: value 'one' is not a number"),
        ('a{x="unclosed} 1', "line 1"),
        pytest.param("a" + " " * 200_000 + "1 2 3", "line 1", id="long"),
    ],
)
def test_a_page_that_cannot_be_read_names_the_line(page: str, message: str) -> None:
    with pytest.raises(exposition.BadExposition, match=message):
        list(exposition.parse(page))
