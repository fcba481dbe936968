"""Scheduling on a whole cluster in memory: waiting, volumes, preemption, nodes that come back."""

from __future__ import annotations

from typing import Any

import pytest

from dabbawala.api import core_v1, scheduling_v1, storage_v1
from dabbawala.apimachinery import conditions, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.scheduler import volume_waits
from dabbawala.cluster.scheduler.controller import BINDINGS_AT_ONCE
from tests.cluster.controllers.conftest import Cluster


def spec(cpu: str = "1", **more: Any) -> Object:
    return {"containers": [{"name": "c", "image": "c:1", "resources": {"requests": {"cpu": cpu}}}], **more}


async def waiting(cluster: Cluster, name: str) -> Object:
    async def explained() -> Object | None:
        found = await cluster.get(core_v1.POD, name)
        assert found is not None
        return conditions.find(found, "PodScheduled") if not found["spec"].get("nodeName") else None

    found: Object = await cluster.until(f"{name} is told why it waits", explained)
    return found


async def scheduled(cluster: Cluster, name: str) -> str:
    async def bound() -> str:
        found = await cluster.get(core_v1.POD, name)
        return (found or {}).get("spec", {}).get("nodeName", "")

    found: str = await cluster.until(f"{name} has a node", bound)
    return found


async def test_a_pod_that_fits_nowhere_is_told_why_and_placed_when_a_label_makes_room(cluster: Cluster) -> None:
    await cluster.create(core_v1.POD, "picky", spec=spec(nodeSelector={"disk": "ssd"}))
    condition = await waiting(cluster, "picky")
    assert condition["reason"] == "Unschedulable"
    assert condition["message"].startswith(
        "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."
    )
    await cluster.patch(core_v1.NODE, "sim-2", {"metadata": {"labels": {"disk": "ssd"}}})
    assert await scheduled(cluster, "picky") == "sim-2"


async def test_a_cordoned_node_gets_nothing(cluster: Cluster) -> None:
    for name in ("sim-1", "sim-3"):
        await cluster.patch(core_v1.NODE, name, {"spec": {"unschedulable": True}})
    for number in range(4):
        await cluster.create(core_v1.POD, f"p{number}", spec=spec())
    assert {await scheduled(cluster, f"p{number}") for number in range(4)} == {"sim-2"}


async def test_a_gated_pod_waits_until_its_gates_are_gone(cluster: Cluster) -> None:
    await cluster.create(core_v1.POD, "gated", spec=spec(schedulingGates=[{"name": "example.com/quota"}]))
    condition = await waiting(cluster, "gated")
    assert condition["reason"] == "SchedulingGated"
    await cluster.patch(core_v1.POD, "gated", {"spec": {"schedulingGates": None}})
    await scheduled(cluster, "gated")


async def test_a_claim_that_waits_for_its_first_consumer_is_bound_with_it_and_erased_with_it(cluster: Cluster) -> None:
    await cluster.create(
        storage_v1.STORAGE_CLASS, "local", provisioner="dabbawala.dev/local", reclaimPolicy="Delete",
        volumeBindingMode="WaitForFirstConsumer",
    )  # fmt: skip
    claim = {
        "storageClassName": "local",
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    }
    await cluster.create(core_v1.PERSISTENT_VOLUME_CLAIM, "data", spec=claim)
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    await cluster.create(core_v1.POD, "db", spec=spec(volumes=volumes))
    node = await scheduled(cluster, "db")
    found = await cluster.get(core_v1.PERSISTENT_VOLUME_CLAIM, "data")
    assert found is not None
    assert found["status"]["phase"] == "Bound"
    assert meta.annotations(found)["volume.kubernetes.io/selected-node"] == node
    name = found["spec"]["volumeName"]
    await cluster.client.delete(core_v1.POD, "db", "default", grace_period_seconds=0)
    await cluster.client.delete(core_v1.PERSISTENT_VOLUME_CLAIM, "data", "default")

    async def gone() -> bool:
        return await cluster.get(core_v1.PERSISTENT_VOLUME, name) is None

    await cluster.until("the volume is reclaimed", gone)
    assert cluster.erased == [f"/volumes/{name}"]


CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


async def slow_storage(cluster: Cluster) -> None:
    """A class whose provisioner never answers."""
    await cluster.create(
        storage_v1.STORAGE_CLASS, "slow", provisioner="example.com/slow", volumeBindingMode="WaitForFirstConsumer"
    )


