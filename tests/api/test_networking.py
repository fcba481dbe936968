"""Network policies, ingresses and their classes: defaults, refusals, tables."""

from __future__ import annotations

from typing import Any

import pytest

from dabbawala.api import networking_v1
from tests.api.kind_calls import prepared, row, wrong


def policy(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": "shop"}, "spec": {"podSelector": {}, **spec}}


def ingress(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "i", "namespace": "shop"}, "spec": spec}


def routed(**path: Any) -> dict[str, Any]:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    return ingress(rules=[{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend, **path}]}}])


@pytest.mark.parametrize(
    ("spec", "types"),
    [
        ({}, ["Ingress"]),
        ({"ingress": [{}]}, ["Ingress"]),
        ({"egress": []}, ["Ingress"]),
        ({"egress": [{}]}, ["Ingress", "Egress"]),
        ({"egress": [{}], "policyTypes": ["Egress"]}, ["Egress"]),
    ],
)
def test_a_policy_restricts_egress_only_when_it_says_something_of_it(spec: dict[str, Any], types: list[str]) -> None:
    assert prepared(networking_v1.NETWORK_POLICY, policy(**spec))["spec"]["policyTypes"] == types


def test_ports_of_a_policy_are_tcp_and_its_pods_are_all_unless_it_says_more() -> None:
    spec = {"ingress": [{"ports": [{"port": 80}]}], "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]}
    made = prepared(networking_v1.NETWORK_POLICY, {"metadata": {"name": "p"}, "spec": spec})["spec"]
    assert made["ingress"] == [{"ports": [{"port": 80, "protocol": "TCP"}]}]
    assert made["egress"] == [{"ports": [{"port": 53, "protocol": "UDP"}]}]
    assert made["podSelector"] == {}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"ingress": [{"from": [{}]}]}, "spec.ingress[0].from[0]: Required value: must specify a peer"),
        ({"egress": [{"to": [{"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}]}]},
         "spec.egress[0].to[0]: Forbidden: may not specify both ipBlock and another peer"),
        ({"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0"}}]}]},
         'spec.egress[0].to[0].ipBlock.cidr: Invalid value: "10.0.0.0": must be a valid CIDR value, '
         "(e.g. 10.9.8.0/24 or 2001:db8::/64)"),
        ({"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}}]}]},
         'spec.egress[0].to[0].ipBlock.except[0]: Invalid value: "10.0.0.0/8": must be a strict subset of `cidr`'),
        ({"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["fd00::/64"]}}]}]},
         'spec.egress[0].to[0].ipBlock.except[0]: Invalid value: "fd00::/64": must be a strict subset of `cidr`'),
        ({"ingress": [{"ports": [{"port": 80, "endPort": 79}]}]},
         "spec.ingress[0].ports[0].endPort: Invalid value: 79: must be greater than or equal to `port`"),
        ({"ingress": [{"ports": [{"port": "http", "endPort": 79}]}]},
         "spec.ingress[0].ports[0].endPort: Invalid value: 79: may not be specified when `port` is non-numeric"),
        ({"ingress": [{"ports": [{"endPort": 79}]}]},
         "spec.ingress[0].ports[0].endPort: Invalid value: 79: may not be specified when `port` is not specified"),
        ({"ingress": [{"ports": [{"protocol": "ICMP"}]}]},
         'spec.ingress[0].ports[0].protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP"'),
        ({"policyTypes": ["Ingres"]},
         'spec.policyTypes[0]: Unsupported value: "Ingres": supported values: "Ingress", "Egress"'),
        ({"policyTypes": ["Ingress", "Egress", "Ingress"]},
         'spec.policyTypes: Invalid value: ["Ingress","Egress","Ingress"]: may not specify more than two policyTypes'),
    ],
)  # fmt: skip
def test_refuses_a_bad_policy(spec: dict[str, Any], expected: str) -> None:
    assert wrong(networking_v1.NETWORK_POLICY, policy(**spec)) == [expected]


