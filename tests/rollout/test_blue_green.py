"""Blue-green rollouts on a small cluster: the world after each act, and the order of what is told."""

from __future__ import annotations

from datetime import timedelta

from tests.rollout.given import (
    analysis_template,
    blue_green,
    change_status,
    events,
    hash_of,
    healthy,
    phase,
    pods,
    promote,
    rollout,
    selector,
    update,
)


def test_the_active_service_switches_when_the_new_set_is_full_and_the_old_one_goes_after_its_delay() -> None:
    show = healthy(rollout(blue_green()))
    update(show)
    show.play()
    assert phase(show) == ("Healthy", "")
    assert pods(show) == {1: 0, 2: 10}
    assert selector(show, "active") == selector(show, "preview") == hash_of(show, 2)
    assert events(show) == [
        "RolloutNotCompleted",
        "RolloutUpdated",
        "NewReplicaSetCreated",
        "ScalingReplicaSet",
        "SwitchService",
        "SwitchService",
        "RolloutCompleted",
        "ScalingReplicaSet",
    ]
    switched = next(moment for moment in show.moments if moment.weight == 100 and moment.new == 10)
    gone = next(moment for moment in show.moments if moment.weight == 100 and moment.new == 10 and not moment.others
                and not moment.stable)  # fmt: skip
    assert gone.at - switched.at >= timedelta(seconds=30)


def test_without_auto_promotion_the_switch_waits_for_a_person() -> None:
    show = healthy(rollout(blue_green(autoPromotionEnabled=False)))
    update(show)
    show.play()
    assert phase(show) == ("Paused", "BlueGreenPause")
    assert selector(show, "active") == hash_of(show, 1)
    assert selector(show, "preview") == hash_of(show, 2)
    promote(show)
    show.play()
    assert phase(show) == ("Healthy", "")
    assert selector(show, "active") == hash_of(show, 2)


def test_auto_promotion_seconds_count_from_the_pause() -> None:
    show = healthy(rollout(blue_green(autoPromotionSeconds=60)))
    update(show)
    show.play(until=timedelta(seconds=50))
    assert phase(show) == ("Paused", "BlueGreenPause")
    show.play()
    switched = next(moment.at for moment in show.moments if moment.weight == 100 and moment.new == 10)
    assert timedelta(seconds=70) <= switched <= timedelta(seconds=75)


def test_a_small_preview_grows_to_full_size_before_the_switch() -> None:
    show = healthy(rollout(blue_green(previewReplicaCount=2, autoPromotionEnabled=False)))
    update(show)
    show.play()
    assert pods(show) == {1: 10, 2: 2}
    promote(show)
    show.play()
    assert pods(show) == {1: 0, 2: 10}
    assert all(moment.new == 10 for moment in show.moments if moment.weight == 100 and moment.stable)


def test_a_failed_pre_promotion_analysis_never_switches_and_the_preview_goes_back_before_its_pods_do() -> None:
    strategy = blue_green(prePromotionAnalysis={"templates": [{"templateName": "rate"}]})
    show = healthy(rollout(strategy), analysis_template("rate", count=1), failing=("-pre",))
    update(show)
    show.play(until=timedelta(seconds=30))
    assert phase(show)[0] == "Degraded"
    assert selector(show, "active") == hash_of(show, 1)
    assert selector(show, "preview") == hash_of(show, 2), "a preview can still be looked at"
    show.play()
    assert pods(show) == {1: 10, 2: 0}
    assert selector(show, "preview") == hash_of(show, 1)


def test_a_failed_post_promotion_analysis_switches_back_at_once() -> None:
    strategy = blue_green(postPromotionAnalysis={"templates": [{"templateName": "rate"}]})
    show = healthy(rollout(strategy), analysis_template("rate"), failing=("-post",))
    update(show)
    show.play()
    assert phase(show)[0] == "Degraded"
    assert selector(show, "active") == hash_of(show, 1)
    assert pods(show) == {1: 10, 2: 0}
    assert all(moment.stable == 10 for moment in show.moments if moment.phase != "Healthy" and moment.stable)


