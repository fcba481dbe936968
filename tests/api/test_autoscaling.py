"""HorizontalPodAutoscalers in both versions: defaults, refusals, tables, and what one version says of the other."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest

from dabbawala.api import autoscaling_v1, autoscaling_v1_form, autoscaling_v2
from tests.api.kind_calls import prepared, row, wrong

V2, V1 = autoscaling_v2.HORIZONTAL_POD_AUTOSCALER, autoscaling_v1.HORIZONTAL_POD_AUTOSCALER
CPU = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
}
RATE = {
    "type": "Pods",
    "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "100"}},
}
QUEUE = {
    "type": "External",
    "external": {
        "metric": {"name": "queue", "selector": {"matchLabels": {"q": "a"}}}, "target": {"type": "Value", "value": "9"},
    },
}  # fmt: skip
HITS = {
    "type": "Object",
    "object": {
        "describedObject": {"kind": "Ingress", "name": "web", "apiVersion": "networking.k8s.io/v1"},
        "metric": {"name": "hits"}, "target": {"type": "AverageValue", "averageValue": "5"},
    },
}  # fmt: skip
SIDECAR = {
    "type": "ContainerResource",
    "containerResource": {
        "name": "cpu", "container": "app", "target": {"type": "Utilization", "averageUtilization": 60},
    },
}  # fmt: skip


def autoscaler(version: str = "v2", **spec: Any) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return {
        "apiVersion": f"autoscaling/{version}",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"scaleTargetRef": target, "maxReplicas": 5, **spec},
    }


def test_an_autoscaler_aims_at_four_fifths_of_the_cpu() -> None:
    spec = prepared(V2, autoscaler())["spec"]
    assert spec["minReplicas"] == 1
    assert spec["metrics"] == [CPU]
    assert "behavior" not in spec


def test_a_behaviour_gets_what_it_leaves_out() -> None:
    down = {"stabilizationWindowSeconds": 60, "tolerance": "0.05"}
    behavior = prepared(V2, autoscaler(behavior={"scaleDown": down}))["spec"]["behavior"]
    percent = {"type": "Percent", "value": 100, "periodSeconds": 15}
    assert behavior == {
        "scaleUp": {
            "stabilizationWindowSeconds": 0, "selectPolicy": "Max",
            "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}, percent],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": 60, "selectPolicy": "Max", "policies": [percent], "tolerance": "50m",
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"minReplicas": 0}, "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"),
        ({"minReplicas": 9}, "spec.maxReplicas: Invalid value: 5: must be greater than or equal to `minReplicas`"),
        ({"scaleTargetRef": {"kind": "Deployment"}}, "spec.scaleTargetRef.name: Required value"),
        ({"metrics": [{"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue"}}}]},
         "spec.metrics[0].pods.target.averageValue: Required value: must specify a positive target averageValue"),
        ({"metrics": [{"type": "Resource"}]},
         "spec.metrics[0].resource: Required value: must populate information for the given metric source"),
        ({"metrics": [{**CPU, "pods": RATE["pods"]}]},
         "spec.metrics[0].pods: Forbidden: must populate the given metric source only"),
        ({"metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}]},
         "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or "
         "a target utilization"),
        ({"metrics": [{"type": "External", "external": {"metric": {}, "target": {"type": "Value", "value": "1"}}}]},
         "spec.metrics[0].external.metric.name: Required value: must specify a metric name"),
        ({"behavior": {"scaleUp": {"stabilizationWindowSeconds": 3601}}},
         "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600"),
        ({"behavior": {"scaleDown": {"policies": []}}},
         "spec.behavior.scaleDown.policies: Required value: must specify at least one Policy"),
        ({"behavior": {"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 1801}]}}},
         "spec.behavior.scaleDown.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800"),
        ({"behavior": {"scaleDown": {"selectPolicy": "Avg"}}},
         'spec.behavior.scaleDown.selectPolicy: Unsupported value: "Avg": supported values: "Disabled", "Max", "Min"'),
    ],
)  # fmt: skip
def test_refuses_a_bad_autoscaler(spec: dict[str, Any], expected: str) -> None:
    assert wrong(V2, autoscaler(**spec)) == [expected]


@pytest.mark.parametrize(
    ("metrics", "measured", "shown"),
    [
        ([CPU], [], "cpu: <unknown>/80%"),
        ([CPU], [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 0}}}],
         "cpu: 0%/80%"),
        ([RATE], [{"type": "Pods", "pods": {"metric": {"name": "rps"}, "current": {"averageValue": "7"}}}], "7/100"),
        ([HITS], [], "<unknown>/5 (avg)"),
        ([CPU, QUEUE, SIDECAR], [], "cpu: <unknown>/80%, <unknown>/9 + 1 more..."),
    ],
)  # fmt: skip
def test_an_autoscaler_shows_what_it_aims_at(metrics: list[Any], measured: list[Any], shown: str) -> None:
    obj = prepared(V2, autoscaler(metrics=metrics))
    obj["status"] = {"currentMetrics": measured, "currentReplicas": 2}
    assert row(V2, obj) == ["web", "Deployment/web", shown, "1", 5, 2, "<unknown>"]
    assert row(V1, autoscaling_v1_form.from_v2(obj)) == row(V2, obj)


def test_the_older_version_has_a_field_for_cpu() -> None:
    made = prepared(V1, autoscaler("v1"))
    assert made["spec"]["targetCPUUtilizationPercentage"] == 80
    assert made["status"] == {"currentReplicas": 0, "desiredReplicas": 0}
    assert autoscaling_v1_form.to_v2(made)["spec"]["metrics"] == [CPU]


def test_what_the_older_version_has_no_field_for_stands_in_annotations() -> None:
    stored = prepared(V2, autoscaler(metrics=[CPU, RATE], behavior={"scaleDown": {"selectPolicy": "Min"}}))
    stored["status"] = {"desiredReplicas": 2, "conditions": [{"type": "AbleToScale", "status": "True"}]}
    shown = autoscaling_v1_form.from_v2(stored)
    noted = {key.rpartition("/")[2]: orjson.loads(value) for key, value in shown["metadata"]["annotations"].items()}
    assert noted["metrics"] == [{"type": "Pods", "pods": {"metricName": "rps", "targetAverageValue": "100"}}]
    assert noted["behavior"]["ScaleDown"] == {
        "SelectPolicy": "Min",
        "Policies": [{"Type": "Percent", "Value": 100, "PeriodSeconds": 15}],
    }
    assert noted["conditions"] == [{"type": "AbleToScale", "status": "True"}]


def test_nothing_is_lost_on_the_way_to_the_older_version_and_back() -> None:
    obj = prepared(V2, autoscaler(metrics=[CPU, RATE, QUEUE, HITS, SIDECAR], behavior={"scaleUp": {"tolerance": "1"}}))
    obj["metadata"]["annotations"] = {"team": "a"}
    obj["status"] = {
        "desiredReplicas": 3, "currentReplicas": 2, "conditions": [{"type": "AbleToScale", "status": "True"}],
        "currentMetrics": [
            {"type": "Resource",
             "resource": {"name": "cpu", "current": {"averageUtilization": 7, "averageValue": "3m"}}},
            {"type": "Pods", "pods": {"metric": {"name": "rps"}, "current": {"averageValue": "8"}}},
            {"type": "External", "external": {"metric": {"name": "queue"}, "current": {"value": "3"}}},
            {"type": "Object", "object": {**HITS["object"], "current": {"averageValue": "2"}}},
        ],
    }  # fmt: skip
    del obj["status"]["currentMetrics"][3]["object"]["target"]
    before = copy.deepcopy(obj)
    shown = autoscaling_v1_form.from_v2(obj)
    assert shown["spec"]["targetCPUUtilizationPercentage"] == 80
    assert shown["status"]["currentCPUUtilizationPercentage"] == 7
    assert autoscaling_v1_form.to_v2(shown) == obj == before


def test_a_client_of_the_older_version_cannot_write_conditions() -> None:
    conditions = {autoscaling_v1_form.CONDITIONS: '[{"type":"AbleToScale","status":"False"}]', "team": "a"}
    forged = autoscaler("v1")
    forged["metadata"]["annotations"] = conditions
    assert prepared(V1, forged)["metadata"]["annotations"] == {"team": "a"}


def test_refusals_of_the_older_version_name_the_fields_of_the_newer() -> None:
    expected = "spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater than 0"
    assert wrong(V1, autoscaler("v1", targetCPUUtilizationPercentage=0)) == [expected]


@pytest.mark.parametrize("text", ["{", "7", '{"a":1}', "[7]"])
def test_an_annotation_that_cannot_be_read_counts_for_nothing(text: str) -> None:
    obj = autoscaler("v1", targetCPUUtilizationPercentage=80)
    obj["metadata"]["annotations"] = {autoscaling_v1_form.METRICS: text, autoscaling_v1_form.BEHAVIOR: "7"}
    assert autoscaling_v1_form.to_v2(obj)["spec"]["metrics"] == [CPU]
