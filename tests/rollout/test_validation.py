"""What is refused, and in which words; Argo's where Argo has any."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import references, validation
from dabbawala.rollout.observed import Observed, situate
from dabbawala.rollout.rehearsal import START
from tests.rollout.given import DOORS, analysis_template, blue_green, canary, destination_rule, rollout, route

VALID = [
    rollout(canary()),
    rollout(canary({"setWeight": 20}, {"pause": {}}, {"pause": {"duration": "1h"}}, routed=True)),
    rollout(canary({"setCanaryScale": {"replicas": 1}}, routed=True)),
    rollout(blue_green(autoPromotionSeconds=30, previewReplicaCount=1)),
]


@pytest.mark.parametrize("body", VALID)
def test_a_valid_rollout_is_valid(body: Object) -> None:
    assert validation.validate(body) == []


def without(body: Object, *path: str) -> Object:
    changed = deepcopy(body)
    holder = changed
    for part in path[:-1]:
        holder = holder[part]
    del holder[path[-1]]
    return changed


ROUTED: Any = {"trafficRouting": {"istio": {"virtualService": {"name": "web"}}}}

INVALID = [
    (rollout({}), "Rollout has missing field '.spec.strategy.canary or .spec.strategy.blueGreen'"),
    (rollout({**canary(), **blue_green()}), "Multiple Strategies can not be listed"),
    (without(rollout(canary()), "spec", "selector"), "Rollout has missing field '.spec.selector'"),
    (rollout(canary(), selector={}), "empty selector is invalid for deployment"),
    (rollout(canary(), selector={"matchLabels": {"app": "other"}}), "`selector` does not match template `labels`"),
    (rollout(canary(), replicas=-1), "must be greater than or equal to 0"),
    (rollout(canary(), progressDeadlineSeconds=5, minReadySeconds=5), "must be greater than minReadySeconds"),
    (rollout({"blueGreen": {"activeService": "a", "previewService": "a"}}),
     "This rollout uses the same service for the active and preview services"),
    (rollout({"blueGreen": {"previewService": "a"}}), "Rollout has missing field"),
    (rollout(blue_green(scaleDownDelayRevisionLimit=11)), "revision history limit can not be smaller"),
    (rollout(blue_green(maxUnavailable="a few")), "a valid percent string must be"),
    (rollout(blue_green(maxUnavailable=-1)), "must be greater than or equal to 0"),
    (rollout(blue_green(antiAffinity={})), "AntiAffinity must have exactly one strategy listed"),
    (rollout(blue_green(antiAffinity={"preferredDuringSchedulingIgnoredDuringExecution": {"weight": 0}})),
     "AntiAffinity weight must be between 1-100"),
    (rollout(canary(stableService="a", canaryService="a")),
     "This rollout uses the same service for the stable and canary services"),
    (rollout(canary(maxSurge=0, maxUnavailable=0)), "MaxSurge and MaxUnavailable both can not be zero"),
    (rollout(canary(maxSurge="0%", maxUnavailable="0%")), "MaxSurge and MaxUnavailable both can not be zero"),
    (rollout(canary(**ROUTED)), "Canary service and Stable service must to be set to use Traffic Routing"),
    (rollout(canary({"setWeight": 101})), "SetWeight needs to be between 0 and 100"),
    (rollout(canary({"setWeight": -1})), "SetWeight needs to be between 0 and 100"),
    (rollout(canary({"pause": {"duration": -1}})), "Duration needs to be greater than 0"),
    (rollout(canary({"pause": {"duration": "soon"}})), "is no duration"),
    (rollout(canary({})), "Step must have one of the following set"),
    (rollout(canary({"setWeight": 1, "pause": {}})), "Step must have one of the following set"),
    (rollout(canary({"setCanaryScale": {"replicas": 1}})), "SetCanaryScale requires TrafficRouting to be set"),
    (rollout(canary(scaleDownDelaySeconds=10)), "scaleDownDelaySeconds can only be used with traffic routing"),
    (rollout(canary(dynamicStableScale=True)), "dynamicStableScale can only be used with traffic routing"),
    (rollout(canary(routed=True, dynamicStableScale=True, scaleDownDelaySeconds=10)),
     "dynamicStableScale cannot be used with scaleDownDelaySeconds"),
    (rollout(canary(trafficRouting={"nginx": {"stableIngress": "web"}})), "traffic router nginx is not supported"),
    (rollout(canary(trafficRouting={"plugins": {"x/y": {}}})), "traffic router plugins is not supported"),
    (rollout(canary(trafficRouting={})), "trafficRouting names no router"),
    (rollout(canary(trafficRouting={"managedRoutes": [{"name": "h"}]})), "trafficRouting names no router"),
    (rollout(canary(trafficRouting={"nginx": None})), "trafficRouting names no router"),
    (rollout(canary(trafficRouting={"istio": {}})), "Required value"),
    (rollout(canary(), template={}, workloadRef={"kind": "PodTemplate", "name": "web"}),
     'supported values: "Deployment", "ReplicaSet"'),
    (rollout(canary({"experiment": {"templates": []}})), "step experiment is not supported"),
    (rollout(canary({"setHeaderRoute": {"name": "h"}}, routed=True)), "step setHeaderRoute is not supported"),
    (rollout(canary({"plugin": {"name": "p"}})), "step plugin is not supported"),
    (rollout(canary(pingPong={"pingService": "a", "pongService": "b"})), "ping-pong services are not supported"),
    (rollout(canary(), workloadRef={"kind": "Deployment", "name": "web"}), "template must be empty"),
    (rollout(canary({"setWeight": 1}, analysis={"startingStep": 5})), "must be between 0 and 1"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "message"), INVALID)
def test_an_invalid_rollout_is_refused_with_its_reason(body: Object, message: str) -> None:
    told = [error.message for error in validation.validate(body)]
    assert any(message in text for text in told), told


def test_a_route_without_a_router_is_refused_by_the_names_of_its_fields() -> None:
    for routing, field in (({}, "istio"), ({"managedRoutes": []}, "istio"), ({"istio": {}}, "istio.virtualService")):
        found = [error.field for error in validation.validate(rollout(canary(trafficRouting=routing)))]
        assert f"spec.strategy.trafficRouting.{field}" in found
    (other,) = validation.validate(rollout(canary(trafficRouting={"nginx": {}})))
    assert other.field == "spec.strategy.trafficRouting.nginx", "one reason is enough"


def test_the_condition_names_the_rollout_and_the_field() -> None:
    body = rollout(canary({"setWeight": 101}))
    assert validation.message(body, validation.validate(body)) == (
        'The Rollout "web" is invalid: spec.strategy.steps[0].setWeight: Invalid value: 101: '
        "SetWeight needs to be between 0 and 100. "
        "Correct the field, or create what it names; the controller looks again by itself"
    )


# Between the Rollout and what it names.


def seen(body: Object, *, without: str = "", **changes: Any) -> list[str]:
    services = {obj["metadata"]["name"]: obj for _, obj in deepcopy(DOORS) if obj["metadata"]["name"] != without}
    routed, rule, template = route()[1], destination_rule()[1], analysis_template("rate", count=0)[1]
    world = Observed(
        services={**services, **changes.pop("services", {})},
        virtual_services={("shop", "web"): routed},  # type: ignore[dict-item]
        destination_rules={("shop", "web"): rule},  # type: ignore[dict-item]
        templates={("AnalysisTemplate", "rate"): template},
        **changes,
    )
    return [f"{error.field}: {error.message}" for error in references.validate(situate(body, world, START))]


def service_with(annotation: str = "", **selector: str) -> Object:
    metadata: Object = {"name": "stable", "namespace": "shop"}
    if annotation:
        metadata["annotations"] = {"argo-rollouts.argoproj.io/managed-by-rollouts": annotation}
    return {"metadata": metadata, "spec": {"selector": selector or {"app": "web"}}}


REFERENCES = [
    (rollout(canary(routed=True)), {"without": "canary"}, 'service "canary" not found'),
    (rollout(blue_green()), {"without": "active"}, 'service "active" not found'),
    (rollout(canary(routed=True)), {"services": {"stable": service_with("other")}},
     'Service "stable" is managed by another Rollout'),
    (rollout(canary(routed=True)), {"services": {"stable": service_with(tier="front")}},
     'Service "stable" has unmatch label "tier" in rollout'),
    (rollout(canary(canaryService="canary", stableService="stable",
                    trafficRouting={"istio": {"virtualService": {"name": "nowhere"}}})), {},
     'virtualservices.networking.istio.io "nowhere" not found'),
    (rollout(canary(canaryService="canary", stableService="active",
                    trafficRouting={"istio": {"virtualService": {"name": "web"}}})), {},
     "Stable Service or subset 'active' not found in route primary"),
    (rollout(canary(canaryService="canary", stableService="stable",
                    trafficRouting={"istio": {"virtualService": {"name": "web", "routes": ["other"]}}})), {},
     "VirtualService web has no HTTP route named other"),
    (rollout(canary({"analysis": {"templates": [{"templateName": "none"}]}})), {}, "AnalysisTemplate 'none' not found"),
    (rollout(canary({"analysis": {"templates": [{"templateName": "rate"}]}})), {},
     "AnalysisTemplate rate has metric success-rate which runs indefinitely"),
    (rollout(blue_green(prePromotionAnalysis={"templates": [{"templateName": "rate"}]})), {}, "runs indefinitely"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "changes", "message"), REFERENCES)
def test_what_does_not_fit_together_is_said(body: Object, changes: Any, message: str) -> None:
    told = seen(body, **changes)
    assert any(message in text for text in told), told


def test_a_background_analysis_may_run_for_ever() -> None:
    assert seen(rollout(canary(analysis={"templates": [{"templateName": "rate"}]}))) == []
