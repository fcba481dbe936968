"""The workloads' own manifests, made small: what may change does, what must not does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dabbawala.demo import manifests, programs, releases, scaling

RULES = scaling.Scaling(replicas=4, preview_replicas=1, time=60, resources=10)


def scaled(service: releases.Service, kind: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    found = manifests.read(programs.folder() / service.folder / "manifests")
    return [(obj, scaling.scaled(obj, RULES)) for obj in found if obj["kind"] == kind]


def test_a_canary_keeps_its_steps_and_weights_and_waits_less() -> None:
    ((before, after),) = scaled(releases.CATALOG, "Rollout")
    old, new = before["spec"]["strategy"]["canary"]["steps"], after["spec"]["strategy"]["canary"]["steps"]
    assert [step.get("setWeight") for step in old] == [step.get("setWeight") for step in new]
    assert [step["pause"]["duration"] for step in new if "pause" in step] == ["5s", "10s", "15s", "30s", "60s"]
    assert after["spec"]["replicas"] == 4
    assert before["spec"]["replicas"] == 1000


def test_a_blue_green_release_keeps_its_analyses() -> None:
    ((before, after),) = scaled(releases.TATKAL, "Rollout")
    old, new = before["spec"]["strategy"]["blueGreen"], after["spec"]["strategy"]["blueGreen"]
    assert new["prePromotionAnalysis"] == old["prePromotionAnalysis"]
    assert new["previewReplicaCount"] == 1
    container = after["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["requests"] == {"cpu": "50m", "memory": "103Mi"}
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "2Gi"}
    assert container["readinessProbe"]["initialDelaySeconds"] == 0


def test_thresholds_and_counts_stay_and_windows_keep_enough_scrapes() -> None:
    for before, after in scaled(releases.CATALOG, "AnalysisTemplate"):
        for old, new in zip(before["spec"]["metrics"], after["spec"]["metrics"], strict=True):
            assert new["successCondition"] == old["successCondition"]
            assert new["count"] == old["count"]
            shorter = old["provider"]["prometheus"]["query"].replace("[5m]", "[5s]").replace("[10m]", "[10s]")
            assert new["provider"]["prometheus"]["query"] == shorter


def test_only_the_comparison_of_two_counts_gets_room_for_chance() -> None:
    rules = replace(RULES, compared=50)
    found = manifests.read(programs.folder() / "catalog" / "manifests")
    conditions = {
        metric["name"]: metric["successCondition"]
        for obj in found
        if obj["kind"] == "AnalysisTemplate"
        for metric in scaling.scaled(obj, rules)["spec"]["metrics"]
    }
    assert conditions == {
        "success-rate": "result[0] >= 0.95",
        "latency-p95": "result[0] <= 2.0",
        "conversion-rate": "result[0] >= 0.35",
    }


@pytest.mark.parametrize(("text", "seconds"), [("300s", 300), ("1h30m", 5400), ("90", 90), (45, 45), ("500ms", 0.5)])
def test_durations_are_read_as_kubernetes_writes_them(text: str | int, seconds: float) -> None:
    assert scaling.seconds(text) == seconds


def test_other_kinds_are_left_alone() -> None:
    ((before, after),) = scaled(releases.TATKAL, "Namespace")
    assert after is before
