"""DaemonSets and pods that fail at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dabbawala.apimachinery import clock
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.controllers.daemonset.plan import FAILED_REST, plan
from dabbawala.reconcile.plan import Create, Delete

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SET: Object = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "log", "namespace": "shop", "uid": "d", "generation": 1},
    "spec": {"template": {"metadata": {"labels": {"app": "log"}}, "spec": {"containers": [{"name": "c"}]}}},
}
NODES: dict[str, Object] = {"n1": {"metadata": {"name": "n1"}, "spec": {}}}


def failed(age: timedelta) -> Object:
    created = clock.format_time(NOW - age)
    metadata = {"name": "log-1", "namespace": "shop", "uid": "p", "creationTimestamp": created}
    return {"metadata": metadata, "spec": {"nodeName": "n1"}, "status": {"phase": "Failed"}}


def test_a_pod_that_failed_at_once_is_replaced_only_after_a_rest() -> None:
    early = plan(SET, [failed(timedelta(seconds=1))], NODES, NOW)
    assert not [action for action in early.actions if isinstance(action, Create | Delete)]
    assert early.requeue_after == FAILED_REST - timedelta(seconds=1)
    later = plan(SET, [failed(FAILED_REST)], NODES, NOW)
    assert [action.key.name for action in later.actions if isinstance(action, Delete)] == ["log-1"]
    assert [action for action in plan(SET, [], NODES, NOW).actions if isinstance(action, Create)]
