"""From when the progress deadline counts: from whatever there is to wait for, never from the last release."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from dabbawala.api import apps_v1
from dabbawala.apimachinery import clock, conditions, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.rollout.rehearsal import Rehearsal
from tests.rollout.given import (
    analysis_template,
    blue_green,
    canary,
    change_status,
    events,
    healthy,
    phase,
    promote,
    rollout,
    update,
)

STRATEGIES = {
    "canary": canary({"setWeight": 20}),
    "canary behind a route": canary({"setWeight": 20}, routed=True),
    "blue-green": blue_green(scaleDownDelaySeconds=0),
}
A_DAY = timedelta(days=1)


def progressing(show: Rehearsal) -> Object:
    found = conditions.find(show.rollout, "Progressing")
    assert found is not None
    return found


def settled(strategy: Object, *, pod_seconds: float = 10) -> Rehearsal:
    """On its second revision, of which everybody thinks no more."""
    body = rollout(strategy, progressDeadlineSeconds=60, progressDeadlineAbort=True)
    show = healthy(body, pod_seconds=pod_seconds)
    update(show)
    show.play()
    assert phase(show)[0] == "Healthy"
    show.stage.now += A_DAY
    show.stage.events.clear()
    return show


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_going_back_a_day_later_has_the_whole_deadline(strategy: Object) -> None:
    show = settled(strategy)
    update(show, 1)
    show.play()
    assert phase(show) == ("Healthy", "")
    assert not {"ProgressDeadlineExceeded", "RolloutAborted"} & set(events(show))
    assert show.rollout["metadata"]["annotations"]["rollout.argoproj.io/revision"] == "3"


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_going_back_to_what_never_becomes_ready_still_misses_the_deadline(strategy: Object) -> None:
    show = settled(strategy)
    show.stage.pod_seconds = 1e9
    began = show.stage.now
    update(show, 1)
    show.play(until=timedelta(seconds=58))
    assert "ProgressDeadlineExceeded" not in events(show)
    show.play(until=timedelta(minutes=5))
    assert events(show).count("ProgressDeadlineExceeded") == 1
    assert show.rollout["status"]["abort"] is True
    aborted = clock.parse_time(show.rollout["status"]["abortedAt"])
    assert aborted >= began + timedelta(seconds=60)


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_growing_a_day_later_has_the_whole_deadline(strategy: Object) -> None:
    show = settled(strategy)
    show.edit(spec={**show.rollout["spec"], "replicas": 12})
    show.play()
    assert phase(show) == ("Healthy", "")
    assert "ProgressDeadlineExceeded" not in events(show)


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_a_pod_lost_a_day_later_is_given_the_whole_deadline(strategy: Object) -> None:
    show = settled(strategy)
    owner = next(key for key, pods in show.stage.pods.items() if pods)
    lost = show.stage.pods[owner][0]
    show.stage.pods[owner][0] = replace(lost, ready_at=show.stage.now + timedelta(seconds=30))
    show.play(until=timedelta(seconds=20))
    assert phase(show)[0] == "Progressing"
    assert progressing(show)["reason"] == "ReplicaSetUpdated"
    show.play()
    assert phase(show) == ("Healthy", "")
    assert events(show) == []


def test_another_template_has_the_whole_deadline_although_the_last_one_missed_it() -> None:
    show = settled(STRATEGIES["canary"])
    show.edit(spec={**show.rollout["spec"], "progressDeadlineAbort": False})
    show.stage.pod_seconds = 1e9
    update(show, 3)
    show.play(until=timedelta(minutes=5))
    assert phase(show)[0] == "Degraded"
    show.stage.pod_seconds = 10
    update(show, 1)
    show.turn()
    show.turn()
    show.turn()
    assert phase(show)[0] == "Progressing", "the set of an earlier revision is taken up, not made"
    show.play()
    assert phase(show) == ("Healthy", "")
    assert events(show).count("ProgressDeadlineExceeded") == 1
    assert len(show.stage.all(apps_v1.REPLICA_SET)) == 3


def test_a_judgement_that_takes_longer_than_the_deadline_does_not_miss_it() -> None:
    judged = {"templates": [{"templateName": "rate"}]}
    body = rollout(
        blue_green(prePromotionAnalysis=judged, postPromotionAnalysis=judged),
        progressDeadlineSeconds=60,
        progressDeadlineAbort=True,
    )
    show = healthy(body, analysis_template("rate", count=60))
    update(show)
    show.play()
    assert phase(show) == ("Healthy", "")
    assert show.elapsed > timedelta(hours=1)
    assert "ProgressDeadlineExceeded" not in events(show)


def test_a_retry_and_a_promotion_have_the_whole_deadline() -> None:
    body = rollout(canary({"setWeight": 20}, {"pause": {}}), progressDeadlineSeconds=60, progressDeadlineAbort=True)
    show = healthy(body)
    update(show)
    show.play()
    show.stage.now += A_DAY
    promote(show)
    show.play()
    assert phase(show) == ("Healthy", "")
    update(show, 3)
    show.play()
    change_status(show, abort=True)
    show.play()
    show.stage.now += A_DAY
    change_status(show, abort=None)
    show.play()
    assert phase(show) == ("Paused", "CanaryPauseStep")
    assert meta.generation(show.rollout) > 1
