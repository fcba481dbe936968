"""What a Rollout names in two ways, or of a kind that is not carried."""

from __future__ import annotations

from typing import Any

from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import references
from dabbawala.rollout.observed import Observed, situate
from dabbawala.rollout.rehearsal import START
from tests.rollout.given import canary, rollout


def told(body: Object, **world: Any) -> list[str]:
    return [f"{error.field}: {error.message}" for error in references.validate(situate(body, Observed(**world), START))]


def test_one_virtual_service_and_several_exclude_one_another() -> None:
    istio = {"virtualService": {"name": "a"}, "virtualServices": [{"name": "b"}]}
    found = told(rollout(canary(trafficRouting={"istio": istio})))
    assert any("either VirtualService or VirtualServices must be configured, and not both" in text for text in found)


def test_a_workload_of_another_group_is_refused_by_its_version() -> None:
    workload = {"kind": "Deployment", "spec": {"template": rollout({})["spec"]["template"]}}
    for version, refused in (("apps/v1", False), ("", False), ("example.com/v1", True), ("v1", True)):
        reference = {"apiVersion": version, "kind": "Deployment", "name": "web"}
        found = told(rollout(canary(), workloadRef=reference), workload=workload)
        assert any(text.startswith("spec.workloadRef.apiVersion") for text in found) is refused, found
