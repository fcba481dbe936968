"""From Services and Istio's routes to what one node's Envoy runs. Pure.

For every port of every Service with an address: a cluster for the Service and one for each subset, each with a file of
endpoints (empty ones too, so that a Service without endpoints answers 503 instead of refusing the connection), one
RouteConfiguration, a listener at the cluster IP, and for a node port a listener at the node's address and one on a pipe
for the edge. A few Services lead to a unix socket of this machine instead of endpoints (`sockets`): the API server's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.dataplane import destination_rules, listeners, matches, names, routes, views, virtual_services
from dabbawala.cluster.dataplane.destination_rules import Rule
from dabbawala.cluster.dataplane.names import Destination
from dabbawala.cluster.dataplane.protocols import Protocol, protocol
from dabbawala.cluster.dataplane.resources import (
    CLUSTER,
    ENDPOINTS,
    Config,
    Resource,
    file_source,
    pipe,
    socket_address,
    typed,
)
from dabbawala.cluster.dataplane.views import Endpoint, Node, Port, Service
from dabbawala.cluster.dataplane.worlds import World


@dataclass(frozen=True, slots=True)
class Fixtures:
    """What is the same for every node. `sockets`: Services that lead to a unix socket of this machine. `reserved`:
    addresses that something else on the node listens on (the cluster's DNS)."""

    sockets: Mapping[ObjectKey, str] = field(default_factory=dict)
    reserved: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Draft:
    """A Service's part under construction."""

    node: Node
    world: World
    fixtures: Fixtures
    listeners: dict[str, Resource] = field(default_factory=dict)
    clusters: dict[str, Resource] = field(default_factory=dict)
    routes: dict[str, Resource] = field(default_factory=dict)
    endpoints: dict[str, Resource] = field(default_factory=dict)


def translate(world: World, node: Node, fixtures: Fixtures) -> Config:
    """Everything that the node's Envoy is to run."""
    return joined(of_service(world, world.services[key], node, fixtures) for key in sorted(world.services))


def joined(parts: Iterable[Config]) -> Config:
    """One configuration of parts that have no names in common."""
    every = list(parts)
    return Config(
        {name: resource for part in every for name, resource in part.listeners.items()},
        {name: resource for part in every for name, resource in part.clusters.items()},
        {name: resource for part in every for name, resource in part.routes.items()},
        {name: resource for part in every for name, resource in part.endpoints.items()},
    )


def depends_on(world: World, service: Service) -> tuple[object, ...]:
    """All that the part of a Service is made from; the same again means the same part."""
    owner = world.owner(service.key)
    reached = [
        (world.services[key].ports if key in world.services else None, world.rule(key))
        for key in virtual_services.destinations(owner)
    ]
    return service, owner, world.rule(service.key), reached


def of_service(world: World, service: Service, node: Node, fixtures: Fixtures) -> Config:
    """The part that a Service has in a node's configuration."""
    draft = _Draft(node, world, fixtures)
    if service.cluster_ip and service.cluster_ip not in fixtures.reserved:
        _add_service(draft, service)
    return Config(draft.listeners, draft.clusters, draft.routes, draft.endpoints)


class Translator:
    """`translate` for one node, which does a Service's part again only when what it depends on has changed. Parts that
    stay are the same objects, which makes everything after cheap too."""

    def __init__(self, node: Node, fixtures: Fixtures) -> None:
        self._node = node
        self._fixtures = fixtures
        self._known: dict[ObjectKey, tuple[tuple[object, ...], Config]] = {}

    def translate(self, world: World) -> Config:
        fresh: dict[ObjectKey, tuple[tuple[object, ...], Config]] = {}
        for key in sorted(world.services):
            service = world.services[key]
            wanted = depends_on(world, service)
            known = self._known.get(key)
            if known is None or known[0] != wanted:
                known = (wanted, of_service(world, service, self._node, self._fixtures))
            fresh[key] = known
        self._known = fresh
        return joined(part for _, part in fresh.values())


def _add_service(draft: _Draft, service: Service) -> None:
    rule, owner = draft.world.rule(service.key), draft.world.owner(service.key)
    routed = bool(virtual_services.http_routes(owner))
    for port in service.ports:
        spoken = Protocol.TCP if service.key in draft.fixtures.sockets else protocol(port, routed=routed)
        if spoken is None:
            continue
        _add_clusters(draft, service, port, rule, spoken)
        if spoken is Protocol.UDP:
            _add_udp_listeners(draft, service, port)
        else:
            _add_listeners(draft, service, port, spoken, owner=owner, rule=rule)


def _add_clusters(draft: _Draft, service: Service, port: Port, rule: Rule, spoken: Protocol) -> None:
    udp = spoken is Protocol.UDP
    for subset in ("", *(() if udp else rule.subsets)):
        name = Destination(service.key, port.number, subset, udp).cluster
        policy = rule.policy_for(subset, port.number)
        cluster = _cluster(draft, name, draft.fixtures.sockets.get(service.key))
        draft.clusters[name] = destination_rules.shape(cluster, service, policy, spoken)
        if "eds_cluster_config" in cluster:
            wanted = rule.labels(subset) if subset else {}
            chosen = [end for end in views.eligible(service, draft.node.name) if wanted.items() <= end.labels.items()]
            draft.endpoints[name] = _endpoints(name, chosen, port)


def _cluster(draft: _Draft, name: str, path: str | None) -> Resource:
    if path is None:
        source = {"eds_config": file_source(f"{draft.node.folder}/xds/eds/{name}.json")}
        return typed(CLUSTER, name=name, type="EDS", eds_cluster_config=source)
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _path(path)}}]}]}
    return typed(CLUSTER, name=name, type="STATIC", load_assignment=assignment)


