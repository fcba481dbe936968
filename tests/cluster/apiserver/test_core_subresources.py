"""Binding, eviction, scale."""

from __future__ import annotations

import asyncio

import pytest

from dabbawala.api import apps_v1, core_v1, policy_v1
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import Conflict, InternalError, Invalid, NotFound, TooManyRequests
from dabbawala.client.client import Client
from dabbawala.cluster.apiserver.app import APIServer
from tests.cluster.apiserver.core_calls import MERGE, PODS, call, deployment, pod

SCALE = "/apis/apps/v1/namespaces/default/deployments/web/scale"
BINDING = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}}


async def test_a_pod_is_bound_once(server: APIServer, client: Client) -> None:
    await client.create(core_v1.POD, pod("p"))
    assert (await call(server, "POST", PODS + "/p/binding", BINDING)).status == 201
    bound = await client.get(core_v1.POD, "p", "default")
    assert bound["spec"]["nodeName"] == "n1"
    assert [(item["type"], item["status"]) for item in bound["status"]["conditions"]] == [("PodScheduled", "True")]
    again = await call(server, "POST", PODS + "/p/binding", BINDING)
    assert again.status == 409
    assert 'is already assigned to node "n1"' in again.json["message"]


async def test_of_two_schedulers_one_wins(server: APIServer, client: Client) -> None:
    await client.create(core_v1.POD, pod("p"))
    other = {**BINDING, "target": {"name": "n2"}}
    answers = await asyncio.gather(*(call(server, "POST", PODS + "/p/binding", body) for body in (BINDING, other)))
    assert sorted(answer.status for answer in answers) == [201, 409]


async def test_a_pod_on_its_way_out_is_not_bound(server: APIServer, client: Client) -> None:
    held = pod("p")
    held["metadata"]["finalizers"] = ["example.com/x"]
    await client.create(core_v1.POD, held)
    await client.delete(core_v1.POD, "p", "default")
    assert "being deleted" in (await call(server, "POST", PODS + "/p/binding", BINDING)).json["message"]


async def test_scale_shows_and_changes_the_replicas(server: APIServer, client: Client) -> None:
    await client.create(apps_v1.DEPLOYMENT, deployment("web", 2))
    await client.patch(apps_v1.DEPLOYMENT, "web", "default", {"status": {"replicas": 2}}, subresource="status")
    shown = (await call(server, "GET", SCALE)).json
    assert (shown["kind"], shown["spec"], shown["status"]) == (
        "Scale", {"replicas": 2}, {"replicas": 2, "selector": "app=web"},
    )  # fmt: skip
    patched = await call(server, "PATCH", SCALE, {"spec": {"replicas": 5}}, content_type=MERGE)
    assert patched.json["spec"]["replicas"] == 5
    after = await client.get(apps_v1.DEPLOYMENT, "web", "default")
    assert (after["spec"]["replicas"], after["metadata"]["generation"]) == (5, 2)
    stale = await call(server, "PUT", SCALE, {**shown, "spec": {"replicas": 1}})
    assert stale.status == 409
    assert (await call(server, "PUT", SCALE, {**patched.json, "spec": {"replicas": 1}})).status == 200
    with pytest.raises(Invalid):
        await client.patch(apps_v1.DEPLOYMENT, "web", "default", {"spec": {"replicas": -1}}, subresource="scale")


# Eviction --------------------------------------------------------------------------------------------------------


async def _running(client: Client, name: str, *, ready: bool = True) -> None:
    made = pod(name, nodeName="n")
    made["metadata"]["labels"] = {"app": "web"}
    await client.create(core_v1.POD, made)
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {"phase": "Running", "conditions": [condition]}
    await client.patch(core_v1.POD, name, "default", {"status": status}, subresource="status")


async def _budget(client: Client, name: str = "b", **status: int) -> None:
    body: Object = {
        "metadata": {"name": name}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    }  # fmt: skip
    await client.create(policy_v1.POD_DISRUPTION_BUDGET, body, "default")
    observed = {"observedGeneration": 1, "desiredHealthy": 1, "currentHealthy": 2, "expectedPods": 2, **status}
    await client.patch(policy_v1.POD_DISRUPTION_BUDGET, name, "default", {"status": observed}, subresource="status")


async def _is_deleting(client: Client, name: str) -> bool:
    try:
        return "deletionTimestamp" in (await client.get(core_v1.POD, name, "default"))["metadata"]
    except NotFound:
        return True


async def test_without_a_budget_a_pod_is_evicted(client: Client) -> None:
    await _running(client, "p")
    await client.evict("p", "default")
    assert await _is_deleting(client, "p")
    with pytest.raises(NotFound):
        await client.evict("none", "default")


async def test_a_budget_is_charged_and_then_refuses(client: Client) -> None:
    for name in ("p", "q"):
        await _running(client, name)
    await _budget(client, disruptionsAllowed=1)
    results = await asyncio.gather(client.evict("p", "default"), client.evict("q", "default"), return_exceptions=True)
    refused = [result for result in results if isinstance(result, TooManyRequests)]
    assert len(refused) == 1
    assert refused[0].message == "Cannot evict pod as it would violate the pod's disruption budget."
    assert refused[0].details["causes"][0]["reason"] == "DisruptionBudget"
    assert sorted([await _is_deleting(client, "p"), await _is_deleting(client, "q")]) == [False, True]
    status = (await client.get(policy_v1.POD_DISRUPTION_BUDGET, "b", "default"))["status"]
    assert status["disruptionsAllowed"] == 0
    assert len(status["disruptedPods"]) == 1


async def test_a_budget_that_has_not_been_counted_refuses(client: Client) -> None:
    await _running(client, "p")
    await _budget(client, disruptionsAllowed=1, observedGeneration=0)
    with pytest.raises(TooManyRequests) as caught:
        await client.evict("p", "default")
    assert "still being processed" in caught.value.details["causes"][0]["message"]
    assert caught.value.details["retryAfterSeconds"] == 10


async def test_a_pod_that_is_not_ready_goes_while_enough_others_are(client: Client) -> None:
    await _running(client, "p", ready=False)
    await _budget(client, disruptionsAllowed=0)
    await client.evict("p", "default")
    assert await _is_deleting(client, "p")


async def test_a_pod_under_two_budgets_cannot_be_evicted(client: Client) -> None:
    await _running(client, "p")
    await _budget(client, "one", disruptionsAllowed=1)
    await _budget(client, "two", disruptionsAllowed=1)
    with pytest.raises(InternalError, match="more than one PodDisruptionBudget"):
        await client.evict("p", "default")


async def test_a_conflict_names_the_object(client: Client) -> None:
    await _running(client, "p")
    with pytest.raises(Conflict, match='Operation cannot be fulfilled on pods "p"'):
        await client.delete(core_v1.POD, "p", "default", uid="other")
