"""How a service is reached from outside: by which Ingress hosts, with which certificates, through which bare ports."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from dabbawala.api import core_v1, networking_v1
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.policy.network_addresses import PRIVATE_RANGES
from dabbawala.readiness.observed import Observed

OPEN_TYPES = ("NodePort", "LoadBalancer")
TLS_PORTS = (443, 8443)


@dataclass(frozen=True, slots=True)
class Door:
    """Hosts of one Ingress and the Secret that they are served with; without a Secret they are served in the clear."""

    ingress: Object
    hosts: tuple[str, ...]
    secret: str


def ingresses(observed: Observed) -> list[Object]:
    names = {meta.name(service) for service in observed.services}
    return [item for item in observed.all(networking_v1.INGRESS) if names & set(_backends(item))]


def _backends(ingress: Object) -> Iterator[str]:
    spec = ingress.get("spec") or {}
    backends = [spec.get("defaultBackend") or {}]
    for rule in spec.get("rules") or ():
        backends += [path.get("backend") or {} for path in (rule.get("http") or {}).get("paths") or ()]
    for backend in backends:
        yield str((backend.get("service") or {}).get("name", ""))


def doors(observed: Observed) -> list[Door]:
    found = []
    for ingress in ingresses(observed):
        spec = ingress.get("spec") or {}
        secured: set[str] = set()
        for entry in spec.get("tls") or ():
            hosts = tuple(entry.get("hosts") or ())
            secured |= set(hosts)
            found.append(Door(ingress, hosts, str(entry.get("secretName", ""))))
        bare = [str(rule["host"]) for rule in spec.get("rules") or () if rule.get("host")]
        clear = tuple(host for host in bare if host not in secured)
        if clear or not found:
            found.append(Door(ingress, clear, ""))
    return found


def bare_services(observed: Observed) -> list[Object]:
    """Services that are open to the outside by themselves."""
    return [item for item in observed.services if (item.get("spec") or {}).get("type") in OPEN_TYPES]


def is_clear(service: Object) -> bool:
    """Whether any of its ports does not even look like TLS."""
    ports = (service.get("spec") or {}).get("ports") or ()
    return any(port.get("port") not in TLS_PORTS and not _is_named_tls(port) for port in ports)


def _is_named_tls(port: Object) -> bool:
    return str(port.get("appProtocol") or port.get("name") or "").startswith(("https", "tls"))


def pod_ranges(observed: Observed) -> list[str]:
    """Where the cluster's pods have their addresses: in the ranges of the nodes, if all that run here are in them, and
    otherwise in any private range."""
    said = {str((node.get("spec") or {}).get("podCIDR") or "") for node in observed.all(core_v1.NODE)} - {""}
    ranges = [network for text in sorted(said) if (network := ipaddress.ip_network(text)).version == 4]
    seen = {str((pod.get("status") or {}).get("podIP") or "") for pod in observed.all(core_v1.POD)} - {""}
    known = all(any(ipaddress.ip_address(address) in item for item in ranges) for address in seen)
    return [str(item) for item in ranges] if ranges and seen and known else list(PRIVATE_RANGES)


def secret(observed: Observed, name: str) -> Object | None:
    return next((item for item in observed.all(core_v1.SECRET) if meta.name(item) == name), None)
