"""Defaults and validation of Services and of the endpoints behind them.

Addresses and node ports are handed out where writes are serialised, in the API server; here is what can be said
without looking at other Services. Source: pkg/apis/core/v1/defaults.go, pkg/apis/core/validation, pkg/apis/discovery.
"""

from __future__ import annotations

from collections.abc import Iterable

from dabbawala.api import field_checks as check
from dabbawala.api import names, object_meta
from dabbawala.api.field_checks import Errors
from dabbawala.apimachinery import status
from dabbawala.apimachinery.meta import Object

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_AFFINITY_SECONDS = 10800


def default_service(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    kind = spec["type"]
    spec.setdefault("sessionAffinity", "None")
    if spec["sessionAffinity"] == "ClientIP":
        config = spec["sessionAffinityConfig"] = spec.get("sessionAffinityConfig") or {}
        config["clientIP"] = config.get("clientIP") or {}
        config["clientIP"].setdefault("timeoutSeconds", _AFFINITY_SECONDS)
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        if port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port.get("port")
    if kind in ("NodePort", "LoadBalancer") or spec.get("externalIPs"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def service(new: Object, old: Object | None) -> Errors:
    spec = new.get("spec") or {}
    kind = spec.get("type")
    yield from check.one_of(kind, _TYPES, "spec.type")
    yield from _ports(spec)
    yield from object_meta.labels(spec.get("selector") or {}, "spec.selector")
    yield from check.one_of(spec.get("sessionAffinity"), ("ClientIP", "None"), "spec.sessionAffinity")
    for field in ("externalTrafficPolicy", "internalTrafficPolicy"):
        if spec.get(field):
            yield from check.one_of(spec[field], ("Cluster", "Local"), f"spec.{field}")
    if kind == "ExternalName":
        yield from check.named((spec.get("externalName") or "").rstrip("."), names.dns_subdomain, "spec.externalName")
        if spec.get("clusterIP"):
            yield status.forbidden("spec.clusterIPs[0]", "may not be set for ExternalName services")
    else:
        yield from _cluster_ip(spec)
    if old is not None:
        yield from _address_stays(spec, old.get("spec") or {})


def _ports(spec: Object) -> Errors:
    ports = spec.get("ports") or ()
    if not ports and spec.get("clusterIP") != "None" and spec.get("type") != "ExternalName":
        yield status.required("spec.ports")
    listed = [(f"spec.ports[{index}]", port) for index, port in enumerate(ports)]
    yield from check.unique((f"{where}.name", port["name"]) for where, port in listed if port.get("name"))
    for where, port in listed:
        yield from _port(port, where, named=len(listed) > 1)
    seen: set[tuple[object, ...]] = set()
    for where, port in listed:
        pair = (port.get("protocol"), port.get("port"))
        if pair in seen:
            shown = {"port": port.get("port"), "protocol": port.get("protocol")}
            yield status.FieldError(where, "FieldValueDuplicate", f"Duplicate value: {check.shown(shown)}")
        seen.add(pair)


def _port(port: Object, path: str, *, named: bool) -> Errors:
    if named and not port.get("name"):
        yield status.required(f"{path}.name")
    yield from check.optionally_named(port.get("name"), names.dns_label, f"{path}.name")
    yield from check.port(port.get("port", 0), f"{path}.port")
    yield from check.one_of(port.get("protocol"), _PROTOCOLS, f"{path}.protocol")
    if port.get("targetPort") is not None:
        yield from check.port(port["targetPort"], f"{path}.targetPort")
    if port.get("nodePort"):
        yield from check.port(port["nodePort"], f"{path}.nodePort")


def _cluster_ip(spec: Object) -> Errors:
    address = spec.get("clusterIP")
    if address == "None" and spec.get("type") in ("NodePort", "LoadBalancer"):
        message = f"may not be set to 'None' for {spec['type']} services"
        yield status.invalid("spec.clusterIPs[0]", address, message)
    elif address and address != "None":
        for message in names.ip_address(address):
            yield status.invalid("spec.clusterIPs[0]", address, message)
    addresses = spec.get("clusterIPs") or ()
    if addresses and address and addresses[0] != address:
        yield check.invalid_json("spec.clusterIPs", addresses, "first value must match `clusterIP`")


def _address_stays(new: Object, old: Object) -> Errors:
    both = new.get("type") != "ExternalName" and old.get("type") != "ExternalName"
    before, after = old.get("clusterIP"), new.get("clusterIP")
    if both and before and before != after:
        yield check.invalid_json("spec.clusterIPs[0]", [after] if after else [], "may not change once set")


def default_endpoints(obj: Object) -> None:
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or ():
            port.setdefault("protocol", "TCP")


def default_endpoint_slice(obj: Object) -> None:
    obj.setdefault("endpoints", [])
    obj.setdefault("ports", [])
    obj["endpoints"] = obj["endpoints"] or []
    obj["ports"] = obj["ports"] or []
    for port in obj["ports"]:
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def endpoint_slice(new: Object, old: Object | None) -> Errors:
    yield from check.one_of(new.get("addressType"), ("IPv4", "IPv6", "FQDN"), "addressType")
    endpoints: Iterable[Object] = new.get("endpoints") or ()
    for index, endpoint in enumerate(endpoints):
        where = f"endpoints[{index}]"
        if not endpoint.get("addresses"):
            yield status.required(f"{where}.addresses", "must contain at least 1 address")
        for at, address in enumerate(endpoint.get("addresses") or ()):
            wrong = names.dns_subdomain(address) if new.get("addressType") == "FQDN" else names.ip_address(address)
            for message in wrong:
                yield status.invalid(f"{where}.addresses[{at}]", address, message)
        yield from check.optionally_named(endpoint.get("hostname"), names.dns_label, f"{where}.hostname")
    listed = [(f"ports[{index}]", port) for index, port in enumerate(new.get("ports") or ())]
    yield from check.unique((f"{where}.name", port.get("name")) for where, port in listed)
    for where, port in listed:
        yield from check.optionally_named(port.get("name"), names.dns_label, f"{where}.name")
    if old is not None:
        yield from object_meta.immutable(new.get("addressType"), old.get("addressType"), "addressType")
