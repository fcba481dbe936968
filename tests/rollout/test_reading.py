"""One look through the API sees what the controller sees, and says what it may not see."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dabbawala.api import apps_v1, argoproj_v1alpha1, core_v1, istio_networking_v1, rbac_v1
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.client.client import Client
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.rollout import reading
from tests.cluster.apiserver.guarded import guarded_server, user
from tests.rollout.given import canary, rollout

ROUTE, RULE = ObjectKey("mesh", "web"), ObjectKey("mesh", "sides")


def routed() -> Object:
    istio = {"virtualService": {"name": str(ROUTE), "routes": ["primary"]}}
    istio["destinationRule"] = {"name": str(RULE), "canarySubsetName": "canary", "stableSubsetName": "stable"}
    return rollout(canary({"setWeight": 20}, trafficRouting={"istio": istio}))


def deployment(image: str) -> Object:
    template = {
        "metadata": {"labels": {"app": "it"}},
        "spec": {"containers": [{"name": "it", "image": image}]},
    }
    return {
        "metadata": {"name": "steering"},
        "spec": {"selector": {"matchLabels": {"app": "it"}}, "template": template},
    }


@pytest.fixture
async def server() -> AsyncIterator[APIServer]:
    async with guarded_server(VirtualClock()) as server:
        client = server.client()
        for name in ("shop", "mesh", "argo"):
            await client.create(core_v1.NAMESPACE, {"metadata": {"name": name}})
        body = {key: value for key, value in routed().items() if key != "status"}
        await client.create(argoproj_v1alpha1.ROLLOUT, body, "shop")
        http = [{"name": "primary", "route": [{"destination": {"host": "web"}}]}]
        route = {"metadata": {"name": "web"}, "spec": {"hosts": ["web"], "http": http}}
        await client.create(istio_networking_v1.VIRTUAL_SERVICE, route, "mesh")
        rule = {"metadata": {"name": "sides"}, "spec": {"host": "web.shop"}}
        await client.create(istio_networking_v1.DESTINATION_RULE, rule, "mesh")
        made = await client.create(apps_v1.DEPLOYMENT, deployment("quay.io/argoproj/argo-rollouts:v1.8.0"), "argo")
        status = {"replicas": 1, "readyReplicas": 1}
        await client.update(apps_v1.DEPLOYMENT, made | {"status": status}, subresource="status")
        yield server


async def of_one_namespace(server: APIServer) -> Client:
    """Somebody who may do everything in the Rollout's own namespace, and nothing elsewhere."""
    role = {"metadata": {"name": "all"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}
    await server.client().create(rbac_v1.ROLE, role, "shop")
    binding = {
        "metadata": {"name": "all"},
        "roleRef": {"apiGroup": rbac_v1.ROLE.group, "kind": "Role", "name": "all"},
        "subjects": [{"apiGroup": rbac_v1.ROLE.group, "kind": "User", "name": "shopkeeper"}],
    }
    await server.client().create(rbac_v1.ROLE_BINDING, binding, "shop")
    return server.client(user("shopkeeper"))


async def test_a_route_and_a_rule_of_another_namespace_are_seen(server: APIServer) -> None:
    _, observed, snapshot = await reading.look(server.client(), "web", "shop")
    assert set(observed.virtual_services) == {ROUTE}
    assert set(observed.destination_rules) == {RULE}
    assert snapshot.hidden == []


async def test_an_argo_controller_of_another_namespace_is_seen_by_who_looks_everywhere(server: APIServer) -> None:
    _, observed, _ = await reading.look(server.client(), "web", "shop", everywhere=True)
    assert "the Argo Rollouts controller argo/steering owns this Rollout" in observed.claimed_by


async def test_what_may_not_be_seen_is_said(server: APIServer) -> None:
    client = await of_one_namespace(server)
    _, observed, snapshot = await reading.look(client, "web", "shop", everywhere=True)
    assert (dict(observed.virtual_services), observed.claimed_by) == ({}, "")
    assert sorted(snapshot.hidden) == [
        "you may not get DestinationRule mesh/sides",
        "you may not get VirtualService mesh/web",
        "you may not list the clusteranalysistemplates",
        "you may not list the deployments of all namespaces",
    ]
