"""A promotion ends what it was given for, and never the gate after it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dabbawala.api import argoproj_v1alpha1
from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import actions
from dabbawala.rollout.rehearsal import Rehearsal
from tests.rollout.given import (
    analysis_template,
    blue_green,
    canary,
    change_status,
    hash_of,
    healthy,
    phase,
    promote,
    rollout,
    selector,
    update,
)

JUDGED = {"templates": [{"templateName": "rate"}]}
HELD = ("Paused", "CanaryPauseStep")
UNSURE = ("Paused", "InconclusiveAnalysisRun")


def paused(*steps: Object, **more: Any) -> Rehearsal:
    """In the first pause of an update."""
    show = healthy(rollout(canary(*steps, **more)), analysis_template("rate", count=60))
    update(show)
    show.play(until=timedelta(minutes=5))
    return show


def end_run(show: Rehearsal, verdict: str = "Inconclusive") -> None:
    """The unfinished run comes to a verdict."""
    for run in show.stage.all(argoproj_v1alpha1.ANALYSIS_RUN):
        if not (run.get("status") or {}).get("completedAt"):
            status = {"phase": verdict, "completedAt": "2026-01-01T00:00:00Z"}
            show.stage.put(argoproj_v1alpha1.ANALYSIS_RUN, {**run, "status": status})
    show.play()


def index(show: Rehearsal) -> int:
    return int(show.rollout["status"]["currentStepIndex"])


def skip_as_argos_plugin(show: Rehearsal) -> None:
    change_status(show, pauseConditions=None, currentStepIndex=index(show) + 1)


def skip(show: Rehearsal) -> None:
    for patch in actions.skip_step(show.rollout):
        change_status(show, **patch.body["status"])


@pytest.mark.parametrize("skipping", [skip, skip_as_argos_plugin])
@pytest.mark.parametrize("routed", [False, True])
def test_skipping_a_pause_does_not_skip_the_next(skipping: Any, *, routed: bool) -> None:
    show = paused({"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}, routed=routed)
    assert (phase(show), index(show)) == (HELD, 1)
    skipping(show)
    show.play()
    assert (phase(show), index(show)) == (HELD, 3)
    promote(show)
    show.play()
    assert phase(show) == ("Healthy", "")


def test_skipping_a_pause_does_not_skip_one_right_behind_it() -> None:
    show = paused({"setWeight": 20}, {"pause": {"duration": "1h"}}, {"pause": {}})
    assert (phase(show), index(show)) == (HELD, 1)
    skip(show)
    show.play()
    assert (phase(show), index(show)) == (HELD, 2)


def test_promoting_twice_before_anybody_has_looked_does_not_open_the_next_gate() -> None:
    show = paused({"setWeight": 20}, {"pause": {}}, {"pause": {}})
    for _ in range(2):
        for patch in actions.promote(show.rollout):
            change_status(show, **patch.body["status"])
    show.play()
    assert (phase(show), index(show)) == (HELD, 2)


def test_promoting_past_an_inconclusive_step_does_not_open_the_gate_behind_it() -> None:
    show = healthy(rollout(canary({"analysis": JUDGED}, {"pause": {}})), analysis_template("rate", count=60))
    update(show)
    show.play(until=timedelta(seconds=30))
    end_run(show)
    assert (phase(show), index(show)) == (UNSURE, 0)
    promote(show)
    show.play()
    assert (phase(show), index(show)) == (HELD, 1)


def test_promoting_past_what_is_inconclusive_in_the_background_does_not_open_a_gate_just_reached() -> None:
    show = healthy(rollout(canary({"setWeight": 20}, {"pause": {}}, analysis=JUDGED)), analysis_template("rate"))
    update(show)
    while index(show) == 0 or not show.stage.all(argoproj_v1alpha1.ANALYSIS_RUN):
        show.turn()
        show.stage.now += timedelta(seconds=1)
    assert "pauseConditions" not in show.rollout["status"], "the pause has not begun"
    for run in show.stage.all(argoproj_v1alpha1.ANALYSIS_RUN):
        status = {"phase": "Inconclusive", "completedAt": "2026-01-01T00:00:00Z"}
        show.stage.put(argoproj_v1alpha1.ANALYSIS_RUN, {**run, "status": status})
    show.play()
    assert (phase(show), index(show)) == (UNSURE, 1)
    promote(show)
    show.play()
    assert (phase(show), index(show)) == (HELD, 1)


def test_a_verdict_that_arrives_as_a_step_ends_is_left_to_a_person() -> None:
    show = paused({"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}, analysis=JUDGED)
    promote(show)
    end_run(show)
    assert phase(show) == UNSURE
    runs = len(show.stage.all(argoproj_v1alpha1.ANALYSIS_RUN))
    show.stage.now += timedelta(hours=1)
    show.play()
    assert phase(show) == UNSURE
    assert len(show.stage.all(argoproj_v1alpha1.ANALYSIS_RUN)) == runs


def test_promoting_past_an_inconclusive_preview_does_not_switch() -> None:
    body = rollout(blue_green(autoPromotionEnabled=False, prePromotionAnalysis=JUDGED))
    show = healthy(body, analysis_template("rate", count=60))
    update(show)
    show.play(until=timedelta(seconds=30))
    end_run(show)
    assert phase(show) == UNSURE
    promote(show)
    show.play()
    assert phase(show) == ("Paused", "BlueGreenPause")
    assert selector(show, "active") == hash_of(show, 1)
    promote(show)
    show.play()
    assert phase(show) == ("Healthy", "")