def _path(path: str) -> Resource:
    return {"pipe": {"path": path}}


def _endpoints(name: str, chosen: Iterable[Endpoint], port: Port) -> Resource:
    addresses = [
        {"endpoint": {"address": socket_address(end.address, end.ports[port.name], port.protocol)}}
        for end in chosen
        if port.name in end.ports
    ]
    return typed(ENDPOINTS, cluster_name=name, endpoints=[{"lb_endpoints": addresses}])


def _add_udp_listeners(draft: _Draft, service: Service, port: Port) -> None:
    cluster = Destination(service.key, port.number, udp=True).cluster
    places = {f"{cluster}": socket_address(service.cluster_ip, port.number, "UDP")}
    if port.node_port:
        places[f"node-port-{names.UDP_PREFIX}{port.node_port}"] = socket_address(
            draft.node.address, port.node_port, "UDP"
        )
    for name, address in places.items():
        draft.listeners[name] = listeners.udp_listener(name, address, cluster, by_source=service.client_affinity)


def _add_listeners(
    draft: _Draft, service: Service, port: Port, spoken: Protocol, *, owner: Object | None, rule: Rule
) -> None:
    name = Destination(service.key, port.number).cluster
    if spoken is not Protocol.TCP:
        hashed = destination_rules.hash_policies(rule.policy_for("", port.number), service)
        draft.routes[name] = routes.configuration(service, port, draft.world, owner=owner, hashed=hashed)
    file = f"{draft.node.folder}/xds/rds/{name}.json"
    tcp = _tcp_target(draft.world, port, owner, name)
    target = listeners.Target(name, file, tcp, by_source=service.client_affinity)
    for listener, address in _places(draft.node, service, port).items():
        draft.listeners[listener] = listeners.listener(listener, address, spoken, target)


def _places(node: Node, service: Service, port: Port) -> dict[str, Resource]:
    """Where a port is listened on, by listener name."""
    places = {Destination(service.key, port.number).cluster: socket_address(service.cluster_ip, port.number)}
    if port.node_port:
        places[f"node-port-{port.node_port}"] = socket_address(node.address, port.node_port)
        places[f"edge-{port.node_port}"] = pipe(f"{node.folder}/{names.node_port_socket(port.node_port)}")
    return places


def _tcp_target(world: World, port: Port, owner: Object | None, name: str) -> Resource:
    """The cluster of plain connections: the first TCP route of the VirtualService that applies, or the Service."""
    for entry in virtual_services.tcp_routes(owner):
        conditions: list[Mapping[str, Any]] = entry.get("match") or [{}]
        if owner is None or not any(matches.applies(condition, port) for condition in conditions):
            continue
        shares = virtual_services.weighted(entry, meta.namespace(owner), port, world)
        if len(shares) == 1:
            return {"cluster": shares[0].cluster}
        if shares:
            return {"weighted_clusters": {"clusters": [{"name": s.cluster, "weight": s.weight} for s in shares]}}
    return {"cluster": name}
