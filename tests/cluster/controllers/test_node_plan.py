"""Nodes that fall silent, and the patience of their pods."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from dabbawala.apimachinery import clock
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.controllers.nodelifecycle.plan import GRACE, UNREACHABLE, plan
from dabbawala.reconcile.plan import Delete, Patch, Plan

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SILENT = NOW - GRACE - timedelta(seconds=1)


def node(ready: str, *, taints: list[Object] | None = None, **spec: Any) -> Object:
    conditions = [{"type": "Ready", "status": ready, "reason": "x", "lastTransitionTime": "2025-01-01T00:00:00Z"}]
    spec = {**spec, **({"taints": taints} if taints else {})}
    metadata = {"name": "n1", "uid": "n1", "resourceVersion": "4"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": metadata,
        "spec": spec,
        "status": {"conditions": conditions},
    }


def pod(name: str, *tolerations: Object) -> Object:
    metadata = {"name": name, "namespace": "shop", "uid": name}
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2025-01-01T00:00:00Z"}
    status = {"phase": "Running", "conditions": [ready]}
    return {"metadata": metadata, "spec": {"nodeName": "n1", "tolerations": list(tolerations)}, "status": status}


def taints_of(found: Plan) -> list[tuple[str, str]]:
    patches = (action for action in found.actions if isinstance(action, Patch) and "spec" in action.body)
    taints = next(patches).body["spec"]["taints"] or []
    return [(taint["key"].rpartition("/")[2], taint["effect"]) for taint in taints]


def test_silence_beyond_the_grace_makes_a_node_unknown_and_its_pods_unready() -> None:
    found = plan(node("True"), SILENT, [pod("p")], all_lost=False, now=NOW)
    first, *rest = found.actions
    assert isinstance(first, Patch)
    statuses = {item["type"]: (item["status"], item["reason"]) for item in first.body["status"]["conditions"]}
    assert statuses["Ready"] == ("Unknown", "NodeStatusUnknown")
    assert any(isinstance(action, Patch) and action.key.name == "p" for action in rest)


def test_a_node_that_was_heard_of_in_time_is_left_alone_until_its_grace_ends() -> None:
    found = plan(node("True"), NOW - timedelta(seconds=20), [], all_lost=False, now=NOW)
    assert found == Plan((), GRACE - timedelta(seconds=20))


def test_an_unknown_node_is_tainted_and_a_node_that_is_back_is_not() -> None:
    found = plan(node("Unknown"), SILENT, [], all_lost=False, now=NOW)
    assert taints_of(found) == [("unreachable", "NoSchedule"), ("unreachable", "NoExecute")]
    tainted = [
        {"key": UNREACHABLE, "effect": "NoExecute", "timeAdded": "2025-01-01T00:00:00Z"},
        {"key": "mine", "effect": "NoSchedule"},
    ]
    assert taints_of(plan(node("True", taints=tainted), NOW, [], all_lost=False, now=NOW)) == [("mine", "NoSchedule")]


def test_a_cordoned_node_carries_the_taint() -> None:
    assert taints_of(plan(node("True", unschedulable=True), NOW, [], all_lost=False, now=NOW)) == [
        ("unschedulable", "NoSchedule")
    ]


def test_pods_go_when_their_patience_ends_and_not_before() -> None:
    added = clock.format_time(NOW - timedelta(seconds=100))
    taints = [{"key": UNREACHABLE, "effect": effect, "timeAdded": added} for effect in ("NoSchedule", "NoExecute")]
    patient = {"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute"}
    placed = [
        pod("none"),
        pod("short", {**patient, "tolerationSeconds": 60}),
        pod("long", {**patient, "tolerationSeconds": 300}),
        pod("for-ever", patient),
    ]
    for item in placed:
        item["status"]["conditions"] = []
    found = plan(node("Unknown", taints=taints), SILENT, placed, all_lost=False, now=NOW)
    assert [action.key.name for action in found.actions if isinstance(action, Delete)] == ["none", "short"]
    assert found.requeue_after == timedelta(seconds=200)


def test_nobody_is_evicted_when_no_node_at_all_is_heard_of() -> None:
    found = plan(node("Unknown"), SILENT, [pod("p")], all_lost=True, now=NOW)
    assert taints_of(found) == [("unreachable", "NoSchedule")]
    assert not any(isinstance(action, Delete) for action in found.actions)


def test_patience_with_a_taint_that_a_user_made_counts_from_when_it_was_first_seen() -> None:
    bare = {"key": "maintenance", "effect": "NoExecute"}
    patient = {"key": "maintenance", "operator": "Exists", "tolerationSeconds": 30}
    (patch,) = plan(node("True", taints=[bare]), NOW, [pod("p", patient)], all_lost=False, now=NOW).actions
    assert isinstance(patch, Patch)
    stamped = patch.body["spec"]["taints"]
    assert stamped == [{**bare, "timeAdded": clock.format_time(NOW)}]
    later = NOW + timedelta(seconds=31)
    actions = plan(node("True", taints=stamped), later, [pod("p", patient)], all_lost=False, now=later).actions
    assert [action.key.name for action in actions if isinstance(action, Delete)] == ["p"]
