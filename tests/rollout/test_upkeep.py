"""What a rollout does besides updating: restarts, injected metadata, history, workloads it refers to, its size."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dabbawala.api import apps_v1, argoproj_v1alpha1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile.plan import Evict, Patch
from dabbawala.rollout import identity, plan
from dabbawala.rollout.controller import RolloutController
from dabbawala.rollout.observed import Observed
from dabbawala.rollout.reading import Snapshot
from dabbawala.rollout.rehearsal import START, Rehearsal
from tests.rollout.given import (
    analysis_template,
    blue_green,
    canary,
    change_status,
    healthy,
    phase,
    pods,
    rollout,
    template,
    update,
)


def pods_of(show: Rehearsal, *, created: str) -> tuple[Object, ...]:
    found = []
    for replica_set in show.stage.all(apps_v1.REPLICA_SET):
        for number in range(int(replica_set["spec"]["replicas"])):
            metadata = {
                "name": f"{meta.name(replica_set)}-{number:05d}", "namespace": "shop", "creationTimestamp": created,
                "labels": dict(replica_set["spec"]["template"]["metadata"]["labels"]),
                "ownerReferences": [meta.owner_reference(replica_set)],
            }  # fmt: skip
            found.append({"metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    return tuple(found)


def decided(show: Rehearsal, **changes: Any) -> plan.Draft:
    return plan.decide(show.rollout, replace(show.observe(), **changes), show.stage.now)


def test_a_restart_evicts_a_few_old_pods_at_a_time_and_notes_when_all_are_young() -> None:
    show = healthy(rollout(canary(maxUnavailable=2)))
    show.stage.now += timedelta(hours=1)
    at = clock.format_time(show.stage.now)
    show.edit(spec={**show.rollout["spec"], "restartAt": at})
    old = pods_of(show, created=clock.format_time(START))
    draft = decided(show, pods=old)
    assert sum(isinstance(action, Evict) for action in draft.actions) == 2
    assert [blocker.reason for blocker in draft.blockers] == ["Restarting"]
    young = pods_of(show, created=at)
    assert decided(show, pods=young).status["restartedAt"] == at


def evicted(draft: plan.Draft) -> list[str]:
    return [action.key.name for action in draft.actions if isinstance(action, Evict)]


def test_a_restart_believes_the_pods_when_their_set_has_not_heard_of_the_last_eviction() -> None:
    show = healthy(rollout(canary(maxUnavailable=2)))
    show.stage.now += timedelta(hours=1)
    show.edit(spec={**show.rollout["spec"], "restartAt": clock.format_time(show.stage.now)})
    old = pods_of(show, created=clock.format_time(START))
    assert len(evicted(decided(show, pods=old[1:]))) == 1
    assert evicted(decided(show, pods=old[2:])) == []


def test_a_restart_takes_pods_that_serve_nobody_at_once() -> None:
    show = healthy(rollout(canary(maxUnavailable=0, maxSurge=1)))
    show.stage.now += timedelta(hours=1)
    show.edit(spec={**show.rollout["spec"], "restartAt": clock.format_time(show.stage.now)})
    old = pods_of(show, created=clock.format_time(START))
    broken = {**old[3], "status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    assert evicted(decided(show, pods=(*old[:3], broken, *old[4:]))) == [old[3]["metadata"]["name"]]


def test_nothing_waits_for_evictions_that_a_budget_refuses() -> None:
    show = healthy(rollout(canary({"setWeight": 20}, {"pause": {}}, maxUnavailable=2)))
    update(show)
    show.play(until=timedelta(minutes=5))
    at = clock.format_time(show.stage.now + timedelta(hours=1))
    show.stage.now += timedelta(hours=1)
    show.edit(spec={**show.rollout["spec"], "restartAt": at})
    change_status(show, abort=True)
    draft = decided(show, pods=pods_of(show, created=clock.format_time(START)))
    made = [type(action) for action in draft.finish().actions]
    assert made.count(Evict) == 2
    assert made[-2:] == [Evict, Evict]
    assert Patch in made


def test_a_restart_in_the_future_waits_for_its_time() -> None:
    show = healthy(rollout(canary()))
    later = clock.format_time(show.stage.now + timedelta(hours=1))
    show.edit(spec={**show.rollout["spec"], "restartAt": later})
    draft = decided(show, pods=pods_of(show, created=clock.format_time(START)))
    assert not any(isinstance(action, Evict) for action in draft.actions)
    assert draft.finish().requeue_after is not None


def test_metadata_of_a_role_is_put_into_pods_and_taken_out_when_the_role_ends() -> None:
    steps = ({"setWeight": 20}, {"pause": {}})
    roles = {"canaryMetadata": {"labels": {"role": "canary"}}, "stableMetadata": {"labels": {"role": "stable"}}}
    show = healthy(rollout(canary(*steps, **roles)))
    update(show)
    show.play()
    labels = {
        item["metadata"]["annotations"]["rollout.argoproj.io/revision"]: item["spec"]["template"]["metadata"]["labels"]
        for item in show.stage.all(apps_v1.REPLICA_SET)
    }
    assert labels["1"]["role"] == "stable"
    assert labels["2"]["role"] == "canary"
    live = pods_of(show, created=clock.format_time(START))
    bare = tuple({**pod, "metadata": {**pod["metadata"], "labels": {"app": "web"}}} for pod in live)
    patches = [action for action in decided(show, pods=bare).actions if isinstance(action, Patch)]
    wanted = {patch.body["metadata"]["labels"]["role"] for patch in patches if patch.kind.kind == "Pod"}
    assert wanted == {"stable", "canary"}
    assert len(show.stage.all(apps_v1.REPLICA_SET)) == 2, "metadata makes no new revision"


def test_old_sets_and_their_analyses_are_forgotten_beyond_the_history_limit() -> None:
    steps = ({"analysis": {"templates": [{"templateName": "rate"}]}},)
    body = rollout(canary(*steps), revisionHistoryLimit=2)
    show = healthy(body, analysis_template("rate", count=1))
    for version in range(2, 7):
        update(show, version)
        show.play()
    assert sorted(pods(show)) == [4, 5, 6]
    runs = {run["metadata"]["name"].split("-")[2] for run in show.stage.all(argoproj_v1alpha1.ANALYSIS_RUN)}
    assert runs == {"4", "5", "6"}


def test_going_back_within_the_rollback_window_skips_steps() -> None:
    body = rollout(canary({"setWeight": 20}, {"pause": {}}), rollbackWindow={"revisions": 2})
    show = healthy(body)
    for version in (2, 3):
        show.stage.now += timedelta(minutes=1)
        update(show, version)
        show.play()
        show.edit(status={**show.rollout["status"], "promoteFull": True})
        show.play()
    update(show, 2)
    show.play()
    assert phase(show) == ("Healthy", "")


@pytest.mark.parametrize("strategy", [canary({"setWeight": 20}), blue_green()])
def test_a_change_of_the_seconds_that_a_pod_must_be_ready_reaches_the_set_that_is_there(strategy: Object) -> None:
    show = healthy(rollout(strategy))
    for seconds in (30, 10, 0):
        show.edit(spec={**show.rollout["spec"], "minReadySeconds": seconds})
        show.play()
        (found,) = show.stage.all(apps_v1.REPLICA_SET)
        assert found["spec"].get("minReadySeconds", 0) == seconds
        assert phase(show) == ("Healthy", "")
        assert not show.turn(), "written once"
    assert show.stage.events == []


def test_a_rollout_without_replicas_gets_the_number_that_an_autoscaler_reads() -> None:
    body = rollout(canary())
    del body["spec"]["replicas"]
    made = plan.plan(body, Observed(), START)
    assert [action.body for action in made.actions if isinstance(action, Patch)] == [{"spec": {"replicas": 1}}]


def test_what_an_autoscaler_reads_is_the_active_set_of_a_blue_green_rollout() -> None:
    show = healthy(rollout(blue_green(autoPromotionEnabled=False)))
    update(show)
    show.play()
    status = show.rollout["status"]
    assert (status["replicas"], status["HPAReplicas"], status["availableReplicas"]) == (20, 10, 10)
    assert status["selector"].startswith("app=web,rollouts-pod-template-hash=")


def deployment(replicas: int = 10) -> Object:
    metadata = {"name": "web", "namespace": "shop", "uid": "d", "generation": 3}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template(1)}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def referring(mode: str) -> Object:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "scaleDown": mode}
    body = rollout(canary(), workloadRef=reference)
    del body["spec"]["template"]
    del body["spec"]["selector"]
    return body


class Referring(Rehearsal):
    """A Rollout that takes its template from a Deployment."""

    def observe(self) -> Observed:
        found = self.stage.all(apps_v1.DEPLOYMENT)
        return replace(super().observe(), workload=found[0] if found else None)


def test_a_rollout_takes_its_template_from_a_workload_and_scales_that_down() -> None:
    for mode, left in (("never", 10), ("onsuccess", 0), ("progressively", 0)):
        show = Referring(referring(mode), [(apps_v1.DEPLOYMENT, deployment())])
        show.play()
        assert phase(show) == ("Healthy", ""), mode
        assert (
            show.rollout["status"]["workloadObservedGeneration"]
            == show.rollout["metadata"]["annotations"]["rollout.argoproj.io/workload-generation"]
        )
        assert show.stage.all(apps_v1.DEPLOYMENT)[0]["spec"]["replicas"] == left
        assert "template" not in show.rollout["spec"], "what was resolved is never written back"


@pytest.mark.parametrize("kind", [apps_v1.DEPLOYMENT, apps_v1.REPLICA_SET])
def test_a_change_of_the_workload_that_a_rollout_refers_to_is_looked_at(kind: Kind) -> None:
    watch = next(watch for watch in RolloutController().watches if watch.kind is kind)
    snapshot, body = Snapshot(), referring("never")
    body["spec"]["workloadRef"]["kind"] = kind.kind
    other = deepcopy(body)
    other["metadata"]["name"] = "other"
    other["spec"]["workloadRef"]["name"] = "other"
    snapshot.fill(argoproj_v1alpha1.ROLLOUT, [body, other])
    assert list(watch.keys(deployment(), snapshot)) == [meta.key(body)]
    body["spec"]["workloadRef"]["kind"] = "PodTemplate"
    assert list(watch.keys(deployment(), snapshot)) == [], "another kind of that name"


def test_a_missing_workload_is_said() -> None:
    made = plan.decide(referring("never"), Observed(), START)
    assert 'deployments "web" not found' in made.status["conditions"][0]["message"]


def test_anti_affinity_keeps_new_pods_off_the_stable_ones_nodes() -> None:
    rule = {"requiredDuringSchedulingIgnoredDuringExecution": {}}
    show = healthy(rollout(blue_green(antiAffinity=rule, autoPromotionEnabled=False)))
    update(show)
    show.play()
    newest = max(show.stage.all(apps_v1.REPLICA_SET), key=lambda item: item["metadata"]["annotations"][
        "rollout.argoproj.io/revision"
    ])  # fmt: skip
    terms = newest["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"]
    (term,) = terms["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["labelSelector"]["matchExpressions"][0]["values"] == [show.rollout["status"]["stableRS"]]
    assert term["topologyKey"] == "kubernetes.io/hostname"


def test_an_orphaned_set_of_the_selector_is_adopted() -> None:
    show = healthy(rollout(canary()))
    (found,) = show.stage.all(apps_v1.REPLICA_SET)
    orphan = {**found, "metadata": {**found["metadata"], "ownerReferences": []}}
    draft = decided(show, replica_sets=(), orphans=(orphan,))
    (patch,) = [action for action in draft.actions if isinstance(action, Patch)][:1]
    assert patch.body["metadata"]["ownerReferences"][0]["name"] == "web"


def test_a_collision_of_names_counts_up_and_makes_another_hash() -> None:
    show = healthy(rollout(canary()))
    (found,) = show.stage.all(apps_v1.REPLICA_SET)
    other = rollout(canary(), version=2)
    taken = {**found, "metadata": {**found["metadata"], "name": f"web-{identity.mint(template(2), 0)}"}}
    body = {**other, "status": show.rollout["status"], "metadata": show.rollout["metadata"]}
    draft = plan.decide(body, replace(show.observe(), replica_sets=(taken,)), show.stage.now)
    assert draft.status["collisionCount"] == 1
