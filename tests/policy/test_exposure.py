"""The ways in from outside, by chain, and what NetworkPolicy leaves of them."""

from __future__ import annotations

from typing import Any

import pytest

from dabbawala.policy.exposure import Exposure
from dabbawala.policy.exposure_routes import exposures
from dabbawala.policy.network import Graph
from dabbawala.policy.services import Backends, reached
from tests.policy.world import Object, key, matching, metadata, pod, policy, service

PORTS = [{"name": "http", "port": 80, "targetPort": "http"}]
WEB = pod("shop/web", "http:8080", app="web")
CONTROLLER = pod("edge/nginx", "https:443", **{"app.kubernetes.io/name": "ingress-nginx"})
SERVICE = service("shop/web", PORTS, selector={"app": "web"})
NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}
PUBLIC_NODE = {**NODE, "status": {"addresses": [{"type": "ExternalIP", "address": "203.0.113.9"}]}}
FRONT = service(
    "edge/nginx", [{"port": 443}], selector={"app.kubernetes.io/name": "ingress-nginx"}, type="LoadBalancer",
    externalTrafficPolicy="Local",
)  # fmt: skip


def found(*objects: Object) -> list[Exposure]:
    policies = [o for o in objects if o["kind"] == "NetworkPolicy"]
    graph = Graph([], [o for o in objects if o["kind"] == "Pod"], policies)
    return exposures(objects, graph)


def ingress(where: str, backend: str, **spec: Any) -> Object:
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": backend, "port": {"name": "http"}}}}
    rules = [{"host": "shop.example.com", "http": {"paths": [path]}}]
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress"}
    return {**kind, "metadata": metadata(where), "spec": {"rules": rules, **spec}}


def balanced(**spec: Any) -> Object:
    return service("shop/web", PORTS, selector={"app": "web"}, type="LoadBalancer", **spec)


def test_a_load_balancer_leads_in_from_the_internet() -> None:
    [way] = found(WEB, balanced())
    assert (way.public, way.port, way.open) == (True, 8080, True)
    assert way.sentence == "from the internet: load balancer → Service shop/web:80 → pod shop/web TCP 8080"


@pytest.mark.parametrize(
    ("annotations", "spec", "public"),
    [
        ({"networking.gke.io/load-balancer-type": "Internal"}, {}, False),
        ({"service.beta.kubernetes.io/aws-load-balancer-scheme": "internet-facing"}, {}, True),
        ({}, {"loadBalancerSourceRanges": ["10.0.0.0/8"]}, False),
        ({}, {"loadBalancerSourceRanges": ["10.0.0.0/8", "203.0.113.0/24"]}, True),
        ({}, {"loadBalancerSourceRanges": ["0.0.0.0/0"]}, True),
    ],
)
def test_an_internal_load_balancer_is_not_public(annotations: Object, spec: Object, public: bool) -> None:
    front = balanced(**spec)
    front["metadata"]["annotations"] = annotations
    [way] = found(WEB, front)
    assert way.public is public


@pytest.mark.parametrize(
    ("block", "ranges", "stopped"),
    [
        ({"cidr": "0.0.0.0/0"}, None, False),
        ({"cidr": "10.0.0.0/8"}, None, True),
        ({"cidr": "0.0.0.0/0", "except": ["0.0.0.0/1", "128.0.0.0/1"]}, None, True),
        ({"cidr": "0.0.0.0/0", "except": ["0.0.0.0/1"]}, None, False),
        ({"cidr": "203.0.113.0/28"}, ["203.0.113.0/24"], False),
        ({"cidr": "198.51.100.0/24"}, ["203.0.113.0/24"], True),
    ],
)
def test_a_policy_stops_those_that_it_does_not_admit(block: Object, ranges: list[str] | None, stopped: bool) -> None:
    fence = policy("shop/fence", {"ingress": [{"from": [{"ipBlock": block}], "ports": [{"port": 8080}]}]})
    [way] = found(WEB, balanced(**({"loadBalancerSourceRanges": ranges} if ranges else {})), fence)
    assert bool(way.stopped) is stopped
    if stopped:
        assert way.stopped.startswith("no NetworkPolicy that isolates pod shop/web admits ")
        assert way.caution.startswith("externalTrafficPolicy is Cluster")


def test_a_policy_that_admits_another_port_stops_this_one() -> None:
    [way] = found(WEB, balanced(), policy("shop/fence", {"ingress": [{"ports": [{"port": 80}]}]}))
    assert not way.open


def test_node_ports_host_ports_and_the_host_network_are_as_public_as_the_nodes() -> None:
    by_port = service(
        "shop/web", [{"port": 80, "nodePort": 30080, "targetPort": 8080}], selector={"app": "web"}, type="NodePort"
    )
    agent = pod("ops/agent", "metrics:9100@host")
    opened = pod("ops/opened", "dns:53/UDP")
    opened["spec"]["containers"][0]["ports"][0]["hostPort"] = 53
    for node, public in ((NODE, False), (PUBLIC_NODE, True)):
        ways = found(WEB, by_port, agent, opened, node)
        assert [(way.means, str(way.pod), way.port, way.protocol, way.public) for way in ways] == [
            ("HostNetwork", "ops/agent", 9100, "TCP", public),
            ("HostPort", "ops/opened", 53, "UDP", public),
            ("NodePort", "shop/web", 8080, "TCP", public),
        ]
    assert ways[-1].chain == ("node port 30080", "Service shop/web:80")


