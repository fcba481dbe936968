"""What measurements mean: one, a metric's, and the run's; and that nothing unmeasured ever passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as any_

from dabbawala.apimachinery import clock
from dabbawala.apimachinery.meta import Object
from dabbawala.rollout.analysis import plan, verdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)

MEASUREMENTS = [
    ("", "", 1, "Successful"),
    ("result > 0", "", 1, "Successful"),
    ("result > 0", "", 0, "Failed"),
    ("", "result > 0", 1, "Failed"),
    ("", "result > 0", 0, "Successful"),
    ("result == 1", "result == 2", 1, "Successful"),
    ("result == 1", "result == 2", 2, "Failed"),
    ("result == 1", "result == 2", 3, "Inconclusive"),
    ("result == 1", "result >= 1", 1, "Failed"),
    ("result[0] > 0", "", [], "Error"),
    ("result > 'a'", "", 1, "Error"),
    ("", "result[0] > 0", [], "Error"),
]


@pytest.mark.parametrize(("success", "failure", "result", "phase"), MEASUREMENTS)
def test_the_two_conditions_give_the_phase_of_a_measurement(
    success: str, failure: str, result: Any, phase: str
) -> None:
    assert verdict.measured({"successCondition": success, "failureCondition": failure}, result).phase == phase


def run(*metrics: Object, **spec: Any) -> Object:
    listed = [{"provider": {"web": {"url": "http://x"}}, "name": f"m{at}", **item} for at, item in enumerate(metrics)]
    metadata = {"name": "run", "namespace": "shop", "uid": "u"}
    return {"metadata": metadata, "spec": {"metrics": listed, **spec}}


def lived(body: Object, answers: dict[str, str], *, until: timedelta = timedelta(hours=1)) -> tuple[Object, datetime]:
    """Let a run live on virtual time. `answers` are, by metric, the phases of its measurements in order, one letter
    each (s f i e); the last goes on for ever."""
    now, taken_so_far = NOW, dict.fromkeys(answers, 0)
    body = {**body, "status": plan.begin(body, now)}
    while not plan.is_finished(body) and now < NOW + until:
        taken = {}
        for task in plan.due(body, now):
            letters = answers[task.name]
            letter = letters[min(taken_so_far[task.name], len(letters) - 1)]
            taken_so_far[task.name] += 1
            taken[task.name] = finished(LETTERS[letter], now)
        body = {**body, "status": plan.conclude(body, taken, now)}
        now += max(plan.look_again(body, now) or timedelta(seconds=1), timedelta(seconds=1))
    return body, now


LETTERS = {"s": "Successful", "f": "Failed", "i": "Inconclusive", "e": "Error"}


def finished(phase: str, now: datetime) -> Object:
    moment = clock.format_time(now)
    return {"phase": phase, "startedAt": moment, "finishedAt": moment, "value": "1"}


LIVES = [
    ({}, "s", "Successful", 0),
    ({}, "f", "Failed", 0),
    ({}, "i", "Inconclusive", 0),
    ({"count": 5, "interval": "60s"}, "s", "Successful", 240),
    ({"count": 5, "interval": "60s", "failureLimit": 3}, "fffs", "Successful", 240),
    ({"count": 5, "interval": "60s", "failureLimit": 3}, "f", "Failed", 180),
    ({"count": "5", "interval": "60s", "failureLimit": "3"}, "f", "Failed", 180),
    ({"count": 5, "interval": "60s", "failureLimit": -1}, "f", "Successful", 240),
    ({"count": 3, "interval": "10s", "inconclusiveLimit": 1}, "is", "Successful", 20),
    ({"count": 3, "interval": "10s", "inconclusiveLimit": 1}, "i", "Inconclusive", 10),
    ({"count": 3, "interval": "10s"}, "e", "Error", 40),
    ({"count": 3, "interval": "10s"}, "eeees", "Successful", 60),
    ({"count": 3, "interval": "10s", "consecutiveErrorLimit": 1}, "e", "Error", 10),
    ({"count": 2, "interval": "10s", "initialDelay": "30s"}, "s", "Successful", 40),
    ({"interval": "10s", "consecutiveSuccessLimit": 3}, "fsss", "Failed", 0),
    ({"interval": "10s", "consecutiveSuccessLimit": 3, "failureLimit": 1}, "fsss", "Successful", 30),
    ({"count": 4, "interval": "10s", "consecutiveSuccessLimit": 3, "failureLimit": 2}, "sfsf", "Inconclusive", 30),
    ({"count": 4, "interval": "10s", "consecutiveSuccessLimit": 3, "failureLimit": -1}, "sfsf", "Failed", 30),
]


@pytest.mark.parametrize(("metric", "letters", "phase", "seconds"), LIVES)
def test_a_metric_ends_as_its_limits_say(metric: Object, letters: str, phase: str, seconds: int) -> None:
    body, _ = lived(run(metric), {"m0": letters})
    assert body["status"]["phase"] == phase, body["status"]
    ended = clock.parse_time(body["status"]["completedAt"])
    assert ended - NOW == timedelta(seconds=seconds)


@pytest.mark.parametrize(("metric", "letters", "phase", "seconds"), LIVES)
def test_a_metric_ends_as_its_limits_say_when_they_are_arguments(
    metric: Object, letters: str, phase: str, seconds: int
) -> None:
    named = {field: f"{{{{args.{field}}}}}" for field in metric}
    given = [{"name": field, "value": str(value)} for field, value in metric.items()]
    body, _ = lived(run(named, args=given), {"m0": letters})
    assert body["status"]["phase"] == phase, body["status"]
    assert clock.parse_time(body["status"]["completedAt"]) - NOW == timedelta(seconds=seconds)


def test_the_name_of_a_metric_may_be_an_argument() -> None:
    body = run({"name": "rate-{{args.of}}"}, args=[{"name": "of", "value": "web"}], dryRun=[{"metricName": "web"}])
    body, _ = lived(body, {"rate-web": "f"})
    assert [item["name"] for item in body["status"]["metricResults"]] == ["rate-web"]
    assert body["status"]["dryRunSummary"] == {"count": 1, "failed": 1}


def test_the_message_says_which_limit_was_passed() -> None:
    body, _ = lived(run({"count": 5, "interval": "1s", "failureLimit": 3}), {"m0": "f"})
    assert body["status"]["message"] == 'Metric "m0" assessed Failed due to failed (4) > failureLimit (3)'
    body, _ = lived(run({}), {"m0": "e"})
    assert body["status"]["message"].startswith('Metric "m0" assessed Error due to consecutiveErrors (5)')


def test_errors_do_not_use_up_the_count() -> None:
    body, _ = lived(run({"count": 2, "interval": "10s"}), {"m0": "eses"})
    result = body["status"]["metricResults"][0]
    assert (result["count"], result["error"], result["successful"]) == (2, 2, 2)


def test_a_count_of_nothing_is_none_at_all() -> None:
    assert plan.endless(run({"count": 0, "interval": "10s"}, {"count": "0"}, {"count": 2, "interval": "10s"})) == ["m0"]


def test_the_worst_metric_decides_and_ends_the_others() -> None:
    body, _ = lived(run({}, {"interval": "10s"}), {"m0": "f", "m1": "s"})
    assert body["status"]["phase"] == "Failed"
    assert [item["phase"] for item in body["status"]["metricResults"]] == ["Failed", "Successful"]
    assert body["status"]["runSummary"] == {"count": 2, "failed": 1, "successful": 1}


def test_a_dry_run_metric_is_counted_apart_and_fails_nobody() -> None:
    body, _ = lived(run({}, {}, dryRun=[{"metricName": "m1"}]), {"m0": "s", "m1": "f"})
    assert body["status"]["phase"] == "Successful"
    assert body["status"]["runSummary"] == {"count": 1, "successful": 1}
    assert body["status"]["dryRunSummary"] == {"count": 1, "failed": 1}


def test_a_terminated_run_is_successful_unless_something_went_wrong() -> None:
    body = run({"interval": "10s"}, terminate=True)
    body["status"] = {**plan.begin(body, NOW)}
    assert plan.conclude(body, {}, NOW)["phase"] == "Successful"
    assert plan.conclude(body, {}, NOW)["message"] == "Run Terminated"


def test_only_the_last_measurements_are_kept() -> None:
    body, _ = lived(run({"count": 15, "interval": "1s"}), {"m0": "s"})
    assert len(body["status"]["metricResults"][0]["measurements"]) == 10
    rule = [{"metricName": "m.*", "limit": 3}]
    body, _ = lived(run({"count": 15, "interval": "1s"}, measurementRetention=rule), {"m0": "s"})
    assert len(body["status"]["metricResults"][0]["measurements"]) == 3


IMPOSSIBLE = [
    (run(), "no metrics specified"),
    (run({"count": 3}), "metric 'm0' interval must be specified when count > 1 (count is 3)"),
    (run({"count": 1, "failureLimit": 2}), "metric 'm0' count must be >= failureLimit"),
    (run({"interval": "soon"}), "metric 'm0' is not valid: interval 'soon' is no duration"),
    (run({"count": "many"}), "metric 'm0' is not valid: count 'many' is no whole number"),
    (run({"failureLimit": "1.5"}), "metric 'm0' is not valid: failureLimit '1.5' is no whole number"),
    (run({"count": "{{args.n}}"}), "Unable to resolve metric arguments: failed to resolve {{args.n}}"),
    (run({"provider": {}}), "metric 'm0' must have exactly one provider"),
    (run({}, dryRun=[{"metricName": "other"}]), "dryRun rule 'other' matches no metric"),
    (run({}, dryRun=[{"metricName": "(?=m)"}]), "dryRun rule '(?=m)' matches no metric"),
]


@pytest.mark.parametrize(("body", "message"), IMPOSSIBLE)
def test_an_impossible_run_is_an_error_before_anything_is_measured(body: Object, message: str) -> None:
    status = plan.begin(body, NOW)
    assert status["phase"] == "Error"
    assert status["message"].startswith(message)


@pytest.mark.parametrize(
    ("strategy", "phase", "seconds"),
    [
        ({"secondsAfterCompletion": 60}, "Failed", 60),
        ({"secondsAfterCompletion": 60, "secondsAfterSuccess": 30}, "Successful", 30),
        ({"secondsAfterFailure": 90}, "Failed", 90),
        ({"secondsAfterFailure": 90}, "Successful", None),
    ],
)
def test_a_finished_run_is_deleted_when_its_time_is_up(strategy: Object, phase: str, seconds: int | None) -> None:
    body = run({}, ttlStrategy=strategy)
    body["status"] = {"phase": phase, "completedAt": clock.format_time(NOW)}
    left = plan.expiry(body, NOW)
    assert left == (None if seconds is None else timedelta(seconds=seconds))
    if seconds is not None:
        assert plan.retire(body, NOW).actions == ()
        assert len(plan.retire(body, NOW + timedelta(seconds=seconds)).actions) == 1


@given(any_.text("sfie", min_size=1, max_size=12), any_.integers(1, 6), any_.integers(0, 3))
def test_a_run_that_was_never_measured_well_never_passes(letters: str, count: int, limit: int) -> None:
    limit = min(limit, count)
    body, _ = lived(run({"count": count, "interval": "10s", "failureLimit": limit}), {"m0": letters})
    result = body["status"]["metricResults"][0]
    if body["status"]["phase"] == "Successful":
        assert result.get("failed", 0) <= limit
        assert result.get("inconclusive", 0) == 0
        assert result["count"] == count
    assert plan.is_finished(body)


@given(any_.text("sfie", min_size=1, max_size=12), any_.integers(1, 6))
def test_looking_again_at_a_finished_run_changes_nothing(letters: str, count: int) -> None:
    body, now = lived(run({"count": count, "interval": "10s"}), {"m0": letters})
    assert plan.due(body, now) == []
    assert plan.write(body, body["status"], now).actions == ()
