"""What helps most comes first, exceptions end, and what a release's past shows is read as its controller left it."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from dabbawala.readiness import certificates, changes, contacts, regions, verdict
from dabbawala.readiness.assessment import Assessment
from dabbawala.readiness.judgement import Judgement, Result, passed
from dabbawala.readiness.verdict import PROFILES
from tests.readiness.given import NOW
from tests.readiness.world import ALL, World, certificate, made, ready, replica_set


def broken() -> World:
    world = ready()
    world.forget("disaster_recovery_tested", "stress_testing_passed", "communication_plan_ready", "secrets_encrypted")
    world.empty("networkpolicies.networking.k8s.io")
    return world


def excepted(world: World, *items: str, expires: str = "2026-12-31", **match: Any) -> Assessment:
    spec = {
        "checks": list(items), "match": match or {"namespaces": ["shop"]}, "reason": "agreed", "owner": "Asha",
        "ticket": "OPS-1", "expires": expires,
    }  # fmt: skip
    world.objects["policyexceptions.guard.dabbawala.dev"] = [made("PolicyException", "e", namespace="", spec=spec)]
    return world.assess(verdict.STRICT)


@pytest.mark.parametrize("profile", PROFILES)
def test_blockers_come_first_and_then_what_brings_most(profile: str) -> None:
    found = broken().assess(profile)
    first, *rest = found.changes
    assert len(rest) == 4
    assert first.item.id == "disaster_recovery_tested"
    assert {change.item.id for change in (first, *rest)} <= {
        item for item, said in found.results.items() if said.result is not Result.PASS
    }
    order = [(change.gain, change.item.weight) for change in rest]
    assert order == sorted(order, reverse=True)


@pytest.mark.parametrize("profile", PROFILES)
def test_no_other_five_changes_raise_the_score_more(profile: str) -> None:
    """Against all choices of five of a dozen open items, in worlds of every kind."""
    dice = random.Random(63)
    for _ in range(4):
        results = {item: passed("") for item in ALL}
        for item in dice.sample(ALL, 12):
            results[item] = Judgement(dice.choice([Result.FAIL, Result.WARN, Result.UNKNOWN]), "")
        open_ = [item for item in ALL if results[item].result is not Result.PASS]
        reached = [
            verdict.score({**results, **dict.fromkeys(five, passed(""))}, profile)
            for five in itertools.combinations(open_, 5)
        ]
        gained = sum(gain.points for gain in changes.best(results, profile))
        assert verdict.score(results, profile) + gained == max(reached)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_points_of_a_change_are_those_that_it_really_brings(profile: str) -> None:
    found = broken().assess(profile)
    done = dict(found.results)
    for change in found.changes:
        before = verdict.decide(done, profile).score
        done[change.item.id] = passed("")
        assert verdict.decide(done, profile).score - before == change.gain


def test_a_dated_exception_makes_strict_conditional_until_it_ends() -> None:
    world = ready()
    items = ("secrets_encrypted", "network_policies_applied", "network_segmentation", "vulnerability_patching")
    world.forget("secrets_encrypted", "vulnerability_patching")
    world.empty("networkpolicies.networking.k8s.io")
    assert world.assess(verdict.STRICT).verdict.word == "NO-GO"
    found = excepted(world, *items)
    assert found.verdict.word == "CONDITIONAL", found.verdict.reasons
    assert found.excepted["secrets_encrypted"] == "agreed (e: Asha, until 2026-12-31)"
    assert excepted(world, *items, expires="2026-05-31").verdict.word == "NO-GO"
    assert excepted(world, *items, names=["other"]).verdict.word == "NO-GO"
    assert excepted(world, *items, names=["we*"]).verdict.word == "CONDITIONAL"
    assert excepted(world, "dns_failover_setup").verdict.word == "NO-GO"


def test_a_day_means_until_its_end() -> None:
    assert excepted(ready(), "secrets_encrypted", expires=f"{NOW:%Y-%m-%d}").excepted


def rollback(world: World) -> str:
    said = world.judge("rollback_procedures_verified")
    return f"{said.result}: {said.message}"


def test_an_aborted_update_is_a_way_back_that_was_taken() -> None:
    world = ready()
    world.objects["replicasets.apps"] = [replica_set("aa", "1"), replica_set("bb", "2")]
    world["rollouts.argoproj.io"]["status"]["abort"] = True
    assert rollback(world) == "pass: its last update was aborted, and traffic is with the stable revision"


def test_an_update_that_its_analysis_refused_is_a_way_back_that_was_taken() -> None:
    world = ready()
    world.objects["replicasets.apps"] = [replica_set("aa", "1"), replica_set("bb", "2")]
    owner = {"kind": "Rollout", "name": "web", "uid": "uid-web", "controller": True}
    run = made("AnalysisRun", "web-bb", metadata={"ownerReferences": [owner]}, status={"phase": "Failed"})
    world.objects["analysisruns.argoproj.io"] = [run]
    assert rollback(world) == "pass: an update was refused by its analysis, and traffic is with the stable revision"


def test_a_deployment_is_judged_by_its_own_marks() -> None:
    world = ready()
    workload = world.objects.pop("rollouts.argoproj.io")[0] | {"kind": "Deployment", "apiVersion": "apps/v1"}
    workload["status"] = {}
    world.objects["deployments.apps"] = [workload]
    old = replica_set("aa", "3", history="1")
    marks = old["metadata"]["annotations"]
    old["metadata"]["annotations"] = {
        name.replace("rollout.argoproj.io", "deployment.kubernetes.io"): text for name, text in marks.items()
    }
    world.objects["replicasets.apps"] = [old]
    assert rollback(world) == "pass: revision 1 was taken up again, and serves as revision 3"


def test_a_rollout_that_borrows_its_template_is_seen_whole() -> None:
    world = ready()
    rollout = world["rollouts.argoproj.io"]
    lent = {name: rollout["spec"].pop(name) for name in ("template", "selector")}
    rollout["spec"]["workloadRef"] = {"kind": "Deployment", "name": "lender"}
    world.objects["deployments.apps"] = [made("Deployment", "lender", spec=lent)]
    assert world.judge("resource_limits_optimized").result is Result.PASS
    assert len(world.observed().pods) == 2


@pytest.mark.parametrize(
    ("region", "place", "indian"),
    [("ap-south-1", "mumbai", True), ("asia-south1", "mumbai", True), ("asia-south2", "delhi", True),
     ("Bengaluru", "bangalore", True), ("ap-south-2", "hyderabad", True), ("ap-southeast-1", "ap-southeast-1", False),
     ("local", "local", False)],
)  # fmt: skip
def test_one_place_has_one_name(region: str, place: str, indian: bool) -> None:
    assert (regions.place(region), regions.is_indian(region)) == (place, indian)


@pytest.mark.parametrize(
    ("name", "host", "covered"),
    [("*.example.com", "a.example.com", True), ("*.example.com", "a.b.example.com", False),
     ("*.example.com", "example.com", False), ("A.example.com", "a.EXAMPLE.com", True)],
)  # fmt: skip
def test_a_wildcard_is_for_one_label(name: str, host: str, covered: bool) -> None:
    chain = certificates.read(certificate(name))
    assert (certificates.faults(chain, [host], NOW) == []) is covered


@pytest.mark.parametrize(
    ("text", "real"),
    [("+91 22 5550 1234", True), ("ops@irctc.in", True), ("https://meet.irctc.in/1", True), ("+91-XXXXXXXXXX", False),
     ("oncall@example.com", False), ("+91 0000000000", False), ("ask around", False), ("TODO", False)],
)  # fmt: skip
def test_a_contact_is_one_that_can_be_called(text: str, real: bool) -> None:
    world = ready()
    world["namespaces"]["metadata"]["annotations"]["readiness.dabbawala.dev/contact-on-call"] = text
    assert (contacts.faults(world.observed()) == []) is real