def test_an_ingress_is_as_public_as_its_controller() -> None:
    ways = [way for way in found(WEB, SERVICE, CONTROLLER, FRONT, ingress("shop/web", "web")) if way.means == "Ingress"]
    [way] = ways
    assert (way.public, way.hosts, way.port) == (True, ("shop.example.com",), 8080)
    assert way.chain == (
        "load balancer", "Service edge/nginx:443", "pod edge/nginx", "Ingress shop/web", "Service shop/web:80",
    )  # fmt: skip
    [hidden] = found(WEB, SERVICE, CONTROLLER, ingress("shop/web", "web"))
    assert not hidden.public


def test_an_ingress_whose_controller_is_elsewhere_is_public_unless_it_says_otherwise() -> None:
    [way] = found(WEB, SERVICE, ingress("shop/web", "web", ingressClassName="gce"))
    assert way.public
    [way] = found(WEB, SERVICE, ingress("shop/web", "web", ingressClassName="alb"))
    assert not way.public
    facing = ingress("shop/web", "web", ingressClassName="alb")
    facing["metadata"]["annotations"] = {"alb.ingress.kubernetes.io/scheme": "internet-facing"}
    [way] = found(WEB, SERVICE, facing)
    assert way.public


def test_a_policy_that_keeps_the_proxy_out_stops_its_way() -> None:
    fence = policy("shop/fence", {"ingress": [{"from": [{"podSelector": {}}]}]})
    objects = (WEB, SERVICE, CONTROLLER, FRONT, ingress("shop/web", "web"))
    [way] = [way for way in found(*objects, fence) if way.means == "Ingress"]
    assert "pod edge/nginx cannot reach pod shop/web on TCP 8080" in way.stopped
    door = policy("shop/door", {"ingress": [{"from": [{"namespaceSelector": {}}]}]})
    [way] = [way for way in found(*objects, fence, door) if way.means == "Ingress"]
    assert way.open


def test_gateway_routes_and_virtual_services_lead_in_too() -> None:
    proxy = pod(
        "edge/envoy", "https:443", **{"gateway.networking.k8s.io/gateway-name": "main", "istio": "ingressgateway"}
    )
    front = service("edge/envoy", [{"port": 443}], selector={"istio": "ingressgateway"}, type="LoadBalancer")
    gateway = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": metadata("edge/main"),
        "spec": {},
    }
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata("shop/web"),
        "spec": {
            "parentRefs": [{"name": "main", "namespace": "edge"}], "hostnames": ["a.example.com"],
            "rules": [{"backendRefs": [{"name": "web", "port": 80}]}],
        },
    }  # fmt: skip
    mesh = {
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": metadata("edge/mesh"),
        "spec": {"selector": {"istio": "ingressgateway"}},
    }  # fmt: skip
    destination = {"destination": {"host": "web.shop.svc.cluster.local", "port": {"number": 80}}}
    virtual = {
        "apiVersion": "networking.istio.io/v1beta1", "kind": "VirtualService", "metadata": metadata("shop/web"),
        "spec": {"hosts": ["b.example.com"], "gateways": ["edge/mesh", "mesh"], "http": [{"route": [destination]}]},
    }  # fmt: skip
    ways = {
        way.means: way
        for way in found(WEB, SERVICE, proxy, front, gateway, route, mesh, virtual)
        if way.pod == key("shop/web")
    }
    assert {means: way.hosts for means, way in ways.items()} == {
        "Gateway": ("a.example.com",),
        "VirtualService": ("b.example.com",),
    }
    assert all(way.public and way.port == 8080 for way in ways.values())
    assert ways["Gateway"].chain[-2:] == ("HTTPRoute shop/web", "Service shop/web:80")


def test_what_nothing_leads_to_is_not_exposed() -> None:
    assert found(WEB, SERVICE, NODE) == []


def test_a_service_finds_the_named_port_of_each_of_its_pods() -> None:
    other = pod("shop/other", "http:9999", app="web")
    without = pod("shop/without", app="web")
    ended = pod("shop/ended", "http:1", app="web")
    ended["status"]["phase"] = "Failed"
    backends = Backends([SERVICE], [WEB, other, without, ended]).of(key("shop/web"), "http")
    assert [(str(backend.pod), backend.port) for backend in backends] == [("shop/web", 8080), ("shop/other", 9999)]
    assert Backends([SERVICE], [WEB]).of(key("shop/web"), 81) == []
    world = Graph([], [WEB, other], [policy("shop/deny", {}, app="web")])
    assert reached(world, "203.0.113.1", backends) == []


def test_a_service_without_a_selector_has_what_its_endpoint_slices_say() -> None:
    bare = service("shop/bare", [{"name": "http", "port": 80}])
    labelled = {**metadata("shop/bare-1", **{"kubernetes.io/service-name": "bare"})}
    endpoints = [{"targetRef": {"kind": "Pod", "name": "web"}}, {"addresses": ["203.0.113.1"]}]
    slices = [{"metadata": labelled, "ports": [{"name": "http", "port": 8080}], "endpoints": endpoints}]
    [backend] = Backends([bare], [WEB], slices).of(key("shop/bare"))
    assert (str(backend.pod), backend.service_port, backend.port) == ("shop/web", 80, 8080)


def test_labels_of_a_policy_decide_for_the_pods_behind_a_service() -> None:
    client = pod("shop/client", app="client")
    world = Graph(
        [],
        [WEB, client],
        [policy("shop/p", {"ingress": [{"from": [{"podSelector": matching(app="client")}]}]}, app="web")],
    )
    backends = Backends([SERVICE], [WEB, client]).of(key("shop/web"), 80)
    assert reached(world, key("shop/client"), backends) == backends
