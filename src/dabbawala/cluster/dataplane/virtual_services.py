"""Where the routes of a VirtualService lead, and what they ask for that cannot be done.

Source: Istio VirtualService v1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.dataplane import hosts, worlds
from dabbawala.cluster.dataplane.names import Destination
from dabbawala.cluster.dataplane.views import Port, Service
from dabbawala.cluster.dataplane.worlds import World

NOT_CARRIED_OUT = ("corsPolicy", "delegate")


@dataclass(frozen=True, slots=True)
class Problem:
    """What keeps an object from being carried out as written. `fatal` ones make it not Programmed."""

    message: str
    fatal: bool = True


@dataclass(frozen=True, slots=True)
class Weighted:
    """One destination of a route with its weight and what it does to headers."""

    cluster: str
    weight: int
    entry: Mapping[str, Any]


def http_routes(virtual_service: Object | None) -> list[Mapping[str, Any]]:
    return list(((virtual_service or {}).get("spec") or {}).get("http") or ())


def tcp_routes(virtual_service: Object | None) -> list[Mapping[str, Any]]:
    return list(((virtual_service or {}).get("spec") or {}).get("tcp") or ())


def cluster_of(destination: Mapping[str, Any], namespace: str, port: Port, world: World) -> str:
    """The cluster that a destination means when traffic came in on `port`. One that leads nowhere gets a name that no
    cluster has, so that its share is answered 503 and the rest is not touched."""
    service, number, _ = _locate(destination, namespace, port.number, world)
    key = service.key if service else hosts.resolve(str(destination.get("host") or ""), namespace)
    unknown = ObjectKey(namespace, str(destination.get("host") or "nowhere"))
    return Destination(key or unknown, number, str(destination.get("subset") or "")).cluster


def _locate(destination: Mapping[str, Any], namespace: str, port: int, world: World) -> tuple[Service | None, int, str]:
    """The Service and port number a destination leads to, or why it leads nowhere."""
    host = str(destination.get("host") or "")
    key = hosts.resolve(host, namespace)
    service = world.services.get(key) if key else None
    asked = int((destination.get("port") or {}).get("number") or 0)
    if key is None:
        return None, asked or port, f"host {host!r} is not a Service of this cluster"
    if service is None:
        return None, asked or port, f"there is no Service {key.name!r} in namespace {key.namespace!r}"
    numbers = [each.number for each in service.ports if each.protocol == "TCP"]
    number = asked or (numbers[0] if len(numbers) == 1 else port)
    if number not in numbers:
        return service, number, f"Service {key} has no port {number}"
    subset = str(destination.get("subset") or "")
    if subset and subset not in world.rule(service.key).subsets:
        return service, number, f"no DestinationRule of Service {key} has a subset {subset!r}"
    return service, number, ""


def destinations(virtual_service: Object | None) -> Iterable[ObjectKey]:
    """Every Service that its routes lead to."""
    if virtual_service is None:
        return
    for route in [*http_routes(virtual_service), *tcp_routes(virtual_service)]:
        entries = [
            each.get("destination") or {} for each in [*(route.get("route") or ()), *(route.get("mirrors") or ())]
        ]
        for destination in [*entries, route.get("mirror") or {}]:
            key = hosts.resolve(str(destination.get("host") or ""), meta.namespace(virtual_service))
            if key is not None:
                yield key


def weighted(route: Mapping[str, Any], namespace: str, port: Port, world: World) -> list[Weighted]:
    """The destinations that get a share. A single one gets all, whatever its weight says, as in Istio."""
    entries = list(route.get("route") or ())
    found = [
        Weighted(
            cluster_of(entry.get("destination") or {}, namespace, port, world), int(entry.get("weight") or 0), entry
        )
        for entry in entries
    ]
    if len(found) == 1:
        return [Weighted(found[0].cluster, 1, found[0].entry)]
    return [each for each in found if each.weight > 0]


def problems(virtual_service: Object, world: World) -> Iterable[Problem]:
    """Everything about it that is not carried out, or leads nowhere."""
    spec = virtual_service.get("spec") or {}
    if not worlds.in_mesh(virtual_service):
        names_ = ", ".join(map(str, spec.get("gateways") or ()))
        yield Problem(f'spec.gateways: {names_}: only the gateway "mesh" is served here; add it')
        return
    routed = worlds.named(virtual_service, world.services)
    if not routed:
        yield Problem(f"spec.hosts: {', '.join(map(str, spec.get('hosts') or ()))}: no Service has such a host")
    for service in routed:
        owner = world.owner(service.key)
        if owner is not None and meta.key(owner) != meta.key(virtual_service):
            yield Problem(f"spec.hosts: {service.host} is already routed by VirtualService {meta.key(owner)}")
    if spec.get("tls"):
        yield Problem("spec.tls is not carried out", fatal=False)
    numbers = [port.number for service in routed for port in service.ports]
    for block in ("http", "tcp"):
        for index, route in enumerate(spec.get(block) or ()):
            for message, fatal in _route_problems(route, meta.namespace(virtual_service), numbers, world):
                yield Problem(f"spec.{block}[{index}]{message}", fatal)


def _route_problems(
    route: Mapping[str, Any], namespace: str, ports: list[int], world: World
) -> Iterable[tuple[str, bool]]:
    entries = list(route.get("route") or ())
    for at, entry in enumerate(entries):
        for port in ports:
            _, _, why = _locate(entry.get("destination") or {}, namespace, port, world)
            if why:
                yield f".route[{at}].destination: {why}; its share is answered 503 until there is", True
                break
    if len(entries) > 1 and not any(int(entry.get("weight") or 0) for entry in entries):
        yield ".route: all weights are 0; requests are answered 503 until one is not", True
    for field in NOT_CARRIED_OUT:
        if route.get(field):
            yield f".{field} is not carried out", False
    for at, condition in enumerate(route.get("match") or ()):
        for field in ("sourceLabels", "sourceNamespace", "sourceSubnet", "destinationSubnets"):
            if condition.get(field):
                yield f".match[{at}].{field} is not known to a node's Envoy; this match never applies", True
