"""Workloads on a whole cluster in memory, as users drive them."""

from __future__ import annotations

from typing import Any

from dabbawala.api import apps_v1, batch_v1, core_v1, discovery_v1
from dabbawala.apimachinery import conditions, meta
from dabbawala.apimachinery.meta import Object
from tests.cluster.controllers.conftest import Cluster


def spec(replicas: int, image: str = "web:1", **more: Any) -> Object:
    return {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": image, "ports": [{"name": "http", "containerPort": 80}]}]},
        },
        **more,
    }


async def test_a_deployment_brings_its_pods_up_and_reports_them(cluster: Cluster) -> None:
    await cluster.create(apps_v1.DEPLOYMENT, "web", spec=spec(3))
    found = await cluster.deployed("web")
    assert conditions.is_true(found, "Available")
    progressing = conditions.find(found, "Progressing")
    assert progressing is not None
    assert progressing["reason"] == "NewReplicaSetAvailable"
    assert meta.annotations(found)["deployment.kubernetes.io/revision"] == "1"
    nodes = {pod["spec"]["nodeName"] for pod in await cluster.pods("app=web")}
    assert len(nodes) == 3, "replicas of one owner spread over the nodes"


async def test_a_new_image_replaces_all_pods_and_undo_brings_the_old_set_back(cluster: Cluster) -> None:
    await cluster.create(apps_v1.DEPLOYMENT, "web", spec=spec(4))
    first = await cluster.deployed("web")
    container = {"name": "web", "image": "web:2"}
    await cluster.patch(apps_v1.DEPLOYMENT, "web", {"spec": {"template": {"spec": {"containers": [container]}}}})
    await cluster.deployed("web")
    images = {pod["spec"]["containers"][0]["image"] for pod in await cluster.pods("app=web")}
    assert images == {"web:2"}
    await cluster.patch(apps_v1.DEPLOYMENT, "web", {"spec": {"template": first["spec"]["template"]}})
    undone = await cluster.deployed("web")
    sets = await cluster.list(apps_v1.REPLICA_SET)
    assert len(sets) == 2, "undo takes the old set up again instead of making a third"
    assert meta.annotations(undone)["deployment.kubernetes.io/revision"] == "3"


async def test_events_tell_what_was_scaled_and_created(cluster: Cluster) -> None:
    await cluster.create(apps_v1.DEPLOYMENT, "web", spec=spec(1))
    await cluster.deployed("web")

    async def reasons() -> bool:
        found = {event["reason"] for event in await cluster.list(core_v1.EVENT)}
        return {"ScalingReplicaSet", "SuccessfulCreate", "Scheduled"} <= found

    await cluster.until("events are written", reasons)


async def test_an_orphan_pod_that_matches_is_adopted_and_one_that_no_longer_does_is_released(cluster: Cluster) -> None:
    await cluster.create(apps_v1.REPLICA_SET, "web", spec=spec(1))

    async def one() -> list[Object]:
        return await cluster.pods("app=web")

    (pod,) = await cluster.until("the set has made its pod", one)
    await cluster.patch(core_v1.POD, meta.name(pod), {"metadata": {"labels": {"app": "other"}}})

    async def released() -> bool:
        found = await cluster.get(core_v1.POD, meta.name(pod))
        return found is not None and meta.controller_of(found) is None

    await cluster.until("the pod is released", released)
    await cluster.until("a new pod replaces it", one)


async def test_deleting_a_deployment_takes_its_sets_and_pods_along(cluster: Cluster) -> None:
    await cluster.create(apps_v1.DEPLOYMENT, "web", spec=spec(2))
    await cluster.deployed("web")
    await cluster.client.delete(apps_v1.DEPLOYMENT, "web", "default", propagation_policy="Foreground")

    async def gone() -> bool:
        left = await cluster.list(apps_v1.DEPLOYMENT), await cluster.list(apps_v1.REPLICA_SET), await cluster.pods()
        return not any(left)

    await cluster.until("Deployment, sets and pods are gone", gone)


