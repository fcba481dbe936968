"""Which DestinationRule speaks for a Service, what its subsets select, and how its traffic policy shapes a cluster.

Of several rules for one host the one in the Service's own namespace wins, then the oldest. Circuit breakers stand far
above ordinary load unless a rule asks for less: a proxy that turns requests away because of its own defaults would be
counted against the service. Source: Istio DestinationRule v1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.dataplane import durations, hosts, protocols
from dabbawala.cluster.dataplane.resources import Resource, typed
from dabbawala.cluster.dataplane.views import Service

CONNECT_SECONDS = 10.0
"""As in Istio. A program too busy to accept may hear the kernel's third or fourth knock, after 3 and 7 s; and with one
connection that is given up Envoy fails every request that waits for one to the same endpoint."""

BREAKER_LIMIT = 1_000_000
"""Connections, waiting requests and requests under way to one destination; far above what one machine can carry."""

UPSTREAM_IDLE = "1s"
"""An idle connection is closed by us before the program behind it may close it (the shortest keep-alive in common use
is gunicorn's 2 s): a request sent on a connection that is just being closed is lost, and we never send one twice."""

HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
POLICIES = {
    "ROUND_ROBIN": "ROUND_ROBIN",
    "LEAST_REQUEST": "LEAST_REQUEST",
    "LEAST_CONN": "LEAST_REQUEST",
    "RANDOM": "RANDOM",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule of a Service: labels by subset, and policies; the empty rule when there is none."""

    key: ObjectKey | None = None
    policy: Mapping[str, Any] = field(default_factory=dict)
    subsets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def labels(self, subset: str) -> Mapping[str, str]:
        return self.subsets[subset].get("labels") or {}

    def policy_for(self, subset: str, port: int) -> Mapping[str, Any]:
        """Settings of the subset over those of its port over those of the whole rule, as Istio merges them."""
        own = self.subsets.get(subset, {}).get("trafficPolicy") or {}
        merged = {**self.policy, **own}
        for policy in (self.policy, own):
            for settings in policy.get("portLevelSettings") or ():
                if (settings.get("port") or {}).get("number") == port:
                    merged.update({name: value for name, value in settings.items() if name != "port"})
        return merged


NO_RULE = Rule()


def winners(rules: Iterable[Object]) -> dict[ObjectKey, Rule]:
    """The rule of each Service that has one, of rules in the order in which they win."""
    found: dict[ObjectKey, Rule] = {}
    elsewhere: list[tuple[ObjectKey, Object]] = []
    for rule in rules:
        service = hosts.resolve(_host(rule), meta.namespace(rule))
        if service is not None and service.namespace == meta.namespace(rule):
            found.setdefault(service, _rule(rule))
        elif service is not None:
            elsewhere.append((service, rule))
    for service, rule in elsewhere:
        found.setdefault(service, _rule(rule))
    return found


def _rule(rule: Object) -> Rule:
    spec = rule.get("spec") or {}
    subsets = {str(subset["name"]): subset for subset in spec.get("subsets") or () if subset.get("name")}
    return Rule(meta.key(rule), spec.get("trafficPolicy") or {}, subsets)


def _host(rule: Object) -> str:
    return str((rule.get("spec") or {}).get("host") or "")


def hash_policies(policy: Mapping[str, Any], service: Service) -> list[Resource]:
    """What a request's endpoint depends on, when it must keep going to the same one."""
    wanted = (policy.get("loadBalancer") or {}).get("consistentHash") or {}
    if wanted.get("httpHeaderName"):
        return [{"header": {"header_name": wanted["httpHeaderName"]}}]
    if wanted.get("httpQueryParameterName"):
        return [{"query_parameter": {"name": wanted["httpQueryParameterName"]}}]
    if wanted.get("httpCookie"):
        cookie = wanted["httpCookie"]
        shown = {key: cookie[key] for key in ("name", "path") if cookie.get(key)}
        if cookie.get("ttl") is not None:
            shown["ttl"] = durations.protobuf(cookie["ttl"], "0s")
        return [{"cookie": shown}]
    if wanted.get("useSourceIp") or service.client_affinity:
        return [{"connection_properties": {"source_ip": True}}]
    return []


def shape(cluster: Resource, service: Service, policy: Mapping[str, Any], spoken: protocols.Protocol) -> Resource:
    """The cluster with its load balancing, limits, ejection and upstream protocol."""
    pool = policy.get("connectionPool") or {}
    tcp, http = pool.get("tcp") or {}, pool.get("http") or {}
    hashed = bool(hash_policies(policy, service))
    balancer = POLICIES.get(str((policy.get("loadBalancer") or {}).get("simple") or ""), "ROUND_ROBIN")
    shaped = {
        **cluster,
        "connect_timeout": durations.protobuf(tcp.get("connectTimeout"), f"{CONNECT_SECONDS:g}s"),
        "lb_policy": "RING_HASH" if hashed else balancer,
        "circuit_breakers": {"thresholds": [_thresholds(tcp, http)]},
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
    }
    if spoken is not protocols.Protocol.UDP:
        options = {HTTP_OPTIONS: _http_options(http, spoken)}
        shaped["typed_extension_protocol_options"] = options
    if policy.get("outlierDetection"):
        shaped["outlier_detection"] = _ejection(policy["outlierDetection"])
    return shaped


def _thresholds(tcp: Mapping[str, Any], http: Mapping[str, Any]) -> Resource:
    return {
        "max_connections": tcp.get("maxConnections") or BREAKER_LIMIT,
        "max_pending_requests": http.get("http1MaxPendingRequests") or BREAKER_LIMIT,
        "max_requests": http.get("http2MaxRequests") or BREAKER_LIMIT,
        "max_retries": http.get("maxRetries") or BREAKER_LIMIT,
    }


def _http_options(http: Mapping[str, Any], spoken: protocols.Protocol) -> Resource:
    common: Resource = {"idle_timeout": durations.protobuf(http.get("idleTimeout"), UPSTREAM_IDLE)}
    if http.get("maxRequestsPerConnection"):
        common["max_requests_per_connection"] = http["maxRequestsPerConnection"]
    match spoken:
        case protocols.Protocol.HTTP2:
            choice: Resource = {"explicit_http_config": {"http2_protocol_options": {}}}
        case protocols.Protocol.HTTP1:
            choice = {"explicit_http_config": {"http_protocol_options": {}}}
        case _:
            choice = {"use_downstream_protocol_config": {"http_protocol_options": {}, "http2_protocol_options": {}}}
    return typed(HTTP_OPTIONS, common_http_protocol_options=common, **choice)


def _ejection(wanted: Mapping[str, Any]) -> Resource:
    """Passive health checks. Only what the rule asks for is enforced; Envoy's other detectors stay off."""
    errors = wanted.get("consecutive5xxErrors", wanted.get("consecutiveErrors", 5))
    gateway = wanted.get("consecutiveGatewayErrors") or 0
    return {
        "consecutive_5xx": errors or 0,
        "enforcing_consecutive_5xx": 100 if errors else 0,
        "consecutive_gateway_failure": gateway or 5,
        "enforcing_consecutive_gateway_failure": 100 if gateway else 0,
        "enforcing_success_rate": 0,
        "interval": durations.protobuf(wanted.get("interval"), "10s"),
        "base_ejection_time": durations.protobuf(wanted.get("baseEjectionTime"), "30s"),
        "max_ejection_percent": wanted.get("maxEjectionPercent", 10),
    }


def unsupported(rule: Object) -> Iterable[str]:
    """Fields that are not carried out, by path."""
    spec = rule.get("spec") or {}
    policies = [("spec.trafficPolicy", spec.get("trafficPolicy") or {})]
    for index, subset in enumerate(spec.get("subsets") or ()):
        policies.append((f"spec.subsets[{index}].trafficPolicy", subset.get("trafficPolicy") or {}))
    for path, policy in policies:
        if (policy.get("tls") or {}).get("mode") not in (None, "DISABLE"):
            yield f"{path}.tls"
        for field_ in ("tunnel", "proxyProtocol"):
            if policy.get(field_):
                yield f"{path}.{field_}"
        if (policy.get("loadBalancer") or {}).get("simple") == "PASSTHROUGH":
            yield f"{path}.loadBalancer.simple: PASSTHROUGH"