async def pod_with_claim(cluster: Cluster, name: str, storage_class: str, **more: Any) -> None:
    await cluster.create(core_v1.PERSISTENT_VOLUME_CLAIM, name, spec={**CLAIM, "storageClassName": storage_class})
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]
    await cluster.create(core_v1.POD, name, spec=spec("10m", volumes=volumes, **more))


async def told_of_its_node(cluster: Cluster, claim: str) -> None:
    async def told() -> bool:
        found = await cluster.get(core_v1.PERSISTENT_VOLUME_CLAIM, claim)
        return found is not None and "volume.kubernetes.io/selected-node" in meta.annotations(found)

    await cluster.until(f"the provisioner is told of {claim}'s node", told)


async def test_pods_that_wait_for_volumes_keep_nobody_else_from_being_bound(cluster: Cluster) -> None:
    await slow_storage(cluster)
    for number in range(BINDINGS_AT_ONCE + 1):
        await pod_with_claim(cluster, f"data-{number}", "slow")
    for number in range(BINDINGS_AT_ONCE + 1):
        await told_of_its_node(cluster, f"data-{number}")
    await cluster.create(core_v1.POD, "plain", spec=spec())
    await scheduled(cluster, "plain")


async def test_only_so_many_pods_wait_for_volumes_at_once(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_waits, "VOLUME_WAITS_MAX", 1)
    monkeypatch.setattr(volume_waits, "LOOK_SECONDS", 0.2)
    await slow_storage(cluster)
    await pod_with_claim(cluster, "first", "slow")
    await told_of_its_node(cluster, "first")
    await pod_with_claim(cluster, "second", "slow")
    assert "waiting for their volumes already" in (await waiting(cluster, "second"))["message"]
    await cluster.client.delete(core_v1.POD, "first", "default", grace_period_seconds=0)
    await told_of_its_node(cluster, "second")


def volume_on(node: str, size: str) -> Object:
    only = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "disks",
        "local": {"path": f"/disks/{node}"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [only]}]}},
    }  # fmt: skip


async def test_a_volume_that_nobody_makes_must_be_there_and_reachable_from_the_node(cluster: Cluster) -> None:
    await cluster.create(
        storage_v1.STORAGE_CLASS, "disks", provisioner="kubernetes.io/no-provisioner",
        volumeBindingMode="WaitForFirstConsumer",
    )  # fmt: skip
    await pod_with_claim(cluster, "db", "disks", nodeSelector={"kubernetes.io/hostname": "sim-3"})
    missing = "node(s) didn't find available persistent volumes to bind"
    assert f"1 {missing}" in (await waiting(cluster, "db"))["message"]
    await cluster.create(core_v1.PERSISTENT_VOLUME, "small-1", "", spec=volume_on("sim-1", "1Gi"))
    await cluster.create(core_v1.PERSISTENT_VOLUME, "large-3", "", spec=volume_on("sim-3", "9Gi"))
    assert await scheduled(cluster, "db") == "sim-3"
    claim = await cluster.get(core_v1.PERSISTENT_VOLUME_CLAIM, "db")
    assert claim is not None
    assert claim["spec"]["volumeName"] == "large-3"
    await pod_with_claim(cluster, "other", "disks")
    assert await scheduled(cluster, "other") == "sim-1"
    await pod_with_claim(cluster, "late", "disks")
    assert f"3 {missing}" in (await waiting(cluster, "late"))["message"]


async def test_a_more_important_pod_takes_the_place_of_a_lesser_one(cluster: Cluster) -> None:
    await cluster.create(scheduling_v1.PRIORITY_CLASS, "vip", value=1000)
    await cluster.create(scheduling_v1.PRIORITY_CLASS, "low", value=1)
    for number in range(3):
        await cluster.create(core_v1.POD, f"low-{number}", spec=spec("20", priorityClassName="low"))
        await scheduled(cluster, f"low-{number}")
    await cluster.create(core_v1.POD, "vip", spec=spec("20", priorityClassName="vip"))
    await scheduled(cluster, "vip")
    left = {meta.name(pod) for pod in await cluster.pods()}
    assert len(left) == 3, "exactly one pod had to go"


async def test_a_pod_on_a_deleted_node_is_not_forgotten_by_its_set(cluster: Cluster) -> None:
    await cluster.create(core_v1.POD, "p", spec=spec())
    node = await scheduled(cluster, "p")
    await cluster.client.delete(core_v1.NODE, node)

    async def registered() -> bool:
        return len(await cluster.list(core_v1.NODE, None)) >= 2

    await cluster.until("the cluster goes on", registered)
    assert await cluster.get(core_v1.POD, "p") is not None, "pods of a missing node get a time of grace"
