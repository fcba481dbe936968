"""Endpoints say what the slices of a Service say, for the clients that still read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from dabbawala.api import core_v1
from dabbawala.apimachinery import clock
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.controllers.endpoints import plan as endpoints
from dabbawala.reconcile.plan import Create, Delete, Patch, Plan
from tests.cluster.controllers.conftest import Cluster

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PORTS = [{"name": "http", "port": 8080, "protocol": "TCP"}]


def service(**spec: Any) -> Object:
    metadata = {"name": "web", "namespace": "shop", "labels": {"team": "a"}}
    return {"metadata": metadata, "spec": {"selector": {"app": "web"}, "clusterIP": "10.96.0.7", **spec}}


def endpoint(number: int, *, ready: bool = True, terminating: bool = False) -> Object:
    return {
        "addresses": [f"10.42.{number // 250}.{number % 250}"],
        "conditions": {"ready": ready, "serving": True, "terminating": terminating},
        "targetRef": {"kind": "Pod", "namespace": "shop", "name": f"web-{number}", "uid": f"u{number}"},
        "nodeName": "n1",
        "zone": "a",
    }


def piece(*found: Object, ports: list[Object] | None = None, family: str = "IPv4") -> Object:
    metadata = {"name": "web-1", "namespace": "shop"}
    return {"metadata": metadata, "addressType": family, "ports": ports or PORTS, "endpoints": list(found)}


def made(plan: Plan) -> Object:
    (action,) = plan.actions
    assert isinstance(action, Create)
    return action.object


def test_addresses_are_grouped_by_ports_and_readiness_and_leaving_pods_are_left_out() -> None:
    other = [{"name": "", "port": 9090, "protocol": "TCP"}]
    slices = [
        piece(endpoint(1), endpoint(2, ready=False), endpoint(3, ready=False, terminating=True)),
        piece(endpoint(4), ports=other),
        piece(endpoint(5), family="IPv6"),
    ]
    found = made(endpoints.plan(service(), slices, None, NOW))
    assert found["metadata"]["labels"] == {"team": "a", endpoints.MANAGED_BY: endpoints.MANAGER}
    second, first = found["subsets"]
    assert [item["ip"] for item in first["addresses"]] == ["10.42.0.1"]
    assert set(first["addresses"][0]) == {"ip", "nodeName", "targetRef"}
    assert [item["ip"] for item in first["notReadyAddresses"]] == ["10.42.0.2"]
    assert first["ports"] == PORTS
    assert second["ports"] == [{"port": 9090, "protocol": "TCP"}]


def test_a_service_that_publishes_all_addresses_has_the_leaving_ones_too() -> None:
    slices = [piece(endpoint(1, ready=True, terminating=True))]
    found = made(endpoints.plan(service(publishNotReadyAddresses=True), slices, None, NOW))
    assert [item["ip"] for item in found["subsets"][0]["addresses"]] == ["10.42.0.1"]


def test_a_thousand_addresses_are_the_most_and_ready_ones_go_first() -> None:
    slices = [piece(*(endpoint(number, ready=number % 2 == 0) for number in range(1500)))]
    found = made(endpoints.plan(service(), slices, None, NOW))
    (subset,) = found["subsets"]
    assert (len(subset["addresses"]), len(subset["notReadyAddresses"])) == (750, 250)
    assert found["metadata"]["annotations"][endpoints.OVER_CAPACITY] == "truncated"


def test_nothing_is_written_when_nothing_changed_and_large_ones_are_written_once_in_a_while() -> None:
    slices = [piece(*(endpoint(number) for number in range(200)))]
    found = made(endpoints.plan(service(), slices, None, NOW))
    later = NOW + timedelta(seconds=5)
    assert endpoints.plan(service(), slices, found, later) == Plan()
    fewer = [piece(*(endpoint(number) for number in range(199)))]
    soon = endpoints.plan(service(), fewer, found, NOW + timedelta(milliseconds=400))
    assert soon == Plan((), timedelta(milliseconds=600))
    (patch,) = endpoints.plan(service(), fewer, found, later).actions
    assert isinstance(patch, Patch)
    assert len(patch.body["subsets"][0]["addresses"]) == 199
    assert patch.body["metadata"]["annotations"] == {endpoints.CHANGED: clock.format_micro_time(later)}


def test_endpoints_of_a_users_own_making_are_left_alone() -> None:
    own = {
        "metadata": {"name": "web", "namespace": "shop", "uid": "e"},
        "subsets": [{"addresses": [{"ip": "1.2.3.4"}]}],
    }
    assert endpoints.plan(service(selector=None), [], own, NOW) == Plan()
    assert endpoints.forget(own) == Plan()
    ours = {**own, "metadata": {**own["metadata"], "labels": {endpoints.MANAGED_BY: endpoints.MANAGER}}}
    (gone,) = endpoints.forget(ours).actions
    assert isinstance(gone, Delete)


async def test_endpoints_follow_the_pods_and_go_with_the_service(cluster: Cluster) -> None:
    ports = [{"port": 80, "targetPort": 8080}]
    await cluster.create(core_v1.SERVICE, "web", spec={"selector": {"app": "web"}, "ports": ports})
    spec = {"containers": [{"name": "c", "image": "web"}]}
    await cluster.create(core_v1.POD, "one", metadata={"labels": {"app": "web"}}, spec=spec)

    async def shown() -> Object | None:
        found = await cluster.get(core_v1.ENDPOINTS, "web")
        subsets = (found or {}).get("subsets") or []
        return subsets[0] if subsets and subsets[0].get("addresses") else None

    subset = await cluster.until("the pod is an address", shown)
    assert [item["targetRef"]["name"] for item in subset["addresses"]] == ["one"]
    assert subset["ports"] == [{"port": 8080, "protocol": "TCP"}]
    await cluster.client.delete(core_v1.SERVICE, "web", "default")

    async def gone() -> bool:
        return await cluster.get(core_v1.ENDPOINTS, "web") is None

    await cluster.until("the Endpoints are gone", gone)
