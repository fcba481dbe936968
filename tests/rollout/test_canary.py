"""Canary rollouts on a small cluster: the world after each act, and the order of what is told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dabbawala.api import argoproj_v1alpha1, core_v1, istio_networking_v1
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.rollout.rehearsal import Rehearsal
from tests.rollout.given import (
    analysis_template,
    canary,
    change_status,
    destination_rule,
    events,
    hash_of,
    healthy,
    phase,
    pods,
    promote,
    rollout,
    route,
    selector,
    update,
)

SLICE = timedelta(minutes=2)


def test_abort_retry_and_promotion_tell_the_events_that_argo_tells_in_that_order() -> None:
    """The list is Argo's own end-to-end test of the same act (functional suite, abort-retry-promote)."""
    body = rollout(canary({"setWeight": 50}, {"pause": {"duration": "3s"}}), replicas=1)
    show = healthy(body)
    update(show)
    show.play(until=timedelta(seconds=11))
    assert phase(show) == ("Paused", "CanaryPauseStep")
    change_status(show, abort=True)
    show.play(until=SLICE)
    assert phase(show)[0] == "Degraded"
    change_status(show, abort=None)
    show.play()
    assert phase(show) == ("Healthy", "")
    assert events(show) == [
        "RolloutNotCompleted",
        "RolloutUpdated",
        "NewReplicaSetCreated",
        "ScalingReplicaSet",
        "RolloutStepCompleted",
        "RolloutPaused",
        "ScalingReplicaSet",
        "RolloutAborted",
        "ScalingReplicaSet",
        "RolloutStepCompleted",
        "RolloutPaused",
        "RolloutStepCompleted",
        "RolloutResumed",
        "ScalingReplicaSet",
        "RolloutCompleted",
    ]


def test_a_first_deployment_skips_all_steps() -> None:
    show = healthy(rollout(canary({"setWeight": 10}, {"pause": {}})))
    assert pods(show) == {1: 10}
    assert show.rollout["status"]["currentStepIndex"] == 2
    assert show.rollout["status"]["stableRS"] == hash_of(show, 1)


def test_an_indefinite_pause_waits_until_somebody_promotes() -> None:
    show = healthy(rollout(canary({"setWeight": 20}, {"pause": {}}, {"setWeight": 60}, {"pause": {}})))
    update(show)
    show.play()
    assert phase(show) == ("Paused", "CanaryPauseStep")
    assert pods(show) == {1: 8, 2: 2}
    promote(show)
    show.play()
    assert pods(show) == {1: 4, 2: 6}
    promote(show)
    show.play()
    assert phase(show) == ("Healthy", "")
    assert pods(show) == {1: 0, 2: 10}


def test_an_abort_behind_a_router_takes_the_traffic_away_at_once_and_the_pods_later() -> None:
    show = healthy(rollout(canary({"setWeight": 20}, {"pause": {}}, routed=True)))
    update(show)
    show.play()
    assert show.moments[-1].weight == 20
    change_status(show, abort=True)
    show.play(until=timedelta(seconds=2))
    assert show.moments[-1].weight == 0
    assert pods(show) == {1: 10, 2: 2}
    show.play()
    assert pods(show) == {1: 10, 2: 0}
    assert selector(show, "canary") == selector(show, "stable") == hash_of(show, 1)
    assert phase(show)[0] == "Degraded"


def test_a_weight_is_written_only_when_the_canary_service_has_ready_endpoints() -> None:
    show = healthy(rollout(canary({"setWeight": 20}, {"pause": {}}, routed=True)))
    update(show)
    for _ in range(6):
        show.turn()
    assert pods(show) == {1: 10, 2: 2}
    assert show.moments[-1].weight == 0
    assert show.draft is not None
    assert [blocker.reason for blocker in show.draft.blockers] == ["CanaryNotReady"]


def test_after_the_last_step_everything_moves_before_the_old_pods_go() -> None:
    show = healthy(rollout(canary({"setWeight": 50}, routed=True)))
    update(show)
    show.play()
    assert phase(show) == ("Healthy", "")
    after = [moment for moment in show.moments if moment.step == "promoted" and moment.new == 10]
    moved = next(moment for moment in after if moment.weight == 0)
    old_gone = next(moment for moment in after if moment.others == 0)
    assert old_gone.at - moved.at >= timedelta(seconds=30)
    assert selector(show, "stable") == hash_of(show, 2)


