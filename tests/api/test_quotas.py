"""ResourceQuotas and LimitRanges: defaults, refusals, tables."""

from __future__ import annotations

from typing import Any

import pytest

from dabbawala.api import core_v1
from tests.api.kind_calls import prepared, row, wrong


def quota(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "q", "namespace": "shop"}, "spec": spec}


def limits(**item: Any) -> dict[str, Any]:
    return {"metadata": {"name": "l", "namespace": "shop"}, "spec": {"limits": [{"type": "Container", **item}]}}


def test_the_amounts_of_a_quota_are_written_one_way() -> None:
    made = prepared(core_v1.RESOURCE_QUOTA, quota(hard={"cpu": "1500m", "memory": "1024Mi", "count/jobs.batch": 5}))
    assert made["spec"]["hard"] == {"cpu": "1500m", "memory": "1Gi", "count/jobs.batch": "5"}
    assert made["status"] == {}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"hard": {"gpus": "1"}}, 'spec.hard[gpus]: Invalid value: "gpus": must be a standard resource for quotas'),
        ({"hard": {"pods": "1.5"}}, 'spec.hard[pods]: Invalid value: "1500m": must be an integer'),
        ({"hard": {"cpu": "-1"}}, 'spec.hard[cpu]: Invalid value: "-1": must be greater than or equal to 0'),
        ({"scopes": ["Late"]}, 'spec.scopes: Invalid value: ["Late"]: unsupported scope'),
        ({"scopes": ["BestEffort"], "hard": {"cpu": "1"}},
         'spec.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to resource'),
        ({"scopes": ["BestEffort", "NotBestEffort"], "hard": {"pods": "1"}},
         'spec.scopes: Invalid value: ["BestEffort","NotBestEffort"]: conflicting scopes'),
        ({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In"}]}},
         "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is "
         "'In' or 'NotIn' for scope selector"),
        ({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "Is"}]}},
         'spec.scopeSelector.matchExpressions.operator: Invalid value: "Is": not a valid selector operator'),
    ],
)  # fmt: skip
def test_refuses_a_bad_quota(spec: dict[str, Any], expected: str) -> None:
    assert wrong(core_v1.RESOURCE_QUOTA, quota(**spec)) == [expected]


def test_scopes_that_are_there_or_not_have_no_values() -> None:
    term = {"scopeName": "Terminating", "operator": "In", "values": ["a"]}
    [message] = wrong(core_v1.RESOURCE_QUOTA, quota(scopeSelector={"matchExpressions": [term]}))
    expected = "spec.scopeSelector.matchExpressions.operator: Invalid value: \"In\": must be 'Exist' when scope is any"
    assert message.startswith(expected)


@pytest.mark.parametrize(
    "name", ["requests.nvidia.com/gpu", "gold.storageclass.storage.k8s.io/requests.storage", "hugepages-2Mi"]
)
def test_what_nodes_and_classes_add_may_be_limited_too(name: str) -> None:
    assert wrong(core_v1.RESOURCE_QUOTA, quota(hard={name: "4"})) == []


def test_the_scopes_of_a_quota_stay() -> None:
    old = prepared(core_v1.RESOURCE_QUOTA, quota(scopes=["NotTerminating"]))
    expected = 'spec.scopes: Invalid value: ["Terminating"]: field is immutable'
    assert wrong(core_v1.RESOURCE_QUOTA, quota(scopes=["Terminating"]), old) == [expected]


def test_a_quota_shows_what_is_used_of_requests_and_of_limits() -> None:
    obj = quota()
    obj["status"] = {"hard": {"pods": "3", "limits.cpu": "2", "cpu": "1"}, "used": {"pods": "1", "cpu": "500m"}}
    assert row(core_v1.RESOURCE_QUOTA, obj) == ["q", "cpu: 500m/1, pods: 1/3", "limits.cpu: 0/2", "<unknown>"]


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"max": {"cpu": "2"}}, {"default": {"cpu": "2"}, "defaultRequest": {"cpu": "2"}}),
        ({"min": {"cpu": "0.1"}}, {"defaultRequest": {"cpu": "100m"}}),
        ({"min": {"cpu": "1"}, "max": {"cpu": "2"}}, {"default": {"cpu": "2"}, "defaultRequest": {"cpu": "2"}}),
        ({"max": {"cpu": "2"}, "default": {"cpu": "1"}}, {"default": {"cpu": "1"}, "defaultRequest": {"cpu": "1"}}),
        ({"default": {"cpu": "1"}, "defaultRequest": {"cpu": "500m"}}, {"defaultRequest": {"cpu": "500m"}}),
    ],
)
def test_a_limit_range_derives_defaults_of_containers(given: dict[str, Any], made: dict[str, Any]) -> None:
    [item] = prepared(core_v1.LIMIT_RANGE, limits(**given))["spec"]["limits"]
    assert {field: item[field] for field in made} == made


def test_a_limit_range_derives_nothing_for_pods_and_claims() -> None:
    [item] = prepared(core_v1.LIMIT_RANGE, limits(type="Pod", max={"cpu": "2"}))["spec"]["limits"]
    assert item == {"type": "Pod", "max": {"cpu": "2"}}


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"type": "Node"},
         'spec.limits[0].type: Invalid value: "Node": must be a standard limit type or fully qualified'),
        ({"type": "Pod", "default": {"cpu": "1"}},
         "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"),
        ({"type": "PersistentVolumeClaim"}, "spec.limits[0].limits: Required value: either minimum or maximum storage "
         "value is required, but neither was provided"),
        ({"type": "Pod", "min": {"cpu": "2"}, "max": {"cpu": "1"}},
         'spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1'),
        ({"default": {"cpu": "1"}, "defaultRequest": {"cpu": "2"}}, "spec.limits[0].defaultRequest[cpu]: Invalid "
         'value: "2": default request value 2 is greater than default limit value 1'),
        ({"max": {"cpu": "1"}, "default": {"cpu": "2"}, "defaultRequest": {"cpu": "1"}},
         'spec.limits[0].default[cpu]: Invalid value: "2": default value 2 is greater than max value 1'),
        ({"maxLimitRequestRatio": {"cpu": "0.5"}},
         'spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "500m": ratio 500m is less than 1'),
        ({"type": "Pod", "min": {"cpu": "1"}, "max": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "3"}},
         'spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "3": ratio 3 is greater than max/min = 2'),
    ],
)  # fmt: skip
def test_refuses_a_bad_limit_range(item: dict[str, Any], expected: str) -> None:
    assert wrong(core_v1.LIMIT_RANGE, limits(**item)) == [expected]


def test_a_limit_range_speaks_once_of_each_type() -> None:
    obj = limits()
    obj["spec"]["limits"] *= 2
    assert wrong(core_v1.LIMIT_RANGE, obj) == ['spec.limits[1].type: Duplicate value: "Container"']
    obj["metadata"]["creationTimestamp"] = "2026-01-01T10:00:00Z"
    assert row(core_v1.LIMIT_RANGE, obj) == ["l", "2026-01-01T10:00:00Z"]
