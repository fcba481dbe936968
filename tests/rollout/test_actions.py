"""What people do to rollouts: the very patches that Argo's plugin sends; and whose Rollout it is."""

from __future__ import annotations

from typing import Any

import pytest

from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile.plan import Patch
from dabbawala.rollout import actions, ownership, plan
from dabbawala.rollout.observed import Observed
from dabbawala.rollout.rehearsal import START
from tests.rollout.given import blue_green, canary, rollout, template

STEPS = canary({"setWeight": 20}, {"pause": {}}, {"setWeight": 60})


def with_status(strategy: Object = STEPS, **status: Any) -> Object:
    known = {"currentPodHash": "new", "stableRS": "old", "currentStepIndex": 1, **status}
    return {**rollout(strategy), "status": known}


def bodies(patches: list[Patch]) -> list[tuple[str, Any]]:
    return [(patch.subresource, patch.body) for patch in patches]


def test_promotion_ends_a_pause() -> None:
    paused = with_status(pauseConditions=[{"reason": "CanaryPauseStep"}])
    assert bodies(actions.promote(paused)) == [("status", {"status": {"pauseConditions": None}})]


def test_promotion_without_a_pause_leaves_the_step() -> None:
    left = {"controllerPause": None, "currentStepIndex": 2}
    assert bodies(actions.promote(with_status())) == [("status", {"status": left})]


def test_promotion_lifts_the_users_pause_too() -> None:
    paused = with_status()
    paused["spec"]["paused"] = True
    assert bodies(actions.promote(paused)) == [("", {"spec": {"paused": False}})]


def test_nothing_to_promote_is_said() -> None:
    with pytest.raises(actions.NotPossible, match="not paused, and there is no step left"):
        actions.promote(with_status(currentStepIndex=3))
    with pytest.raises(actions.NotPossible, match="fully promoted already"):
        actions.promote_fully(with_status(stableRS="new"))
    with pytest.raises(actions.NotPossible, match="nothing to retry"):
        actions.retry(with_status())


def test_the_other_acts_are_one_patch_each() -> None:
    body = with_status(abort=True)
    assert bodies(actions.promote_fully(body)) == [("status", {"status": {"promoteFull": True}})]
    assert bodies(actions.abort(body)) == [("status", {"status": {"abort": True}})]
    assert bodies(actions.retry(body)) == [("status", {"status": {"abort": False}})]
    assert bodies(actions.pause(body)) == [("", {"spec": {"paused": True}})]
    assert bodies(actions.restart(body, START)) == [("", {"spec": {"restartAt": "2026-01-01T00:00:00Z"}})]
    left = {"pauseConditions": None, "controllerPause": None}
    assert bodies(actions.skip_all(body)) == [("status", {"status": {**left, "currentStepIndex": 3}})]
    assert bodies(actions.skip_step(body)) == [("status", {"status": {**left, "currentStepIndex": 2}})]


def test_an_image_is_set_by_container_or_for_all() -> None:
    body = with_status()
    (patch,) = actions.set_image(body, {"web": "shop/web:9"})
    assert patch.body["spec"]["template"]["spec"]["containers"] == [{"name": "web", "image": "shop/web:9"}]
    (patch,) = actions.set_image(body, {"*": "shop/web:9"})
    assert patch.body["spec"]["template"]["spec"]["containers"][0]["image"] == "shop/web:9"
    with pytest.raises(actions.NotPossible, match="has no container other; it has web"):
        actions.set_image(body, {"other": "x"})


def replica_set(revision: int) -> Object:
    body = template(revision)
    body["metadata"]["labels"]["rollouts-pod-template-hash"] = f"h{revision}"
    metadata = {"name": f"web-{revision}", "annotations": {"rollout.argoproj.io/revision": str(revision)}}
    return {"metadata": metadata, "spec": {"template": body}}


def test_undo_puts_an_earlier_template_back() -> None:
    sets = [replica_set(number) for number in (1, 2, 3)]
    (patch,) = actions.undo(with_status(), sets)
    assert patch.body == [{"op": "replace", "path": "/spec/template", "value": template(2)}]
    (patch,) = actions.undo(with_status(), sets, 1)
    assert patch.body[0]["value"] == template(1)
    with pytest.raises(actions.NotPossible, match="no revision 9; it has 1, 2, 3"):
        actions.undo(with_status(), sets, 9)
    with pytest.raises(actions.NotPossible, match="no earlier revision"):
        actions.undo(with_status(), sets[:1])


# Whose is it?


def argo(*arguments: str, name: str = "argo-rollouts", namespace: str = "argo", ready: int = 1, **more: str) -> Object:
    container = {"image": "x", **more, "args": list(arguments)}
    spec = {"template": {"spec": {"containers": [container]}}}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec, "status": {"readyReplicas": ready}}


@pytest.mark.parametrize(
    ("deployment", "instance", "owned"),
    [
        (argo(), "", True),
        (argo(name="cd", image="quay.io/argoproj/argo-rollouts:v1.8"), "", True),
        (argo(ready=0), "", False),
        (argo("--instance-id", "theirs"), "", False),
        (argo("--instance-id=theirs"), "", False),
        (argo("--namespaced"), "", False),
        (argo("--namespaced", namespace="shop"), "", True),
        (argo(name="web"), "", False),
        (argo(), "ours", False),
    ],
)
def test_a_rollout_in_reach_of_another_argo_controller_is_not_ours(
    deployment: Object, instance: str, owned: bool
) -> None:
    found = ownership.claimed_by(rollout(canary()), [deployment], instance)
    assert bool(found) is owned
    if owned:
        assert "scale it to 0" in found


def test_a_rollout_that_is_not_ours_is_told_so_once_and_nothing_else_happens() -> None:
    body = rollout(blue_green())
    world = Observed(claimed_by="the Argo Rollouts controller argo/argo-rollouts owns this Rollout")
    made = plan.plan(body, world, START)
    reasons = [getattr(action, "reason", None) for action in made.actions]
    assert reasons == [None, "ForeignController"]
    told = plan.decide(body, world, START).status
    assert [item["type"] for item in told["conditions"]] == ["ForeignController"]
    assert plan.plan({**body, "status": told}, world, START).actions == ()


def test_the_label_of_another_instance_keeps_us_away() -> None:
    labelled = {"metadata": {"labels": {"argo-rollouts.argoproj.io/controller-instance-id": "theirs"}}}
    assert not ownership.is_ours(labelled, "")
    assert ownership.is_ours(labelled, "theirs")
    assert not ownership.is_ours({"metadata": {}}, "ours")
