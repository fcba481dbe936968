"""Ways in from outside the cluster, object by object: what leads in through a Service, an Ingress, a Gateway, and what
stops it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cel.environment import Function
from dabbawala.guard.relations import population
from dabbawala.guard.relations.reachability import graph
from dabbawala.guard.relations.readable import readable
from dabbawala.guard.world import TYPE, World

if TYPE_CHECKING:
    from dabbawala.policy.exposure import Exposure

_LEADING = (
    "Service", "EndpointSlice.discovery.k8s.io", "Node", "Ingress.networking.k8s.io", "IngressClass.networking.k8s.io",
    "Gateway.gateway.networking.k8s.io", "HTTPRoute.gateway.networking.k8s.io", "GRPCRoute.gateway.networking.k8s.io",
    "TLSRoute.gateway.networking.k8s.io", "TCPRoute.gateway.networking.k8s.io", "UDPRoute.gateway.networking.k8s.io",
    "Gateway.networking.istio.io", "VirtualService.networking.istio.io",
)  # fmt: skip


def ways(world: World) -> list[Exposure]:
    """Every way in."""
    return world.once("ways", lambda: _ways(world))


def _ways(world: World) -> list[Exposure]:
    from dabbawala.policy.exposure_routes import exposures  # many scans have nothing that leads in

    return exposures(_objects(world), graph(world))


def _objects(world: World) -> Iterator[Object]:
    from dabbawala.policy.exposure_routes import exposures
    from dabbawala.policy.network import Graph

    yield from population.of(world).objects()
    nobody = Graph((), (), ())
    for kind in _LEADING:
        yield from readable((item.object for item in world.items(kind)), lambda found: exposures([found], nobody))


def _through(world: World, obj: Mapping[str, object]) -> list[Exposure]:
    """The ways that an object is a link of."""
    by_link = world.once("links", lambda: _by_link(ways(world)))
    found: Object = dict(obj)
    return by_link.get(f"{found.get('kind')} {meta.key(found)}", [])


def _by_link(found: list[Exposure]) -> dict[str, list[Exposure]]:
    links: dict[str, list[Exposure]] = {}
    for way in found:
        for link in dict.fromkeys(link.partition(":")[0] for link in way.chain):
            links.setdefault(link, []).append(way)
    return links


def public(world: World, obj: Mapping[str, object]) -> bool:
    """Whether the internet gets in through a Service, an Ingress or a Gateway, as far as objects tell."""
    return any(way.public and way.open for way in _through(world, obj))


def walled(world: World, obj: Mapping[str, object]) -> list[str]:
    """The ways in through a Service or an Ingress, as sentences with what stops them, where NetworkPolicies stop every
    one; a proxy that is not among the pods of the scan is not judged."""
    found = [way for way in _through(world, obj) if way.chain and way.chain[0] != _name(obj)]
    return list(dict.fromkeys(way.sentence for way in found)) if found and not any(way.open for way in found) else []


def _name(obj: Mapping[str, object]) -> str:
    found: Object = dict(obj)
    return f"{found.get('kind')} {meta.key(found)}"


def directly_public(world: World, workload: Mapping[str, object]) -> list[str]:
    """The ways by which the internet gets to a workload's pods with no proxy before them, as sentences."""
    obj: Object = dict(workload)
    key = population.of(world).keys.get((str(obj.get("kind")), meta.namespace(obj), meta.name(obj)))
    direct = world.once("direct", lambda: _direct(ways(world)))
    return direct.get(key, []) if key else []


def _direct(found: list[Exposure]) -> dict[ObjectKey, list[str]]:
    from dabbawala.policy.exposure import EXTERNAL_IP, LOAD_BALANCER

    direct: dict[ObjectKey, list[str]] = {}
    for way in found:
        if way.public and way.open and way.means in (LOAD_BALANCER, EXTERNAL_IP):
            direct.setdefault(way.pod, []).append(way.sentence)
    return direct


FUNCTIONS = (
    Function("public", (TYPE, "dyn"), "bool", public, receiver=True),
    Function("directlyPublic", (TYPE, "dyn"), "list<string>", directly_public, receiver=True),
    Function("walled", (TYPE, "dyn"), "list<string>", walled, receiver=True),
)
