"""The phase table, row by row: each row is reached by a Rollout that no earlier row applies to."""

from __future__ import annotations

from typing import Any

import pytest

from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import phases

CANARY: Object = {"canary": {"steps": [{"setWeight": 50}]}}
ROUTED: Object = {"canary": {"trafficRouting": {"istio": {}}}}
BLUE_GREEN: Object = {"blueGreen": {"activeService": "a"}}
JUDGED: Object = {"blueGreen": {"activeService": "a", "postPromotionAnalysis": {"templates": []}}}
DONE: Object = {
    "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "currentPodHash": "new", "stableRS": "new",
    "observedGeneration": "1", "blueGreen": {"activeSelector": "new"},
}  # fmt: skip


def rollout(strategy: Object = CANARY, *, spec: Object | None = None, **status: Any) -> Object:
    body = {"replicas": 2, "strategy": strategy, **(spec or {})}
    return {"metadata": {"generation": 1}, "spec": body, "status": {**DONE, **status}}


def condition(type_: str, status: str, reason: str) -> list[Object]:
    return [{"type": type_, "status": status, "reason": reason, "message": "because"}]


ROWS = [
    (1, rollout(conditions=condition("InvalidSpec", "True", "InvalidSpec")), "Degraded", "InvalidSpec: because"),
    (2, rollout(conditions=condition("Progressing", "False", "RolloutAborted")), "Degraded", "RolloutAborted: because"),
    (2, rollout(conditions=condition("Progressing", "False", "ProgressDeadlineExceeded")), "Degraded",
     "ProgressDeadlineExceeded: because"),
    (3, rollout(spec={"paused": True}), "Paused", "manually paused"),
    (4, rollout(pauseConditions=[{"reason": "CanaryPauseStep"}]), "Paused", "CanaryPauseStep"),
    (4, rollout(pauseConditions=[{"reason": "BlueGreenPause"}]), "Paused", "BlueGreenPause"),
    (4, rollout(pauseConditions=[{"reason": "InconclusiveAnalysisRun"}]), "Paused", "InconclusiveAnalysisRun"),
    (5, rollout(spec={"restartAt": "2026-01-01T00:00:00Z"}), "Progressing", "rollout is restarting"),
    (6, rollout(updatedReplicas=1), "Progressing", "more replicas need to be updated"),
    (7, rollout(availableReplicas=1), "Progressing", "updated replicas are still becoming available"),
    (8, rollout(BLUE_GREEN, blueGreen={"activeSelector": "old"}), "Progressing", "active service cutover pending"),
    (9, rollout(BLUE_GREEN, stableRS="old"), "Progressing", "waiting for analysis to complete"),
    (9, rollout(JUDGED, stableRS="old"), "Progressing", "waiting for post-promotion analysis to complete"),
    (10, rollout(replicas=3), "Progressing", "old replicas are pending termination"),
    (11, rollout(stableRS="old"), "Progressing", "waiting for all steps to complete"),
    (11, rollout(ROUTED, stableRS="old", replicas=4), "Progressing", "waiting for all steps to complete"),
    (12, rollout(), "Healthy", ""),
    (12, rollout(BLUE_GREEN, replicas=4), "Healthy", ""),
    (12, rollout(ROUTED, replicas=4), "Healthy", ""),
    (12, rollout(spec={"restartAt": "2026-01-01T00:00:00Z"}, restartedAt="2026-01-01T00:00:00Z"), "Healthy", ""),
]  # fmt: skip


@pytest.mark.parametrize(("number", "body", "phase", "message"), ROWS)
def test_each_row_gives_its_phase_and_message(number: int, body: Object, phase: str, message: str) -> None:
    found, told = phases.row(body)
    assert (found.number, found.phase, told) == (number, phase, message)


def test_every_row_of_the_table_is_covered() -> None:
    assert {number for number, *_ in ROWS} == {row.number for row in phases.TABLE}


def test_earlier_rows_win() -> None:
    body = rollout(spec={"paused": True}, conditions=condition("InvalidSpec", "True", "InvalidSpec"))
    assert phases.phase(body)[0] == "Degraded"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (rollout(observedGeneration="0"), "waiting for rollout spec update to be observed"),
        (rollout(controllerPause=True), "waiting for rollout to unpause"),
        (
            rollout(spec={"workloadRef": {"kind": "Deployment", "name": "web"}}, workloadObservedGeneration="7"),
            "waiting for rollout spec update to be observed for the reference workload",
        ),
    ],
)
def test_a_client_waits_until_the_controller_has_looked(body: Object, message: str) -> None:
    assert phases.seen_by_client(body) == ("Progressing", message)
