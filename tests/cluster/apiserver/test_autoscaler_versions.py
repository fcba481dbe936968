"""One autoscaler, seen and written in two versions through the same server."""

from __future__ import annotations

import pytest

from dabbawala.api import autoscaling_v1, autoscaling_v2
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import Invalid, NotFound
from dabbawala.client.client import Client

V1, V2 = autoscaling_v1.HORIZONTAL_POD_AUTOSCALER, autoscaling_v2.HORIZONTAL_POD_AUTOSCALER
RATE = {
    "type": "Pods",
    "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "100"}},
}


def autoscaler(**spec: object) -> Object:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"scaleTargetRef": target, "maxReplicas": 5, **spec},
    }


async def test_a_client_of_the_older_version_changes_what_it_knows_and_keeps_the_rest(client: Client) -> None:
    made = await client.create(V2, autoscaler(metrics=[RATE], behavior={"scaleDown": {"selectPolicy": "Min"}}))
    assert "generation" not in made["metadata"]
    old = await client.get(V1, "web", "default")
    old["spec"]["maxReplicas"] = 9
    await client.update(V1, old)
    new = await client.get(V2, "web", "default")
    assert new["spec"] == {**made["spec"], "maxReplicas": 9}
    assert "annotations" not in new["metadata"]
    [listed] = (await client.list(V1, "default")).items
    assert (listed["apiVersion"], listed["spec"]["maxReplicas"]) == ("autoscaling/v1", 9)


async def test_status_is_one_in_both_versions(client: Client) -> None:
    made = await client.create(V1, autoscaler())
    assert made["spec"]["targetCPUUtilizationPercentage"] == 80
    state = {
        "currentReplicas": 2, "desiredReplicas": 3,
        "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 71}}}],
        "conditions": [{"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale"}],
    }  # fmt: skip
    stored = await client.get(V2, "web", "default")
    await client.update(V2, {**stored, "status": state}, "status")
    seen = (await client.get(V1, "web", "default"))["status"]
    assert seen == {"currentReplicas": 2, "desiredReplicas": 3, "currentCPUUtilizationPercentage": 71}
    await client.patch(V1, "web", "default", {"spec": {"maxReplicas": 7}})
    assert (await client.get(V2, "web", "default"))["status"] == state


async def test_server_side_apply_and_deletion_work_in_the_older_version(client: Client) -> None:
    client = client.writing_as("tester")
    await client.apply(V1, autoscaler(targetCPUUtilizationPercentage=50))
    await client.apply(V1, autoscaler(targetCPUUtilizationPercentage=60))
    [metric] = (await client.get(V2, "web", "default"))["spec"]["metrics"]
    assert metric["resource"]["target"]["averageUtilization"] == 60
    with pytest.raises(Invalid, match="must be greater than or equal to `minReplicas`"):
        await client.patch(V1, "web", "default", {"spec": {"minReplicas": 8}})
    await client.delete(V1, "web", "default")
    with pytest.raises(NotFound):
        await client.get(V2, "web", "default")
