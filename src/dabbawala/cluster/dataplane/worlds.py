"""Everything that a translation depends on, besides the node, with what belongs together found once.

A host belongs to one VirtualService: the oldest that names it, as in Istio's mesh. Only the gateway `mesh` is served,
which is also what a VirtualService without gateways means. Source: Istio VirtualService v1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.dataplane import destination_rules, hosts
from dabbawala.cluster.dataplane.destination_rules import NO_RULE, Rule
from dabbawala.cluster.dataplane.views import Service

MESH = "mesh"


@dataclass(frozen=True, slots=True)
class World:
    """VirtualServices and DestinationRules are kept as they are, oldest first, which is the order in which they win.
    `rules` and `owners` say which of them speaks for a Service and which routes its traffic. Made by `assemble`."""

    services: Mapping[ObjectKey, Service]
    virtual_services: tuple[Object, ...] = ()
    destination_rules: tuple[Object, ...] = ()
    rules: Mapping[ObjectKey, Rule] = field(default_factory=dict)
    owners: Mapping[ObjectKey, Object] = field(default_factory=dict)

    def rule(self, service: ObjectKey) -> Rule:
        return self.rules.get(service, NO_RULE)

    def owner(self, service: ObjectKey) -> Object | None:
        return self.owners.get(service)


def assemble(
    services: Mapping[ObjectKey, Service], virtual_services: Iterable[Object], rules: Iterable[Object]
) -> World:
    routing, ruling = by_age(virtual_services), by_age(rules)
    owners: dict[ObjectKey, Object] = {}
    for found in routing:
        if in_mesh(found):
            for service in named(found, services):
                owners.setdefault(service.key, found)
    return World(services, routing, ruling, destination_rules.winners(ruling), owners)


def by_age(objects: Iterable[Object]) -> tuple[Object, ...]:
    """Oldest first; of two made in the same second, the first in the alphabet."""
    return tuple(sorted(objects, key=lambda obj: (meta.metadata(obj).get("creationTimestamp") or "", meta.key(obj))))


def in_mesh(virtual_service: Object) -> bool:
    gateways = (virtual_service.get("spec") or {}).get("gateways") or [MESH]
    return MESH in gateways


def named(virtual_service: Object, services: Mapping[ObjectKey, Service]) -> list[Service]:
    """The Services whose host it names."""
    namespace = meta.namespace(virtual_service)
    found: dict[ObjectKey, Service] = {}
    for pattern in (virtual_service.get("spec") or {}).get("hosts") or ():
        if pattern.startswith("*"):
            found.update({key: each for key, each in services.items() if hosts.matches(pattern, each)})
        else:
            key = hosts.resolve(pattern, namespace)
            if key is not None and key in services:
                found[key] = services[key]
    return list(found.values())
