"""The report's numbers, from samples made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from dabbawala.demo import measure, outcome, report
from dabbawala.demo.load import Sample
from dabbawala.demo.outcome import Moment, Observation


def rolled_back() -> tuple[Observation, list[Sample]]:
    seen = Observation("web", "canary", "v1", "v2", started=100.0, ended=110.0, outcome="rolled-back")
    seen.moments = [Moment(100.0, "release"), Moment(102.0, "weight", 5), Moment(107.0, "weight", 0)]
    seen.switches = [0.004, 0.009]
    seen.verdict_at = 107.0
    good = [Sample(98 + number / 10, 0.005, 200, "v1") for number in range(140)]
    bad = [Sample(102 + number / 2, 0.01, 500 if number % 2 else 200, "v2") for number in range(11)]
    return seen, sorted([*good, *bad], key=lambda sample: sample.intended)


def test_a_rollback_is_measured_from_the_first_bad_answer_to_the_last() -> None:
    seen, samples = rolled_back()
    entry = outcome.numbers(seen, samples)
    assert entry["requests_total"] == 151
    assert entry["requests_failed"] == entry["requests_failed_by_bad_version"] == 5
    assert entry["detect_seconds"] == pytest.approx(107 - 102.51)
    assert entry["rollback_seconds"] == pytest.approx(0.01)
    assert entry["switch_seconds"] == 0.009
    assert entry["p99_ms_before"] == 5.0
    assert outcome.verdict(entry, "rolled-back") == []


def test_each_step_shows_the_share_that_the_new_version_really_had() -> None:
    seen, samples = rolled_back()
    rows = outcome.steps(seen, samples)
    assert [row["name"] for row in rows] == ["release", "weight", "weight"]
    assert rows[0]["share_percent"] == 0.0
    assert 15 < rows[1]["share_percent"] < 17


def test_what_is_seen_after_the_end_of_a_release_takes_no_time() -> None:
    seen, samples = rolled_back()
    seen.moments = [Moment(seen.ended - 1, "Healthy"), Moment(seen.ended + 0.5, "weight", 0)]
    assert [row["seconds"] for row in outcome.steps(seen, samples)] == [1.5, 0.0]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"outcome": "promoted"}, "expected rolled-back"),
        ({"requests_failed": 6}, "1 requests failed that the bad version did not answer"),
        ({"rollback_seconds": 1.5}, "not within 1.0"),
        ({"rollback_seconds": None}, "not within 1.0"),
        ({"requests_failed": 0, "requests_failed_by_bad_version": 0}, "nothing was proved"),
    ],
)
def test_a_broken_promise_is_named(change: dict[str, Any], complaint: str) -> None:
    entry = {**outcome.numbers(*rolled_back()), **change}
    assert complaint in " ".join(outcome.verdict(entry, "rolled-back"))


def test_what_was_not_measured_says_so() -> None:
    seen = Observation("web", "canary", "v1", "v2", started=0.0, ended=1.0, outcome="promoted")
    entry = outcome.numbers(seen, [])
    assert entry["p99_ms_during"] is None
    shown = dict(report.outcome_rows(entry))
    assert shown["Route written to accepted by every node, longest"] == "not measured"


def test_percentiles_are_nearest_ranks() -> None:
    assert measure.percentile(range(1, 101), 0.99) == 99
    assert measure.percentile([7.0], 0.5) == 7.0
    assert measure.percentile([], 0.5) is None


def test_the_page_is_self_contained_and_escapes_what_it_shows() -> None:
    seen, samples = rolled_back()
    seen.name = "<web>"
    entry = {**outcome.numbers(seen, samples), "wrong": [], "expected": "rolled-back"}
    whole = {
        "finished": "now", "machine": "here", "passed": True, "cluster_ready_seconds": 0.5,
        "first_pod_ready_seconds": None, "first_answer_seconds": 2.0, "rate": 10, "scaling": {"replicas": "2 of 200"},
        "releases": [entry], "method": ["honestly"],
    }  # fmt: skip
    page = report.page(whole, [measure.per_second(samples, measure.Window(98, 112))])
    assert "&lt;web&gt;" in page
    assert "<web>" not in page
    assert "http://" not in page
    assert "not measured" in page
    assert page.count("<svg") == 2