def test_subsets_of_a_destination_rule_stand_for_the_sides() -> None:
    strategy = {
        "canary": {
            "steps": [{"setWeight": 25}, {"pause": {}}],
            "trafficRouting": {
                "istio": {
                    "virtualService": {"name": "web", "routes": ["primary"]},
                    "destinationRule": {"name": "web", "canarySubsetName": "canary", "stableSubsetName": "stable"},
                }
            },
        }
    }
    show = healthy(rollout(strategy), route(subsets=True), destination_rule())
    update(show)
    show.play()
    assert show.moments[-1].weight == 25
    rule = show.stage.all(istio_networking_v1.DESTINATION_RULE)[0]
    labels = {item["name"]: item["labels"]["rollouts-pod-template-hash"] for item in rule["spec"]["subsets"]}
    assert labels == {"canary": hash_of(show, 2), "stable": hash_of(show, 1)}
    promote(show)
    show.play()
    assert phase(show) == ("Healthy", "")


def test_a_failed_analysis_aborts_and_its_words_are_the_reason() -> None:
    steps = ({"setWeight": 20}, {"analysis": {"templates": [{"templateName": "rate"}]}}, {"pause": {}})
    show = healthy(rollout(canary(*steps, routed=True)), analysis_template("rate"), failing=("-1",))
    update(show)
    show.play()
    assert phase(show)[0] == "Degraded"
    assert phase(show)[1].startswith("RolloutAborted: Rollout aborted update to revision 2: ")
    assert "AnalysisRunFailed" in events(show)
    assert show.moments[-1].weight == 0


def test_a_background_analysis_begins_at_its_step_and_ends_with_the_update() -> None:
    steps = ({"setWeight": 20}, {"pause": {"duration": 10}}, {"setWeight": 40}, {"pause": {}})
    background = {"startingStep": 2, "templates": [{"templateName": "rate"}]}
    show = healthy(rollout(canary(*steps, routed=True, analysis=background)), analysis_template("rate", count=0))
    update(show)
    show.play(until=timedelta(seconds=15))
    assert not runs(show)
    show.play(until=timedelta(minutes=10))
    assert [run["status"]["phase"] for run in runs(show)] == ["Running"]
    promote(show)
    show.play()
    assert [run["status"]["phase"] for run in runs(show)] == ["Successful"]
    assert "AnalysisRunTerminating" in events(show)


def test_going_back_to_the_stable_template_skips_the_steps_and_keeps_its_set() -> None:
    show = healthy(rollout(canary({"setWeight": 20}, {"pause": {}})))
    update(show)
    show.play()
    update(show, version=1)
    show.play()
    assert phase(show) == ("Healthy", "")
    assert "SkipSteps" in events(show)
    assert pods(show) == {2: 0, 3: 10}, "the first set is used again under a new number"