async def test_an_orphaning_delete_leaves_the_dependents_without_an_owner(cluster: Cluster) -> None:
    await cluster.create(apps_v1.DEPLOYMENT, "web", spec=spec(2))
    await cluster.deployed("web")
    await cluster.client.delete(apps_v1.DEPLOYMENT, "web", "default", propagation_policy="Orphan")

    async def orphaned() -> bool:
        sets = await cluster.list(apps_v1.REPLICA_SET)
        return await cluster.get(apps_v1.DEPLOYMENT, "web") is None and not any(map(meta.owner_references, sets))

    await cluster.until("the set is an orphan", orphaned)
    assert len(await cluster.pods("app=web")) == 2


async def test_a_service_follows_its_pods_and_says_which_generation_it_reflects(cluster: Cluster) -> None:
    await cluster.create(apps_v1.DEPLOYMENT, "web", spec=spec(2))
    ports = [{"name": "http", "port": 8080, "targetPort": "http"}]
    await cluster.create(core_v1.SERVICE, "web", spec={"selector": {"app": "web"}, "ports": ports})

    async def ready() -> Object | None:
        for item in await cluster.list(discovery_v1.ENDPOINT_SLICE):
            endpoints = item.get("endpoints") or []
            if len(endpoints) == 2 and all(one["conditions"]["ready"] for one in endpoints):
                return item
        return None

    found = await cluster.until("both pods are ready endpoints", ready)
    assert found["ports"] == [{"name": "http", "port": 80, "protocol": "TCP"}]
    service = await cluster.get(core_v1.SERVICE, "web")
    assert service is not None
    assert meta.annotations(found)["dabbawala.dev/service-generation"] == str(meta.generation(service))
    assert {one["zone"] for one in found["endpoints"]} <= {"a", "b", "c"}


async def test_a_job_counts_its_pods_and_completes(cluster: Cluster) -> None:
    pod = {"restartPolicy": "Never", "containers": [{"name": "work", "image": "work:1"}]}
    annotations = {"dabbawala.dev/simulated-run-seconds": "0", "simulated.dabbawala.dev/exit-after-seconds": "0"}
    template = {"metadata": {"annotations": annotations}, "spec": pod}
    await cluster.create(batch_v1.JOB, "sum", spec={"completions": 3, "parallelism": 2, "template": template})

    async def started() -> bool:
        found = await cluster.get(batch_v1.JOB, "sum")
        return found is not None and (found.get("status") or {}).get("active") == 2

    await cluster.until("two pods run at once", started)
    for pod_ in await cluster.pods():
        assert "batch.kubernetes.io/job-tracking" in meta.finalizers(pod_)


async def test_a_namespace_has_its_account_and_certificate_at_once_and_goes_with_all_it_holds(cluster: Cluster) -> None:
    await cluster.create(core_v1.NAMESPACE, "shop")

    async def furnished() -> bool:
        account = await cluster.get(core_v1.SERVICE_ACCOUNT, "default", "shop")
        return account is not None and await cluster.get(core_v1.CONFIG_MAP, "kube-root-ca.crt", "shop") is not None

    await cluster.until("default account and root certificate", furnished)
    await cluster.create(apps_v1.DEPLOYMENT, "web", "shop", spec=spec(2))
    await cluster.deployed("web", "shop")
    await cluster.client.delete(core_v1.NAMESPACE, "shop")

    async def gone() -> bool:
        return await cluster.get(core_v1.NAMESPACE, "shop") is None

    await cluster.until("the namespace is gone", gone)
    assert await cluster.list(core_v1.POD, "shop") == []


async def test_a_daemon_set_has_one_pod_on_each_node(cluster: Cluster) -> None:
    template = {"metadata": {"labels": {"app": "agent"}}, "spec": {"containers": [{"name": "a", "image": "agent:1"}]}}
    body = {"selector": {"matchLabels": {"app": "agent"}}, "template": template}
    await cluster.create(apps_v1.DAEMON_SET, "agent", spec=body)

    async def everywhere() -> bool:
        found = await cluster.get(apps_v1.DAEMON_SET, "agent")
        return found is not None and (found.get("status") or {}).get("numberReady") == 3

    await cluster.until("three ready pods", everywhere)
    assert len({pod["spec"]["nodeName"] for pod in await cluster.pods("app=agent")}) == 3
