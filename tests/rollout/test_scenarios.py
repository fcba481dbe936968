"""The scenarios' own releases at full count: 200 and 1,000 pods, by the manifests that ship (S001-S010)."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from pathlib import Path

import pytest

from dabbawala.api import core_v1, istio_networking_v1
from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import files, spec
from dabbawala.rollout.rehearsal import START, Rehearsal
from dabbawala.rollout.stage import Stage
from tests.rollout.given import analysis_template, change_status, events, hash_of, phase, pods

WORKLOADS = Path(__file__).parents[2] / "workloads"


def loaded(name: str) -> tuple[Object, files.Manifests]:
    found = files.read([WORKLOADS / name / "manifests"])
    (body,) = found.rollouts
    return body, found


def released(body: Object, found: files.Manifests, *, failing: tuple[str, ...] = ()) -> Rehearsal:
    """Healthy at its first version, then given the next image."""
    stage = Stage(START, pod_seconds=30, failing=frozenset(failing))
    show = Rehearsal(body, files.completed(found, body), stage=stage)
    show.play()
    assert phase(show) == ("Healthy", "")
    show.moments.clear()
    stage.events.clear()
    show.restart_clock()
    after = deepcopy(show.rollout["spec"])
    after["template"]["spec"]["containers"][0]["image"] += "-next"
    show.edit(spec=after)
    return show


def active(show: Rehearsal, name: str) -> str:
    service = next(item for item in show.stage.all(core_v1.SERVICE) if item["metadata"]["name"] == name)
    return str(service["spec"]["selector"]["rollouts-pod-template-hash"])


def test_the_tatkal_release_follows_the_seven_steps_at_two_hundred_pods() -> None:
    """S001, S002: preview small, smoke test, full size, switch, five minutes under watch, standby, free."""
    body, found = loaded("tatkal")
    assert spec.replicas(body) == 200
    show = released(body, found)
    show.play()
    assert phase(show) == ("Healthy", "")
    sizes = [(moment.new, moment.weight) for moment in show.moments if moment.new]
    assert sizes[0] == (spec.preview_replicas(body), 0)
    first_full = sizes.index((200, 0))
    switched = sizes.index((200, 100))
    assert first_full < switched
    assert all(moment.new == 200 for moment in show.moments if moment.weight == 100 and moment.new)
    assert max(moment.pods for moment in show.moments) == 400
    after = [moment for moment in show.moments if moment.weight == 100 and moment.new]
    judged = next(moment.at for moment in after if moment.step == "promoted")
    assert judged - after[0].at >= timedelta(minutes=4), "checked for minutes before the old version may go"
    assert active(show, "tatkal-booking-service") == hash_of(show, 2)


def test_a_bad_tatkal_version_is_switched_back_with_all_old_pods_still_there() -> None:
    """S002 (5), S003."""
    body, found = loaded("tatkal")
    show = released(body, found, failing=("-post",))
    show.play()
    assert phase(show)[0] == "Degraded"
    assert active(show, "tatkal-booking-service") == hash_of(show, 1)
    assert all(moment.stable == 200 for moment in show.moments if moment.stable)
    assert pods(show) == {1: 200, 2: 0}


def test_a_tatkal_version_that_fails_its_smoke_test_never_gets_traffic() -> None:
    """S002 (2)."""
    body, found = loaded("tatkal")
    show = released(body, found, failing=("-pre",))
    show.play()
    assert phase(show)[0] == "Degraded"
    assert max(moment.new for moment in show.moments) <= (spec.preview_replicas(body) or 0)
    assert events(show).count("SwitchService") >= 1
    assert active(show, "tatkal-booking-service") == hash_of(show, 1)


def test_the_catalog_canary_takes_its_exact_weights_and_its_two_hours_at_a_thousand_pods() -> None:
    """S004, S009: 5, 10, 25, 50, 75, 100 percent; 120 minutes of pauses; a canary never smaller than its share."""
    body, found = loaded("catalog")
    assert spec.replicas(body) == 1000
    show = released(body, found)
    show.play()
    assert phase(show) == ("Healthy", "")
    weights = [moment.weight for moment in show.moments if moment.step != "promoted"]
    assert sorted(set(weights)) == [0, 5, 10, 25, 50, 75, 100]
    assert weights == sorted(weights), "traffic never goes back in a good release"
    for moment in show.moments:
        if moment.step != "promoted":
            assert moment.new >= 10 * moment.weight
            assert moment.stable == 1000
    promoted = next(moment.at for moment in show.moments if moment.step == "promoted" and moment.new == 1000)
    assert timedelta(minutes=120) < promoted < timedelta(minutes=150)
    assert pods(show) == {1: 0, 2: 1000}


@pytest.mark.parametrize("name", ["-4", "-2"])
def test_a_bad_catalog_version_loses_its_traffic_at_the_verdict(name: str) -> None:
    """S005-S007, S015: an inline or a background verdict takes the weight to 0 in the same moment."""
    body, found = loaded("catalog")
    show = released(body, found, failing=(name,))
    show.play()
    assert phase(show)[0] == "Degraded"
    bad = next(moment for moment in show.moments if moment.phase == "Degraded")
    back = next(moment for moment in show.moments if moment.at >= bad.at and moment.weight == 0)
    assert back.at - bad.at <= timedelta(seconds=1)
    assert max(moment.weight for moment in show.moments) <= 25
    assert pods(show) == {1: 1000, 2: 0}


def test_the_product_service_canary_by_subsets_at_a_thousand_pods() -> None:
    """S010: 5 %, analysis, 20 %, two analyses, 50 %, 100 %; Services and DestinationRule subsets together."""

    def judged(*names: str) -> Object:
        return {"analysis": {"templates": [{"templateName": name} for name in names]}}

    strategy: Object = {
        "canary": {
            "canaryService": "product-canary",
            "stableService": "product-stable",
            "trafficRouting": {
                "istio": {
                    "virtualService": {"name": "product-service-vs", "routes": ["primary"]},
                    "destinationRule": {
                        "name": "product-service-dr", "canarySubsetName": "canary", "stableSubsetName": "stable",
                    },
                }
            },
            "steps": [
                {"setWeight": 5}, {"pause": {"duration": "300s"}}, judged("success-rate"),
                {"setWeight": 20}, {"pause": {"duration": "600s"}}, judged("error-rate", "latency-check"),
                {"setWeight": 50}, {"pause": {"duration": "900s"}}, {"setWeight": 100},
            ],
        }
    }  # fmt: skip
    container = {"name": "product", "image": "shop/product:v2.7.0"}
    body: Object = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "product-service", "namespace": "shop"},
        "spec": {
            "replicas": 1000,
            "selector": {"matchLabels": {"app": "product"}},
            "template": {"metadata": {"labels": {"app": "product"}}, "spec": {"containers": [container]}},
            "strategy": strategy,
        },
    }
    subsets = [{"name": side, "labels": {"app": "product"}} for side in ("canary", "stable")]
    rule = {"metadata": {"name": "product-service-dr", "namespace": "shop"}, "spec": {"host": "p", "subsets": subsets}}
    found = files.Manifests(others=[(istio_networking_v1.DESTINATION_RULE, rule)])
    for name in ("success-rate", "error-rate", "latency-check"):
        found.others.append(analysis_template(name, count=3))
    show = released(body, found)
    show.play()
    assert phase(show) == ("Healthy", "")
    weights = {moment.weight for moment in show.moments if moment.step != "promoted"}
    assert weights == {0, 5, 20, 50, 100}
    assert pods(show) == {1: 0, 2: 1000}


def test_a_thousand_pods_are_aborted_by_hand_in_one_pass() -> None:
    body, found = loaded("catalog")
    show = released(body, found)
    show.play(until=timedelta(minutes=4))
    assert show.moments[-1].weight == 5
    change_status(show, abort=True)
    show.turn()
    assert show.moments[-1].weight == 0
