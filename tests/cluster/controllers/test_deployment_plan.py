"""Numbers of a Deployment: bounds, proportional scaling, which pods go first, which revisions stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.controllers.deployment import plan as planning
from dabbawala.cluster.controllers.deployment import progress, revisions, scaling
from dabbawala.cluster.controllers.replicaset.ranking import deletion_order
from dabbawala.reconcile import templates
from dabbawala.reconcile.plan import Create, Patch, Record

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def deployment(replicas: int, surge: int | str = "25%", unavailable: int | str = "25%", **spec: Any) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "uid": "d", "generation": 1},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
            },
            "progressDeadlineSeconds": 600,
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": "v1"}]},
            },
            **spec,
        },
    }


def replica_set(
    name: str, replicas: int, *, available: int | None = None, maximum: int = 0, image: str = "old"
) -> Object:
    there = replicas if available is None else available
    return {
        "metadata": {
            "name": name, "namespace": "shop", "uid": name, "generation": 1, "resourceVersion": "7",
            "creationTimestamp": f"2026-01-01T00:00:0{name[-1]}Z", "labels": {"app": "web"},
            "annotations": {revisions.MAXIMUM: str(maximum)} if maximum else {},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d",
                                 "controller": True}],
        },
        "spec": {
            "replicas": replicas,
            "template": {"metadata": {"labels": {"app": "web", templates.HASH_LABEL: name}},
                         "spec": {"containers": [{"name": "c", "image": image}]}},
        },
        "status": {"replicas": replicas, "availableReplicas": there, "observedGeneration": 1},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (10, "25%", "25%", (10, 3, 2)),
        (1, "25%", "25%", (1, 1, 0)),
        (4, 0, 0, (4, 0, 1)),
        (3, 1, 0, (3, 1, 0)),
        (2, "0%", "10%", (2, 0, 1)),
        (5, "100%", "100%", (5, 5, 5)),
        (2, 1, 9, (2, 1, 2)),
    ],
)
def test_surge_rounds_up_and_unavailability_down(
    replicas: int, surge: int | str, unavailable: int | str, expected: tuple[int, int, int]
) -> None:
    assert scaling.bounds(deployment(replicas, surge, unavailable)) == expected


@pytest.mark.parametrize(
    ("wanted", "sizes", "expected"),
    [  # size of the Deployment, sizes of the old and the new set now (of at most 13), and afterwards
        (15, (8, 5), (11, 7)),
        (5, (8, 5), (5, 3)),
        (20, (10, 3), (18, 5)),
        (0, (8, 5), (0, 0)),
    ],
)
def test_a_change_of_size_in_the_middle_of_a_rollout_is_shared_in_proportion(
    wanted: int, sizes: tuple[int, int], expected: tuple[int, int]
) -> None:
    old, new = replica_set("s1", sizes[0], maximum=13), replica_set("s2", sizes[1], maximum=13)
    found = {meta.name(item): size for item, size in scaling.resize(deployment(wanted, 3, 2), new, [old])}
    limits = scaling.bounds(deployment(wanted, 3, 2))
    assert sum(found.values()) == (limits.most if wanted else 0)
    assert (found["s1"], found["s2"]) == expected


@given(
    replicas=st.integers(0, 20), surge=st.integers(0, 5), unavailable=st.integers(0, 5), old=st.integers(0, 20),
    new=st.integers(0, 20), old_up=st.integers(0, 20), new_up=st.integers(0, 20),
)  # fmt: skip
def test_no_step_of_a_rolling_update_leaves_the_bounds(
    replicas: int, surge: int, unavailable: int, old: int, new: int, old_up: int, new_up: int
) -> None:
    limits = scaling.bounds(deployment(replicas, surge, unavailable))
    sets = replica_set("s1", old, available=min(old, old_up)), replica_set("s2", new, available=min(new, new_up))
    grown = scaling.grow_new(limits, sets[1], [sets[0]])
    if grown is not None and grown.replicas > new:
        assert grown.replicas + old <= limits.most
    shrunk = scaling.shrink_old(limits, sets[1], [sets[0]])
    before = scaling.available(sets[0]) + scaling.available(sets[1])
    for item, size in shrunk:
        left = min(scaling.available(item), size) + scaling.available(sets[1])
        assert left >= min(before, limits.fewest_available)


def plan(desired: Object, *sets: Object) -> Any:
    return planning.plan(desired, planning.Observed(sets, {}), NOW)


def test_the_first_turn_makes_the_set_and_says_so() -> None:
    actions = plan(deployment(3)).actions
    made = next(action.object for action in actions if isinstance(action, Create))
    assert made["spec"]["replicas"] == 3
    assert meta.name(made) == f"web-{meta.labels(made)[templates.HASH_LABEL]}"
    assert made["spec"]["selector"]["matchLabels"][templates.HASH_LABEL] == meta.labels(made)[templates.HASH_LABEL]
    assert meta.annotations(made)[revisions.REVISION] == "1"
    assert any(isinstance(action, Record) and action.reason == "ScalingReplicaSet" for action in actions)


def test_a_name_that_belongs_to_another_raises_the_collision_count() -> None:
    stranger = {"metadata": {"name": "x"}, "spec": {"template": {}}}
    found = planning.plan(deployment(1), planning.Observed((), {}, stranger), NOW)
    (patch,) = found.actions
    assert isinstance(patch, Patch)
    assert patch.body == {"status": {"collisionCount": 1}}
    with_one = {**deployment(1), "status": {"collisionCount": 1}}
    assert revisions.name_for(with_one) != revisions.name_for(deployment(1))


def test_nothing_grows_while_an_old_set_has_not_come_down_to_its_size() -> None:
    late = replica_set("s1", 8)
    late["status"]["replicas"] = 10
    new = replica_set("s2", 3, image="v1")
    assert scaling.grow_new(scaling.bounds(deployment(10)), new, [late]) is None


def test_a_rollout_without_progress_times_out_and_says_which_set() -> None:
    stuck = deployment(1)
    then = clock.format_time(NOW - timedelta(seconds=601))
    condition = {"type": "Progressing", "status": "True", "reason": progress.UPDATED, "lastUpdateTime": then,
                 "lastTransitionTime": then}  # fmt: skip
    stuck["status"] = {"replicas": 1, "updatedReplicas": 1, "unavailableReplicas": 1, "conditions": [condition]}
    found = plan(stuck, replica_set("s1", 1, available=0, image="v1"))
    status = next(
        action.body["status"] for action in found.actions if isinstance(action, Patch) and "status" in action.body
    )
    timed_out = next(item for item in status["conditions"] if item["type"] == "Progressing")
    assert (timed_out["status"], timed_out["reason"]) == ("False", progress.TIMED_OUT)
    assert timed_out["message"] == 'ReplicaSet "s1" has timed out progressing.'


def test_only_empty_sets_beyond_the_limit_are_forgotten_oldest_first() -> None:
    old = [replica_set(f"s{number}", 0) for number in range(4)]
    for number, item in enumerate(old):
        item["metadata"]["annotations"][revisions.REVISION] = str(number + 1)
    old[0]["spec"]["replicas"] = 1
    forgotten = revisions.forget(deployment(1, revisionHistoryLimit=1), old)
    assert [action.key.name for action in forgotten] == ["s1", "s2"]


def test_templates_are_equal_whatever_hash_somebody_gave_them() -> None:
    left = {"metadata": {"labels": {"app": "a", "pod-template-hash": "x"}, "creationTimestamp": None}, "spec": {"a": 1}}
    right = {"metadata": {"labels": {"app": "a"}}, "spec": {"a": 1}}
    assert templates.equal(left, right)
    assert templates.hash_of(left) == templates.hash_of(right)


def pod(
    name: str, *, node: str = "n1", ready: bool = True, age: int = 100, phase: str = "Running", **more: Any
) -> Object:
    since = clock.format_time(NOW - timedelta(seconds=age))
    conditions = [{"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": since}]
    metadata = {"name": name, "uid": name, "creationTimestamp": since, **more}
    return {
        "metadata": metadata,
        "spec": {"nodeName": node},
        "status": {"phase": phase, "conditions": conditions},
    }


def test_the_pods_that_serve_least_go_first() -> None:
    pods = [
        pod("serving", age=5000),
        pod("young", age=2),
        pod("crowded", node="n2", age=5000),
        pod("crowding", node="n2", age=5000),
        pod("cheap", age=5000, annotations={"controller.kubernetes.io/pod-deletion-cost": "-5"}),
        pod("unready", ready=False),
        pod("pending", phase="Pending", ready=False),
        pod("homeless", node="", phase="Pending", ready=False),
    ]
    related = [item for item in pods if item["spec"]["nodeName"] == "n2"]
    ordered = [meta.name(item) for item in deletion_order(pods, related, NOW)]
    assert ordered[:4] == ["homeless", "pending", "unready", "cheap"]
    assert set(ordered[4:6]) == {"crowded", "crowding"}
    assert ordered[6:] == ["young", "serving"]


def test_a_pod_that_is_not_yet_available_goes_before_one_that_is() -> None:
    pods = [pod("available", age=11), pod("soon", age=9)]
    assert meta.name(deletion_order(pods, [], NOW, min_ready_seconds=10)[0]) == "soon"
