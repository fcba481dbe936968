"""Whom the questions to Prometheus are about."""

from __future__ import annotations

import re

import pytest

from dabbawala.readiness import measuring
from dabbawala.readiness.observed import WORKLOADS, Observed
from tests.readiness.world import NOW

OWN = {
    "Deployment": "web-6d5f7c4b9d-x2x7z",
    "Rollout": "web-6d5f7c4b9d-x2x7z",
    "StatefulSet": "web-11",
    "DaemonSet": "web-x2x7z",
}
OTHERS = ("web-admin-6d5f7c4b9d-x2x7z", "web-admin-x2x7z", "web-admin-0", "my-web-x2x7z", "my-web-6d5f7c4b9d-x2x7z")


def service(kind: str) -> Observed:
    (found,) = [known for known in WORKLOADS if known.kind == kind]
    workload = {"kind": kind, "metadata": {"name": "web", "namespace": "shop"}}
    return Observed("web", "shop", NOW, {found.resource: [workload]})


@pytest.mark.parametrize("kind", [known.kind for known in WORKLOADS])
def test_the_pods_of_a_workload_are_asked_for_and_not_those_of_one_named_alike(kind: str) -> None:
    said = re.fullmatch('namespace="shop",pod=~"(.+)"', measuring.pods_of(service(kind)))
    assert said is not None
    assert [name for name in (OWN[kind], *OTHERS) if re.fullmatch(said[1], name)] == [OWN[kind]]


def test_every_question_about_pods_asks_for_these() -> None:
    observed = service("Deployment")
    asked = measuring.questions(observed)
    assert all(measuring.pods_of(observed) in asked[name] for name in (measuring.SCRAPED, measuring.REQUESTS))
