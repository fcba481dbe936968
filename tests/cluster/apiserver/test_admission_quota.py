"""Quotas: what they count, what they refuse, and that they hold whatever happens at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from dabbawala.api import KINDS, apps_v1, core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery.status import AlreadyExists, Forbidden, Invalid, StatusError
from dabbawala.client.client import Client
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.store.store import Store
from tests.cluster.apiserver.core_calls import PODS, call, deployment, pod

LOOKS_MAX, PAUSE = 2000, 0.001


def quota(hard: dict[str, str], name: str = "q", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"hard": hard, **spec}}


def sized(name: str, *containers: dict[str, str], **spec: Any) -> dict[str, Any]:
    listed = [
        {"name": f"c{index}", "image": "app:1", "resources": {"requests": requests, "limits": requests}}
        for index, requests in enumerate(containers)
    ]
    return pod(name, containers=listed, **spec)


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"ports": [{"port": 80}], **spec}}


@pytest.fixture
async def durable(tmp_path: Path) -> AsyncIterator[Client]:
    """A client of a server whose writes take their time: others come in between."""
    async with APIServer.in_memory(KINDS, store=await Store.open(tmp_path / "store.db")) as server:
        yield server.client()


async def refusal(client: Client, kind: Kind, obj: dict[str, Any]) -> str:
    with pytest.raises(Forbidden) as caught:
        await client.create(kind, obj)
    return caught.value.message


async def used(client: Client, want: Callable[[dict[str, str]], bool], name: str = "q") -> dict[str, str]:
    """What the status of a quota says, once it says what is wanted."""
    for _ in range(LOOKS_MAX):
        status = (await client.get(core_v1.RESOURCE_QUOTA, name, "default")).get("status") or {}
        found: dict[str, str] = status.get("used") or {}
        if want(found):
            return found
        await asyncio.sleep(PAUSE)
    raise AssertionError(f"the status still says {found}")


async def test_what_is_more_than_the_quota_is_refused_in_the_known_words(client: Client) -> None:
    await client.create(core_v1.RESOURCE_QUOTA, quota({"pods": "2"}))
    for name in ("a", "b"):
        await client.create(core_v1.POD, pod(name))
    assert await refusal(client, core_v1.POD, pod("c")) == (
        'pods "c" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2'
    )
    elsewhere = pod("c")
    elsewhere["metadata"]["namespace"] = "kube-system"
    await client.create(core_v1.POD, elsewhere)


async def test_amounts_are_summed_over_containers_and_pods(client: Client) -> None:
    await client.create(core_v1.RESOURCE_QUOTA, quota({"requests.cpu": "1", "limits.memory": "1Gi"}))
    await client.create(core_v1.POD, sized("a", {"cpu": "250m", "memory": "256Mi"}, {"cpu": "250m", "memory": "256Mi"}))
    message = await refusal(client, core_v1.POD, sized("b", {"cpu": "600m", "memory": "768Mi"}))
    assert message.endswith(
        "exceeded quota: q, requested: limits.memory=768Mi,requests.cpu=600m, "
        "used: limits.memory=512Mi,requests.cpu=500m, limited: limits.memory=1Gi,requests.cpu=1"
    )
    await client.create(core_v1.POD, sized("b", {"cpu": "500m", "memory": "512Mi"}))
    assert await used(client, lambda found: found.get("requests.cpu") == "1") == {
        "requests.cpu": "1", "limits.memory": "1Gi",
    }  # fmt: skip


async def test_what_is_limited_must_be_stated(client: Client) -> None:
    await client.create(core_v1.RESOURCE_QUOTA, quota({"limits.cpu": "9", "memory": "9Gi", "pods": "9"}))
    stated = {"name": "side", "image": "app:1", "resources": {"limits": {"cpu": "1"}, "requests": {"memory": "1Gi"}}}
    obj = pod("a", containers=[{"name": "main", "image": "app:1"}, stated, {"name": "last", "image": "app:1"}])
    assert await refusal(client, core_v1.POD, obj) == (
        'pods "a" is forbidden: failed quota: q: must specify limits.cpu for: last,main; memory for: last,main'
    )


async def test_defaults_of_a_limit_range_count(client: Client) -> None:
    await client.create(core_v1.RESOURCE_QUOTA, quota({"limits.cpu": "1"}))
    spec = {"limits": [{"type": "Container", "default": {"cpu": "600m"}}]}
    await client.create(core_v1.LIMIT_RANGE, {"metadata": {"name": "l", "namespace": "default"}, "spec": spec})
    await client.create(core_v1.POD, pod("a"))
    assert "requested: limits.cpu=600m, used: limits.cpu=600m" in await refusal(client, core_v1.POD, pod("b"))


async def test_everything_stored_can_be_counted(client: Client) -> None:
    await client.create(
        core_v1.RESOURCE_QUOTA, quota({"count/deployments.apps": "1", "configmaps": "1", "secrets": "0"})
    )
    await client.create(apps_v1.DEPLOYMENT, deployment("a"))
    assert await refusal(client, apps_v1.DEPLOYMENT, deployment("b")) == (
        'deployments.apps "b" is forbidden: exceeded quota: q, requested: count/deployments.apps=1, '
        "used: count/deployments.apps=1, limited: count/deployments.apps=1"
    )
    await client.create(core_v1.CONFIG_MAP, {"metadata": {"name": "a", "namespace": "default"}})
    await refusal(client, core_v1.CONFIG_MAP, {"metadata": {"name": "b", "namespace": "default"}})
    await refusal(client, core_v1.SECRET, {"metadata": {"name": "b", "namespace": "default"}})


async def test_node_ports_and_load_balancers_are_counted_also_when_a_service_becomes_one(client: Client) -> None:
    await client.create(core_v1.RESOURCE_QUOTA, quota({"services.nodeports": "2", "services.loadbalancers": "0"}))
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 81}]
    await client.create(core_v1.SERVICE, service("a", type="NodePort", ports=ports))
    await client.create(core_v1.SERVICE, service("b"))
    with pytest.raises(Forbidden, match=r"requested: services.nodeports=1, used: services.nodeports=2"):
        await client.patch(core_v1.SERVICE, "b", "default", {"spec": {"type": "NodePort"}})
    assert "services.loadbalancers=1" in await refusal(client, core_v1.SERVICE, service("c", type="LoadBalancer"))
    await client.patch(core_v1.SERVICE, "a", "default", {"metadata": {"labels": {"x": "y"}}})
    await client.patch(core_v1.SERVICE, "a", "default", {"spec": {"type": "ClusterIP"}})
    await client.patch(core_v1.SERVICE, "b", "default", {"spec": {"type": "NodePort"}})
    await used(client, lambda found: found.get("services.nodeports") == "1")


async def test_storage_is_counted_by_class_and_when_a_claim_grows(client: Client) -> None:
    gold = "gold.storageclass.storage.k8s.io/requests.storage"
    await client.create(core_v1.RESOURCE_QUOTA, quota({"requests.storage": "10Gi", gold: "5Gi"}))

    def claim(name: str, size: str, chosen: str) -> dict[str, Any]:
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
        return {"metadata": {"name": name, "namespace": "default"}, "spec": {**spec, "storageClassName": chosen}}

    kind = core_v1.PERSISTENT_VOLUME_CLAIM
    await client.create(kind, claim("a", "4Gi", "gold"))
    assert f"requested: {gold}=2Gi, used: {gold}=4Gi" in await refusal(client, kind, claim("b", "2Gi", "gold"))
    await client.create(kind, claim("b", "2Gi", "plain"))
    with pytest.raises(Forbidden, match=r"requested: requests\.storage=5Gi, used: requests\.storage=6Gi"):
        await client.patch(kind, "b", "default", {"spec": {"resources": {"requests": {"storage": "7Gi"}}}})


@pytest.mark.parametrize(
    ("scope", "inside", "outside"),
    [
        ({"scopes": ["Terminating"]}, {"activeDeadlineSeconds": 5}, {}),
        ({"scopes": ["NotTerminating"]}, {}, {"activeDeadlineSeconds": 5}),
        ({"scopes": ["BestEffort"]}, {}, {"containers": [
            {"name": "a", "image": "a:1", "resources": {"requests": {"cpu": "1"}}}
        ]}),
        ({"scopeSelector": {"matchExpressions": [
            {"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]}
        ]}}, {"priorityClassName": "system-node-critical"}, {"priorityClassName": "system-cluster-critical"}),
        ({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "DoesNotExist"}]}},
         {}, {"priorityClassName": "system-node-critical"}),
    ],
)  # fmt: skip
async def test_a_scoped_quota_is_about_pods_in_its_scope(
    client: Client, scope: dict[str, Any], inside: dict[str, Any], outside: dict[str, Any]
) -> None:
    await client.create(core_v1.RESOURCE_QUOTA, quota({"pods": "1"}, **scope))
    await client.create(core_v1.POD, pod("in", **inside))
    await refusal(client, core_v1.POD, pod("in2", **inside))
    for name in ("out", "out2"):
        await client.create(core_v1.POD, pod(name, **outside))
    assert await used(client, lambda found: found == {"pods": "1"})


async def test_writes_at_the_same_time_share_no_place(durable: Client) -> None:
    client = durable
    await client.create(core_v1.RESOURCE_QUOTA, quota({"pods": "5"}))
    outcomes = await asyncio.gather(
        *(client.create(core_v1.POD, pod(f"p{index}")) for index in range(20)), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert len(refused) == 15
    assert all(isinstance(error, Forbidden) and "exceeded quota: q" in str(error) for error in refused)


async def test_whoever_goes_or_ends_makes_room(client: Client) -> None:
    await client.create(core_v1.RESOURCE_QUOTA, quota({"pods": "1", "count/pods": "2"}))
    await client.create(core_v1.POD, pod("a"))
    await client.delete(core_v1.POD, "a", "default")
    made = await client.create(core_v1.POD, pod("b"))
    await client.update(core_v1.POD, {**made, "status": {"phase": "Succeeded"}}, "status")
    await client.create(core_v1.POD, pod("c"))
    await used(client, lambda found: found == {"pods": "1", "count/pods": "2"})
    assert "count/pods" in await refusal(client, core_v1.POD, pod("d"))


@pytest.mark.parametrize("name", ["a", "B"])
async def test_a_refused_write_gives_back_what_it_reserved(client: Client, name: str) -> None:
    await client.create(core_v1.RESOURCE_QUOTA, quota({"pods": "2"}))
    await client.create(core_v1.POD, pod("a"))
    with pytest.raises((AlreadyExists, Invalid)):
        await client.create(core_v1.POD, pod(name))
    await client.create(core_v1.POD, pod("b"))
    await refusal(client, core_v1.POD, pod("c"))


async def test_a_dry_run_is_judged_and_takes_nothing(server: APIServer, client: Client) -> None:
    await client.create(core_v1.RESOURCE_QUOTA, quota({"pods": "1"}))
    assert (await call(server, "POST", PODS + "?dryRun=All", pod("a"))).status == 201
    await client.create(core_v1.POD, pod("a"))
    assert (await call(server, "POST", PODS + "?dryRun=All", pod("b"))).status == 403


async def test_a_quota_that_comes_later_or_changes_counts_what_is_there(client: Client) -> None:
    for name in ("a", "b"):
        await client.create(core_v1.POD, pod(name))
    await client.create(core_v1.RESOURCE_QUOTA, quota({"pods": "1"}))
    assert "used: pods=2, limited: pods=1" in await refusal(client, core_v1.POD, pod("c"))
    assert await used(client, lambda found: found == {"pods": "2"})
    await client.patch(core_v1.RESOURCE_QUOTA, "q", "default", {"spec": {"hard": {"pods": "3"}}})
    await client.create(core_v1.POD, pod("c"))
    await refusal(client, core_v1.POD, pod("d"))
    await client.delete(core_v1.RESOURCE_QUOTA, "q", "default")
    await client.create(core_v1.POD, pod("d"))


async def test_every_quota_of_the_namespace_is_kept(client: Client) -> None:
    await client.create(core_v1.RESOURCE_QUOTA, quota({"pods": "5"}, name="wide"))
    await client.create(core_v1.RESOURCE_QUOTA, quota({"pods": "1"}, name="narrow"))
    await client.create(core_v1.POD, pod("a"))
    assert "exceeded quota: narrow" in await refusal(client, core_v1.POD, pod("b"))
    await used(client, lambda found: found == {"pods": "1"}, "wide")


async def test_a_client_cannot_write_what_is_used(client: Client) -> None:
    made = await client.create(core_v1.RESOURCE_QUOTA, {**quota({"pods": "1"}), "status": {"used": {"pods": "9"}}})
    assert made["status"] == {}
    assert await used(client, lambda found: found == {"pods": "0"})


@pytest.mark.parametrize("seed", range(5))
async def test_in_any_order_of_events_the_quota_holds_and_its_status_comes_right(durable: Client, seed: int) -> None:
    client, chance = durable, random.Random(seed)
    await client.create(core_v1.RESOURCE_QUOTA, quota({"pods": "6", "requests.cpu": "3"}))
    names = [f"p{index}" for index in range(12)]

    async def act(name: str) -> None:
        for _ in range(6):
            try:
                if chance.random() < 0.6:
                    await client.create(core_v1.POD, sized(name, {"cpu": f"{chance.choice((200, 500, 900))}m"}))
                else:
                    await client.delete(core_v1.POD, name, "default")
            except StatusError:
                pass
            stored = (await client.list(core_v1.POD, "default")).items
            assert len(stored) <= 6
            assert sum(_milli(item) for item in stored) <= 3000

    await asyncio.gather(*(act(name) for name in names))
    stored = (await client.list(core_v1.POD, "default")).items
    milli = sum(_milli(item) for item in stored)
    cpu = str(milli // 1000) if milli % 1000 == 0 else f"{milli}m"
    await used(client, lambda found: found == {"pods": str(len(stored)), "requests.cpu": cpu})


def _milli(obj: dict[str, Any]) -> int:
    text: str = obj["spec"]["containers"][0]["resources"]["requests"]["cpu"]
    return int(text.removesuffix("m"))
