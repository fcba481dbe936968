"""The edge: what the host may reach. Pure.

One Envoy in the host's network accepts every node port at the host's address and carries the bytes to a node's Envoy
over a pipe. It knows no HTTP: routes, counts and protocol are the node's, so nothing is decided twice, and it never
sends anything twice. A connection goes to any node that lets it in; a node whose Envoy is down is passed over, before a
byte of the client has been sent. The node sees no client address on a pipe, so affinity by address does not apply to
what comes over the edge. UDP node ports are reachable at the nodes' addresses only: a pipe carries no datagrams.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dabbawala.apimachinery.meta import ObjectKey
from dabbawala.cluster.dataplane import listeners, names
from dabbawala.cluster.dataplane.destination_rules import BREAKER_LIMIT
from dabbawala.cluster.dataplane.protocols import Protocol, protocol
from dabbawala.cluster.dataplane.resources import (
    CLUSTER,
    ENDPOINTS,
    Config,
    Resource,
    file_source,
    socket_address,
    typed,
)
from dabbawala.cluster.dataplane.views import Node
from dabbawala.cluster.dataplane.worlds import World

CONNECT_SECONDS = 2
EJECTED_SECONDS = 1
CONNECT_ATTEMPTS = 3
"""Nodes that a new connection may try. Nothing of what the client says has been sent to any of them before."""


def translate(world: World, nodes: Sequence[Node], folder: str, address: str) -> Config:
    """Listeners at `address` for every TCP node port. Nodes are endpoints, so that open connections outlive a change of
    nodes."""
    found: dict[str, Resource] = {}
    clusters: dict[str, Resource] = {}
    endpoints: dict[str, Resource] = {}
    for _, number in node_ports(world):
        name = f"edge-{number}"
        target = listeners.Target(name, "", {"cluster": name, "max_connect_attempts": CONNECT_ATTEMPTS})
        found[name] = listeners.listener(name, socket_address(address, number), Protocol.TCP, target)
        clusters[name] = _cluster(name, folder)
        endpoints[name] = _endpoints(name, number, nodes)
    return Config(found, clusters, {}, endpoints)


def node_ports(world: World) -> Iterable[tuple[ObjectKey, int]]:
    """Every node port that the edge serves, with its Service."""
    for key in sorted(world.services):
        for port in world.services[key].ports:
            if port.node_port and world.services[key].cluster_ip and protocol(port, routed=False) is not Protocol.UDP:
                yield key, port.node_port


def _endpoints(name: str, number: int, nodes: Sequence[Node]) -> Resource:
    socket = names.node_port_socket(number)
    ends = [{"endpoint": {"address": {"pipe": {"path": f"{node.folder}/{socket}"}}}} for node in nodes]
    return typed(ENDPOINTS, cluster_name=name, endpoints=[{"lb_endpoints": ends}])


def _cluster(name: str, folder: str) -> Resource:
    return typed(
        CLUSTER,
        name=name,
        type="EDS",
        connect_timeout=f"{CONNECT_SECONDS}s",
        eds_cluster_config={"eds_config": file_source(f"{folder}/xds/eds/{name}.json")},
        circuit_breakers={"thresholds": [{"max_connections": BREAKER_LIMIT, "max_pending_requests": BREAKER_LIMIT}]},
        outlier_detection={
            "consecutive_local_origin_failure": 1,
            "enforcing_consecutive_local_origin_failure": 100,
            "split_external_local_origin_errors": True,
            "enforcing_consecutive_5xx": 0,
            "enforcing_success_rate": 0,
            "base_ejection_time": f"{EJECTED_SECONDS}s",
            "max_ejection_time": f"{EJECTED_SECONDS}s",
            "interval": "1s",
            "max_ejection_percent": 100,
        },
    )
