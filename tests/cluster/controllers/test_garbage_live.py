"""Garbage collection on the real API server."""

from __future__ import annotations

from dabbawala.api import apps_v1, autoscaling_v2, batch_v1, core_v1, networking_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from tests.cluster.controllers.conftest import Cluster

TEMPLATE = {
    "metadata": {"labels": {"app": "x"}},
    "spec": {"containers": [{"name": "x", "image": "x:1"}], "restartPolicy": "Never"},
}
STORED_ONLY: dict[Kind, Object] = {
    apps_v1.CONTROLLER_REVISION: {"data": {}, "revision": 1},
    batch_v1.CRON_JOB: {"spec": {"schedule": "@yearly", "jobTemplate": {"spec": {"template": TEMPLATE}}}},
    autoscaling_v2.HORIZONTAL_POD_AUTOSCALER: {
        "spec": {"maxReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "x"}}
    },
    networking_v1.NETWORK_POLICY: {"spec": {}},
    networking_v1.INGRESS: {"spec": {"defaultBackend": {"service": {"name": "x", "port": {"number": 80}}}}},
    core_v1.LIMIT_RANGE: {"spec": {"limits": []}},
    core_v1.RESOURCE_QUOTA: {"spec": {"hard": {"pods": "9"}}},
    core_v1.POD_TEMPLATE: {"template": TEMPLATE},
}


def reference(owner: Object, *, blocks: bool = True) -> Object:
    return {"apiVersion": "v1", "kind": owner["kind"], "name": meta.name(owner), "uid": meta.uid(owner),
            "blockOwnerDeletion": blocks}  # fmt: skip


async def owned(cluster: Cluster, name: str, *owners: Object, namespace: str = "default") -> Object:
    metadata = {"ownerReferences": [reference(owner) for owner in owners]}
    return await cluster.create(core_v1.CONFIG_MAP, name, namespace, metadata=metadata)


async def test_a_dependent_of_an_owner_that_never_existed_goes(cluster: Cluster) -> None:
    await owned(cluster, "lost", {"kind": "ConfigMap", "metadata": {"name": "nobody", "uid": "no-such-uid"}})

    async def gone() -> bool:
        return await cluster.get(core_v1.CONFIG_MAP, "lost") is None

    await cluster.until("the dependent is collected", gone)


async def test_a_dependent_with_one_live_owner_survives_the_other(cluster: Cluster) -> None:
    first, second = [await cluster.create(core_v1.CONFIG_MAP, name) for name in ("first", "second")]
    await owned(cluster, "child", first, second)
    await cluster.client.delete(core_v1.CONFIG_MAP, "first", "default")

    async def freed() -> bool:
        found = await cluster.get(core_v1.CONFIG_MAP, "child")
        return found is not None and len(meta.owner_references(found)) == 1

    await cluster.until("the dead reference is removed", freed)


async def test_an_owner_in_another_namespace_is_no_owner(cluster: Cluster) -> None:
    await cluster.create(core_v1.NAMESPACE, "other")
    abroad = await cluster.create(core_v1.CONFIG_MAP, "abroad", "other")
    await owned(cluster, "child", abroad)

    async def gone() -> bool:
        return await cluster.get(core_v1.CONFIG_MAP, "child") is None

    await cluster.until("the dependent is collected", gone)
    assert await cluster.get(core_v1.CONFIG_MAP, "abroad", "other") is not None


async def test_a_circle_of_owners_can_be_deleted_in_the_foreground(cluster: Cluster) -> None:
    first = await cluster.create(core_v1.CONFIG_MAP, "a")
    second = await owned(cluster, "b", first)
    third = await owned(cluster, "c", second)
    await cluster.patch(core_v1.CONFIG_MAP, "a", {"metadata": {"ownerReferences": [reference(third)]}})
    await cluster.client.delete(core_v1.CONFIG_MAP, "a", "default", propagation_policy="Foreground")

    async def gone() -> bool:
        left = [await cluster.get(core_v1.CONFIG_MAP, name) for name in "abc"]
        return not any(left)

    await cluster.until("the whole circle is gone", gone)


async def test_what_nothing_acts_on_is_collected_with_its_owner_and_with_its_namespace(cluster: Cluster) -> None:
    await cluster.create(core_v1.NAMESPACE, "leaving")
    owner = await cluster.create(core_v1.CONFIG_MAP, "owner")
    metadata = {"ownerReferences": [reference(owner, blocks=False)]}
    for kind, body in STORED_ONLY.items():
        await cluster.create(kind, "x", metadata=metadata, **body)
        await cluster.create(kind, "x", "leaving", **body)
    await cluster.client.delete(core_v1.CONFIG_MAP, "owner", "default")
    await cluster.client.delete(core_v1.NAMESPACE, "leaving")

    async def gone() -> bool:
        homes = ("default", "leaving")
        left = [await cluster.get(kind, "x", home) for kind in STORED_ONLY for home in homes]
        return not any(left) and await cluster.get(core_v1.NAMESPACE, "leaving", "") is None

    await cluster.until("dependents and content are gone, and the namespace too", gone)