def test_going_back_within_the_scale_down_delay_needs_no_new_pods_and_no_analysis() -> None:
    strategy = blue_green(scaleDownDelaySeconds=300, prePromotionAnalysis={"templates": [{"templateName": "rate"}]})
    show = healthy(rollout(strategy), analysis_template("rate", count=2))
    update(show)
    show.play(until=timedelta(minutes=3))
    assert phase(show) == ("Healthy", "")
    assert pods(show) == {1: 10, 2: 10}
    show.stage.events.clear()
    update(show, version=1)
    show.play(until=timedelta(seconds=5))
    assert phase(show) == ("Healthy", "")
    assert selector(show, "active") == hash_of(show, 3)
    assert "ScalingReplicaSet" not in events(show)


def test_full_promotion_skips_pause_and_analysis() -> None:
    strategy = blue_green(autoPromotionEnabled=False, previewReplicaCount=1,
                          postPromotionAnalysis={"templates": [{"templateName": "rate"}]})  # fmt: skip
    show = healthy(rollout(strategy), analysis_template("rate"))
    update(show)
    show.play()
    change_status(show, promoteFull=True, pauseConditions=None)
    show.play(until=timedelta(seconds=20))
    assert phase(show) == ("Healthy", "")
    assert pods(show)[2] == 10


def test_an_abort_and_a_retry_go_through_the_pause_again() -> None:
    show = healthy(rollout(blue_green(autoPromotionEnabled=False)))
    update(show)
    show.play()
    change_status(show, abort=True)
    show.play()
    assert phase(show)[0] == "Degraded"
    assert pods(show) == {1: 10, 2: 0}
    change_status(show, abort=None)
    show.play()
    assert phase(show) == ("Paused", "BlueGreenPause")
    assert pods(show) == {1: 10, 2: 10}


def test_an_inconclusive_or_unfinished_preview_keeps_the_users_on_the_active_set() -> None:
    strategy = blue_green(prePromotionAnalysis={"templates": [{"templateName": "rate"}]})
    show = healthy(rollout(strategy), analysis_template("rate"))
    update(show)
    show.play(until=timedelta(seconds=100))
    assert phase(show)[0] == "Progressing"
    assert selector(show, "active") == hash_of(show, 1)
    show.play()
    assert selector(show, "active") == hash_of(show, 2)


def test_scaling_in_the_middle_scales_both_sides() -> None:
    show = healthy(rollout(blue_green(autoPromotionEnabled=False)))
    update(show)
    show.play()
    show.edit(spec={**show.rollout["spec"], "replicas": 4})
    show.play()
    assert pods(show) == {1: 4, 2: 4}
    assert phase(show) == ("Paused", "BlueGreenPause")


def test_a_blue_green_rollout_rests() -> None:
    show = healthy(rollout(blue_green(autoPromotionEnabled=False)))
    update(show)
    show.play()
    assert show.turn() is False
    promote(show)
    show.play()
    assert show.turn() is False


def test_an_abort_takes_the_users_back_even_while_somebody_has_paused() -> None:
    show = healthy(rollout(blue_green(postPromotionAnalysis={"templates": [{"templateName": "rate"}]})),
                   analysis_template("rate"))  # fmt: skip
    update(show)
    show.play(until=timedelta(minutes=1))
    assert selector(show, "active") == hash_of(show, 2)
    show.edit(spec={**show.rollout["spec"], "paused": True})
    change_status(show, abort=True)
    show.play(until=timedelta(minutes=2))
    assert selector(show, "active") == hash_of(show, 1)


def test_a_retry_after_a_full_promotion_was_aborted_is_judged_again() -> None:
    show = healthy(rollout(blue_green(autoPromotionEnabled=False)))
    update(show)
    show.play()
    change_status(show, promoteFull=True, abort=True)
    show.play(until=timedelta(minutes=1))
    assert selector(show, "active") == hash_of(show, 1)
    change_status(show, abort=False)
    show.play()
    assert phase(show) == ("Paused", "BlueGreenPause")
    assert selector(show, "active") == hash_of(show, 1)
