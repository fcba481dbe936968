"""What a ReplicaSet says when the API refuses its pods."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.controllers.replicaset import plan as planning
from dabbawala.reconcile.plan import Patch, Plan, Record, Update

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REFUSED = {
    "type": "ReplicaFailure",
    "status": "True",
    "reason": "FailedCreate",
    "message": "pods web-abcde",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


def replica_set(*conditions: Object) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "web", "namespace": "shop", "uid": "u"},
        "spec": {"replicas": 1},
        "status": {"replicas": 0, **({"conditions": list(conditions)} if conditions else {})},
    }


def writes(plan: Plan) -> list[Any]:
    return [action for action in plan.actions if isinstance(action, Patch | Update)]


def test_the_first_refusal_is_written_and_told() -> None:
    made = planning.refused(replica_set(), True, 'pods "web-abcde" is forbidden', NOW)
    assert len(writes(made)) == 1
    assert [action.reason for action in made.actions if isinstance(action, Record)] == ["FailedCreate"]


def test_the_next_refusal_names_another_pod_and_is_only_told() -> None:
    """A write would wake the set at once, and its back-off would never hold."""
    made = planning.refused(replica_set(REFUSED), True, 'pods "web-fghij" is forbidden', NOW)
    assert writes(made) == []
    assert len(made.actions) == 1


def test_a_refused_deletion_after_a_refused_creation_is_another_reason() -> None:
    assert len(writes(planning.refused(replica_set(REFUSED), False, "no", NOW))) == 1
