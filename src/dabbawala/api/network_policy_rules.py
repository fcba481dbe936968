"""Defaults and validation of NetworkPolicies: which peers may reach, or be reached by, the pods that are selected.

Source: pkg/apis/networking/v1/defaults.go, pkg/apis/networking/validation.
"""

from __future__ import annotations

import ipaddress

from dabbawala.api import field_checks as check
from dabbawala.api.field_checks import Errors
from dabbawala.apimachinery import status
from dabbawala.apimachinery.meta import Object

# The direction of a rule's list -> the field that holds its peers.
_PEERS = {"ingress": "from", "egress": "to"}
_TYPES = ("Ingress", "Egress")
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_NOT_A_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def default(obj: Object) -> None:
    """A policy that names no types restricts ingress, and egress too when it has egress rules."""
    spec = obj.setdefault("spec", {})
    if spec.get("podSelector") is None:
        spec["podSelector"] = {}
    for direction in _PEERS:
        for rule in spec.get(direction) or ():
            for port in (rule or {}).get("ports") or ():
                port.setdefault("protocol", "TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def network_policy(new: Object, old: Object | None) -> Errors:
    spec = new.get("spec") or {}
    yield from check.label_selector(spec.get("podSelector"), "spec.podSelector")
    for direction, peers in _PEERS.items():
        for index, rule in enumerate(spec.get(direction) or ()):
            path = f"spec.{direction}[{index}]"
            for at, port in enumerate((rule or {}).get("ports") or ()):
                yield from _port(port, f"{path}.ports[{at}]")
            for at, peer in enumerate((rule or {}).get(peers) or ()):
                yield from _peer(peer, f"{path}.{peers}[{at}]")
    types = spec.get("policyTypes") or ()
    if len(types) > len(_TYPES):
        yield check.invalid_json("spec.policyTypes", types, "may not specify more than two policyTypes")
        return
    for index, kind in enumerate(types):
        if kind not in _TYPES:
            yield status.not_supported(f"spec.policyTypes[{index}]", kind, _TYPES)


def _port(given: Object, path: str) -> Errors:
    protocol, port, end = given.get("protocol"), given.get("port"), given.get("endPort")
    if protocol is not None and protocol not in _PROTOCOLS:
        yield status.not_supported(f"{path}.protocol", protocol, _PROTOCOLS)
    if port is not None:
        yield from check.port(port, f"{path}.port")
    if end is None:
        return
    if port is None:
        yield status.invalid(f"{path}.endPort", end, "may not be specified when `port` is not specified")
    elif isinstance(port, str):
        yield status.invalid(f"{path}.endPort", end, "may not be specified when `port` is non-numeric")
    else:
        if end < port:
            yield status.invalid(f"{path}.endPort", end, "must be greater than or equal to `port`")
        yield from check.port(end, f"{path}.endPort")


def _peer(peer: Object, path: str) -> Errors:
    selectors = [field for field in ("podSelector", "namespaceSelector") if peer.get(field) is not None]
    for field in selectors:
        yield from check.label_selector(peer[field], f"{path}.{field}")
    block = peer.get("ipBlock")
    if block is not None:
        yield from _ip_block(block, f"{path}.ipBlock")
        if selectors:
            yield status.forbidden(path, "may not specify both ipBlock and another peer")
    elif not selectors:
        yield status.required(path, "must specify a peer")


def _ip_block(block: Object, path: str) -> Errors:
    if not block.get("cidr"):
        yield status.required(f"{path}.cidr")
        return
    whole = _network(block["cidr"])
    if whole is None:
        yield status.invalid(f"{path}.cidr", block["cidr"], _NOT_A_CIDR)
        return
    for index, text in enumerate(block.get("except") or ()):
        part = _network(text)
        if part is None:
            yield status.invalid(f"{path}.except[{index}]", text, _NOT_A_CIDR)
        elif not _is_strictly_within(part, whole):
            yield status.invalid(f"{path}.except[{index}]", text, "must be a strict subset of `cidr`")


def _network(text: str) -> _Network | None:
    """As upstream reads it, bits of a host may be set."""
    try:
        return ipaddress.ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        return None


def _is_strictly_within(part: _Network, whole: _Network) -> bool:
    return part.version == whole.version and part.network_address in whole and part.prefixlen > whole.prefixlen