def test_a_third_version_replaces_a_canary_under_way_and_starts_at_the_first_step() -> None:
    show = healthy(rollout(canary({"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}, routed=True)))
    update(show)
    show.play()
    promote(show)
    show.play()
    assert show.moments[-1].weight == 50
    update(show, version=3)
    show.play()
    assert show.moments[-1].weight == 20
    assert pods(show) == {1: 10, 2: 0, 3: 2}
    assert show.rollout["status"]["currentStepIndex"] == 1


@pytest.mark.parametrize("weight", [25, 100])
def test_a_release_back_right_after_a_promotion_gets_its_weight_through_its_own_door(weight: int) -> None:
    """The route still sends everything through the canary's door, to the set that has just become stable; the set of
    the release before still runs, so nothing else holds the new release up."""
    show = healthy(rollout(canary({"setWeight": weight}, {"pause": {"duration": "3s"}}, routed=True)))
    update(show)
    while 2 not in pods(show) or show.rollout["status"]["stableRS"] != hash_of(show, 2):
        if not show.turn():
            show.stage.now += timedelta(milliseconds=200)
    assert canary_weight(show) == 100
    update(show, version=1)
    while phase(show)[0] != "Paused":
        if not show.turn():
            show.stage.now += timedelta(milliseconds=200)
    assert selector(show, "canary") == show.rollout["status"]["currentPodHash"]
    assert selector(show, "stable") == show.rollout["status"]["stableRS"]
    assert canary_weight(show) == weight
    show.play()
    assert phase(show) == ("Healthy", "")


def test_full_promotion_skips_what_is_left() -> None:
    show = healthy(rollout(canary({"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {}})))
    update(show)
    show.play()
    change_status(show, promoteFull=True, pauseConditions=None)
    show.play()
    assert phase(show) == ("Healthy", "")
    assert pods(show) == {1: 0, 2: 10}


def test_scaling_in_the_middle_of_a_canary_keeps_its_share() -> None:
    show = healthy(rollout(canary({"setWeight": 20}, {"pause": {}})))
    update(show)
    show.play()
    show.edit(spec={**show.rollout["spec"], "replicas": 20})
    show.play()
    assert pods(show) == {1: 16, 2: 4}
    assert phase(show) == ("Paused", "CanaryPauseStep")


def test_with_dynamic_stable_scale_the_stable_set_shrinks_only_after_its_traffic_left() -> None:
    show = healthy(rollout(canary({"setWeight": 40}, {"pause": {}}, routed=True, dynamicStableScale=True)))
    update(show)
    show.play()
    assert pods(show) == {1: 6, 2: 4}
    assert all(moment.stable >= 10 - moment.weight // 10 for moment in show.moments)
    change_status(show, abort=True)
    show.play()
    assert pods(show) == {1: 10, 2: 0}
    assert all(moment.stable + moment.new >= 10 for moment in show.moments)


def test_a_set_canary_scale_brings_pods_without_traffic() -> None:
    steps = ({"setCanaryScale": {"replicas": 3}}, {"pause": {}}, {"setCanaryScale": {"matchTrafficWeight": True}},
             {"setWeight": 50}, {"pause": {}})  # fmt: skip
    show = healthy(rollout(canary(*steps, routed=True)))
    update(show)
    show.play()
    assert pods(show) == {1: 10, 2: 3}
    assert show.moments[-1].weight == 0
    promote(show)
    show.play()
    assert pods(show) == {1: 10, 2: 5}
    assert show.moments[-1].weight == 50


def test_a_rollout_paused_by_its_user_does_nothing() -> None:
    show = healthy(rollout(canary({"setWeight": 20}, {"pause": {}})))
    spec = show.rollout["spec"]
    update(show)
    show.edit(spec={**show.rollout["spec"], "paused": True})
    show.play()
    assert phase(show) == ("Paused", "manually paused")
    assert pods(show) == {1: 10, 2: 0}
    show.edit(spec={**show.rollout["spec"], "paused": False})
    show.play()
    assert phase(show) == ("Paused", "CanaryPauseStep")
    assert spec["replicas"] == 10


def test_a_missing_service_is_said_and_nothing_else_happens() -> None:
    show = healthy(rollout(canary({"setWeight": 20}, routed=True)))
    del show.stage.objects[core_v1.SERVICE.resource][next(
        key for key in show.stage.objects[core_v1.SERVICE.resource] if key.name == "canary"
    )]  # fmt: skip
    update(show)
    show.play(until=timedelta(minutes=1))
    assert phase(show) == (
        "Degraded",
        'InvalidSpec: The Rollout "web" is invalid: spec.strategy.canary.canaryService: Invalid value: "canary": '
        'service "canary" not found. Correct the field, or create what it names; the controller looks again by itself',
    )
    assert pods(show) == {1: 10}


def test_a_canary_that_never_becomes_ready_misses_its_deadline_and_is_aborted() -> None:
    body = rollout(canary({"setWeight": 20}, {"pause": {}}), progressDeadlineSeconds=60, progressDeadlineAbort=True)
    show = healthy(body)
    show.stage.pod_seconds = 100_000
    update(show)
    show.play(until=timedelta(minutes=3))
    assert phase(show)[0] == "Degraded"
    assert "has timed out progressing. `dabba rollout explain web -n shop`" in phase(show)[1]
    assert show.rollout["status"]["abort"] is True


def test_a_rest_is_a_rest() -> None:
    show = healthy(rollout(canary({"setWeight": 20}, {"pause": {}}, routed=True)))
    update(show)
    show.play()
    assert show.turn() is False
    promote(show)
    show.play()
    assert show.turn() is False


def canary_weight(show: Rehearsal) -> int:
    """What the route sends through the canary's door, wherever that leads."""
    found = show.stage.get(istio_networking_v1.VIRTUAL_SERVICE, ObjectKey("shop", "web"))
    assert found is not None
    return int(found["spec"]["http"][0]["route"][1]["weight"])


def runs(show: Rehearsal) -> list[Object]:
    return show.stage.all(argoproj_v1alpha1.ANALYSIS_RUN)
