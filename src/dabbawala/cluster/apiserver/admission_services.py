"""Cluster addresses and node ports for Services, handed out where writes are checked.

Source: pkg/registry/core/service.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import partial

from dabbawala.apimachinery import status
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import FieldError
from dabbawala.cluster.apiserver.addresses import NODE_PORTS, SERVICE_RANGE, Owner, Port, ServiceAddresses
from dabbawala.cluster.apiserver.plugins import Admission

_WITH_NODE_PORTS = ("NodePort", "LoadBalancer")


def allocate(addresses: ServiceAddresses, admission: Admission) -> None:
    """Fill in `admission.object`, in place; what it got is released with the admission. Raises Invalid."""
    service = admission.object
    if service is None or admission.operation not in ("CREATE", "UPDATE") or admission.subresource:
        return
    spec = service.setdefault("spec", {})
    _keep(spec, (admission.old or {}).get("spec") or {})
    owner = (admission.namespace, admission.name)
    wrong = [*_address(addresses, admission, spec, owner), *_node_ports(addresses, admission, spec, owner)]
    if wrong:
        raise status.invalid_object("Service", admission.name, wrong)


def _keep(spec: Object, old: Object) -> None:
    """An update that leaves out what was handed out keeps it; one that changes the type gives it back."""
    if spec.get("type") == "ExternalName":
        for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if spec.get(field) == old.get(field):
                spec.pop(field, None)
    elif old.get("type") != "ExternalName" and not spec.get("clusterIP") and old.get("clusterIP"):
        spec["clusterIP"] = old["clusterIP"]
    before = {_port_id(port): port.get("nodePort") for port in old.get("ports") or ()}
    wants = spec.get("type") in _WITH_NODE_PORTS
    used = {port.get("nodePort") for port in spec.get("ports") or ()}
    for port in spec.get("ports") or ():
        had = before.get(_port_id(port))
        if wants and not port.get("nodePort") and had and had not in used:
            port["nodePort"] = had
        elif not wants and had and port.get("nodePort") == had and old.get("type") in _WITH_NODE_PORTS:
            del port["nodePort"]


def _port_id(port: Object) -> tuple[object, object]:
    return port.get("port"), port.get("protocol", "TCP")


def _address(addresses: ServiceAddresses, admission: Admission, spec: Object, owner: Owner) -> Iterator[FieldError]:
    if spec.get("type") == "ExternalName":
        return
    wanted = spec.get("clusterIP")
    if wanted and wanted != "None":
        problem = _take_address(addresses, wanted, owner)
        if problem:
            message = f"failed to allocate IP {wanted}: {problem}"
            yield status.invalid("spec.clusterIPs", [wanted], message)
            return
    elif not wanted:
        wanted = addresses.reserve_address(owner)
        if wanted is None:
            message = f"failed to allocate a serviceIP: range {SERVICE_RANGE} is full"
            yield FieldError("spec.clusterIPs", "InternalError", message)
            return
    if wanted != "None":
        admission.releases.append(partial(addresses.release, wanted))
    spec["clusterIP"] = wanted
    spec["clusterIPs"] = [wanted]
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")


def _take_address(addresses: ServiceAddresses, wanted: str, owner: Owner) -> str:
    """Empty when `wanted` is now reserved; else what is wrong with it."""
    try:
        inside = ipaddress.ip_address(wanted) in SERVICE_RANGE
    except ValueError:
        return ""  # validation says so
    if not inside:
        return f"the provided network does not match the current range: the range of valid IPs is {SERVICE_RANGE}"
    return "" if addresses.reserve(wanted, owner) else "provided IP is already allocated"


def _node_ports(addresses: ServiceAddresses, admission: Admission, spec: Object, owner: Owner) -> Iterator[FieldError]:
    kind = spec.get("type")
    automatic = kind == "NodePort" or (kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts", True))
    for index, port in enumerate(spec.get("ports") or ()):
        protocol = port.get("protocol", "TCP")
        wanted = port.get("nodePort")
        path = f"spec.ports[{index}].nodePort"
        if wanted and kind not in _WITH_NODE_PORTS:
            yield status.forbidden(path, f"may not be used when `type` is '{kind}'")
        elif wanted:
            problem = _take_port(addresses, (wanted, protocol), owner)
            if problem:
                yield status.invalid(path, wanted, problem)
                continue
            admission.releases.append(partial(addresses.release, (wanted, protocol)))
        elif automatic:
            chosen = addresses.reserve_port(protocol, owner)
            if chosen is None:
                yield FieldError(path, "InternalError", "failed to allocate a nodePort: range is full")
                continue
            port["nodePort"] = chosen
            admission.releases.append(partial(addresses.release, (chosen, protocol)))


def _take_port(addresses: ServiceAddresses, port: Port, owner: Owner) -> str:
    if port[0] not in NODE_PORTS:
        span = f"{NODE_PORTS.start}-{NODE_PORTS.stop - 1}"
        return f"provided port is not in the valid range. The range of valid ports is {span}"
    return "" if addresses.reserve(port, owner) else "provided port is already allocated"