def test_a_policy_for_all_pods_shows_none() -> None:
    shown = row(networking_v1.NETWORK_POLICY, prepared(networking_v1.NETWORK_POLICY, policy()))
    assert shown == ["p", "<none>", "<unknown>"]
    assert row(networking_v1.NETWORK_POLICY, policy(podSelector={"matchLabels": {"app": "web"}}))[1] == "app=web"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ({"pathType": None}, "pathType: Required value: pathType must be specified"),
        ({"pathType": "Regex"},
         'pathType: Unsupported value: "Regex": supported values: "Exact", "ImplementationSpecific", "Prefix"'),
        ({"path": "a"}, 'path: Invalid value: "a": must be an absolute path'),
        ({"path": "/a//b"}, "path: Invalid value: \"/a//b\": must not contain '//'"),
        ({"path": "/a/.."}, "path: Invalid value: \"/a/..\": cannot end with '/..'"),
        ({"backend": {}}, 'backend: Invalid value: "": resource or service backend is required'),
        ({"backend": {"service": {"name": "web"}}}, "backend: Required value: port name or number is required"),
        ({"backend": {"service": {"name": "web", "port": {"name": "a", "number": 1}}}},
         'backend: Invalid value: "": cannot set both port name & port number'),
        ({"backend": {"service": {"port": {"number": 1}}}}, "backend.service.name: Required value"),
        ({"backend": {"resource": {"kind": "Bucket"}}}, "backend.resource.name: Required value"),
    ],
)  # fmt: skip
def test_refuses_a_bad_route(path: dict[str, Any], expected: str) -> None:
    assert wrong(networking_v1.INGRESS, routed(**path)) == [f"spec.rules[0].http.paths[0].{expected}"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"),
        ({"rules": [{"host": "10.0.0.1"}]},
         'spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address'),
        ({"rules": [{"host": "*.*.in"}]}, 'spec.rules[0].host: Invalid value: "*.*.in": a wildcard DNS-1123 subdomain '
         "must start with '*.'"),
        ({"rules": [{"http": {"paths": []}}]}, "spec.rules[0].http.paths: Required value"),
        ({"rules": [{}], "tls": [{"hosts": ["A.in"]}]}, 'spec.tls[0].hosts[0]: Invalid value: "A.in": a lowercase'),
    ],
)  # fmt: skip
def test_refuses_a_bad_ingress(spec: dict[str, Any], expected: str) -> None:
    [message] = wrong(networking_v1.INGRESS, ingress(**spec))
    assert message.startswith(expected)


def test_the_class_in_an_annotation_is_the_class_in_the_spec() -> None:
    obj = routed()
    obj["spec"]["ingressClassName"] = "envoy"
    obj["metadata"]["annotations"] = {"kubernetes.io/ingress.class": "nginx"}
    [message] = wrong(networking_v1.INGRESS, obj)
    assert message.startswith('annotations.kubernetes.io/ingress.class: Invalid value: "nginx": must match')
    assert wrong(networking_v1.INGRESS, obj, prepared(networking_v1.INGRESS, obj)) == []


def test_an_ingress_shows_its_class_hosts_address_and_ports() -> None:
    obj = ingress(
        ingressClassName="envoy", tls=[{"hosts": ["a.in"]}], rules=[{"host": f"{name}.in"} for name in "abcd"]
    )
    obj["status"] = {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}, {"hostname": "edge.in"}]}}
    shown = row(networking_v1.INGRESS, obj)
    assert shown[1:5] == ["envoy", "a.in,b.in,c.in + 1 more...", "127.0.0.1,edge.in", "80, 443"]
    assert row(networking_v1.INGRESS, routed())[1:5] == ["<none>", "*", "", "80"]


def test_an_ingress_starts_without_an_address() -> None:
    forged = {**routed(), "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}}
    assert prepared(networking_v1.INGRESS, forged)["status"] == {"loadBalancer": {}}


def test_a_class_has_a_controller_that_stays_and_parameters_for_the_whole_cluster() -> None:
    parameters = {"apiGroup": "x.io", "kind": "Settings", "name": "usual"}
    obj = {"metadata": {"name": "c"}, "spec": {"controller": "x.io/gate", "parameters": parameters}}
    made = prepared(networking_v1.INGRESS_CLASS, obj)
    assert made["spec"]["parameters"]["scope"] == "Cluster"
    assert row(networking_v1.INGRESS_CLASS, made)[1:3] == ["x.io/gate", "Settings.x.io/usual"]
    other = {"metadata": {"name": "c"}, "spec": {"controller": "y.io/gate"}}
    expected = 'spec.controller: Invalid value: "y.io/gate": field is immutable'
    assert wrong(networking_v1.INGRESS_CLASS, other, made) == [expected]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, "spec.controller: Required value"),
        ({"controller": "gate"},
         'spec.controller: Invalid value: "gate": must be a domain-prefixed path (such as "acme.io/foo")'),
        ({"controller": "x.io/g", "parameters": {"kind": "K", "name": "n", "scope": "Namespace"}},
         "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"),
        ({"controller": "x.io/g", "parameters": {"kind": "K", "name": "n", "namespace": "a"}},
         "spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"),
    ],
)  # fmt: skip
def test_refuses_a_bad_class(spec: dict[str, Any], expected: str) -> None:
    assert wrong(networking_v1.INGRESS_CLASS, {"metadata": {"name": "c"}, "spec": spec}) == [expected]
