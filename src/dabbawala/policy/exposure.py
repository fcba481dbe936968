"""Which pods can be reached from outside the cluster, and by what chain of objects.

A way in is a Service that a load balancer, a node's port or an external address leads to, a pod on its node's network
or with a port of it, or a proxy (Ingress, Gateway, VirtualService) that forwards by host and path. NetworkPolicy has
the last word at each hop. What a policy stops is told with its reason rather than left out: "exposed, but for one
policy" is a finding of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.policy.exposure_sources import ANYBODY, INTERNET, Sources
from dabbawala.policy.network import Graph
from dabbawala.policy.network_pods import ENDED, serving_containers
from dabbawala.policy.services import Backend, Backends

LOAD_BALANCER, NODE_PORT, EXTERNAL_IP = "LoadBalancer", "NodePort", "ExternalIP"
HOST_NETWORK, HOST_PORT = "HostNetwork", "HostPort"
INGRESS, GATEWAY, VIRTUAL_SERVICE = "Ingress", "Gateway", "VirtualService"

_INTERNAL: Mapping[str, frozenset[str]] = {
    "service.beta.kubernetes.io/aws-load-balancer-internal": frozenset({"true", "0.0.0.0/0"}),
    "service.beta.kubernetes.io/aws-load-balancer-scheme": frozenset({"internal"}),
    "service.beta.kubernetes.io/azure-load-balancer-internal": frozenset({"true"}),
    "networking.gke.io/load-balancer-type": frozenset({"internal"}),
    "cloud.google.com/load-balancer-type": frozenset({"internal"}),
    "service.kubernetes.io/qcloud-loadbalancer-internal-subnetid": frozenset(),
    "service.beta.kubernetes.io/oci-load-balancer-internal": frozenset({"true"}),
    "service.beta.kubernetes.io/openstack-internal-load-balancer": frozenset({"true"}),
}
"""Annotations that keep a load balancer inside; an empty set means whatever the value."""
_FORWARDED = (
    "externalTrafficPolicy is Cluster: a node may forward it under its own address, which no NetworkPolicy stops for "
    "pods on that node; Local keeps the client's address"
)


@dataclass(frozen=True, slots=True)
class Exposure:
    """`port` is None where any port that the pod listens on is meant. `public` says that the internet gets in, as far
    as objects tell; otherwise whoever reaches the nodes or the internal load balancer. `stopped` is why NetworkPolicy
    keeps it out, empty if it does not; `caution` why it may not hold."""

    pod: ObjectKey
    port: int | None
    protocol: str
    means: str
    public: bool
    chain: tuple[str, ...]
    hosts: tuple[str, ...] = ()
    stopped: str = ""
    caution: str = ""

    @property
    def open(self) -> bool:
        return not self.stopped

    @property
    def sentence(self) -> str:
        who = "the internet" if self.public else "outside the cluster"
        port = f" {self.protocol} {self.port}" if self.port else ""
        way = " → ".join((*self.chain, f"pod {self.pod}{port}"))
        return f"from {who}: {way}" + (f"; stopped: {self.stopped}" if self.stopped else "")


@dataclass(frozen=True, slots=True)
class Cluster:
    """The objects that lead inside, sorted once."""

    graph: Graph
    pods: Mapping[ObjectKey, Object]
    backends: Backends
    kinds: Mapping[str, list[Object]] = field(default_factory=dict)

    @classmethod
    def of(cls, objects: Iterable[Object], graph: Graph) -> Cluster:
        kinds: dict[str, list[Object]] = {}
        for found in objects:
            kinds.setdefault(kind_of(found), []).append(found)
        pods = kinds.get("Pod", [])
        backends = Backends(kinds.get("Service", ()), pods, kinds.get("EndpointSlice.discovery.k8s.io", ()))
        return cls(graph, {meta.key(pod): pod for pod in pods}, backends, kinds)

    @property
    def nodes_are_public(self) -> bool:
        """Whether some node has an address that it calls external."""
        listed = (((node.get("status") or {}).get("addresses") or ()) for node in self.kinds.get("Node", ()))
        return any(address.get("type") == "ExternalIP" for addresses in listed for address in addresses)

    def admitted(self, pod: ObjectKey, port: int, protocol: str, sources: Sources) -> str:
        """Why NetworkPolicy lets none of the sources in; empty if it lets some."""
        if pod not in self.graph.pods:
            return ""
        for block, ports in self.graph.admitted_addresses(pod):
            if any(r.protocol == protocol and r.first <= port <= r.last for r in ports) and sources.meet(block):
                return ""
        return f"no NetworkPolicy that isolates pod {pod} admits {sources} on {protocol} {port}"


def kind_of(found: Object) -> str:
    """The kind, with its API group after a dot unless that is the core one: `Gateway.networking.istio.io`."""
    group, slash, _ = str(found.get("apiVersion") or "").partition("/")
    return f"{found.get('kind')}.{group}" if slash else str(found.get("kind"))


def direct_exposures(cluster: Cluster) -> list[Exposure]:
    """The ways in that lead to a pod without a proxy in front."""
    found = [way for service in cluster.backends.services.values() for way in _by_service(cluster, service)]
    return [*found, *(way for pod in cluster.pods.values() for way in _by_node(cluster, pod))]


def _by_service(cluster: Cluster, service: Object) -> Iterator[Exposure]:
    spec, key = service.get("spec") or {}, meta.key(service)
    caution = "" if spec.get("externalTrafficPolicy") == "Local" else _FORWARDED
    if spec.get("externalIPs"):
        listed = ", ".join(spec["externalIPs"])
        link = (f"external address {listed}", f"Service {key}")
        yield from _through(cluster, key, EXTERNAL_IP, (link, ANYBODY, cluster.nodes_are_public), caution)
    if spec.get("type") == LOAD_BALANCER:
        sources = _let_in(service)
        link = ("load balancer", f"Service {key}")
        yield from _through(cluster, key, LOAD_BALANCER, (link, sources, sources.public), caution)
    if spec.get("type") == NODE_PORT:
        numbers = ", ".join(str(port["nodePort"]) for port in spec.get("ports") or () if port.get("nodePort"))
        link = (f"node port {numbers}".strip(), f"Service {key}")
        yield from _through(cluster, key, NODE_PORT, (link, ANYBODY, cluster.nodes_are_public), caution)


Way = tuple[tuple[str, ...], Sources, bool]
"""The chain so far, who comes along it, and whether they are the internet."""


def _through(cluster: Cluster, service: ObjectKey, means: str, way: Way, caution: str) -> Iterator[Exposure]:
    chain, sources, public = way
    for backend in cluster.backends.of(service):
        stopped = cluster.admitted(backend.pod, backend.port, backend.protocol, sources)
        named = (*chain[:-1], f"{chain[-1]}:{backend.service_port}")
        yield Exposure(
            backend.pod, backend.port, backend.protocol, means, public, named,
            stopped=stopped, caution=caution if stopped else "",
        )  # fmt: skip


def _let_in(service: Object) -> Sources:
    """Whom a load balancer lets in."""
    ranges = (service.get("spec") or {}).get("loadBalancerSourceRanges") or ()
    if ranges:
        return Sources.of(ranges)
    return ANYBODY if is_internal(meta.annotations(service)) else INTERNET


def is_internal(annotations: Mapping[str, str]) -> bool:
    """Whether a Service's annotations ask the cloud for a load balancer that only its own network sees."""
    given = {key: str(value).lower() for key, value in annotations.items() if key in _INTERNAL}
    return any(not _INTERNAL[key] or value in _INTERNAL[key] for key, value in given.items())


def _by_node(cluster: Cluster, pod: Object) -> Iterator[Exposure]:
    spec, key, public = pod.get("spec") or {}, meta.key(pod), cluster.nodes_are_public
    if (pod.get("status") or {}).get("phase") in ENDED:
        return
    ports = [port for container in serving_containers(spec) for port in container.get("ports") or ()]
    if spec.get("hostNetwork"):
        listening: list[tuple[int | None, str]] = [*sorted({_container_port(port) for port in ports})]
        for number, protocol in listening or [(None, "TCP")]:
            yield Exposure(key, number, protocol, HOST_NETWORK, public, ("the node's own network",))
        return
    for port in ports:
        if port.get("hostPort"):
            number, protocol = _container_port(port)
            stopped = cluster.admitted(key, number, protocol, INTERNET if public else ANYBODY)
            chain = (f"host port {port['hostPort']} of its node",)
            yield Exposure(key, number, protocol, HOST_PORT, public, chain, stopped=stopped)


def _container_port(port: Mapping[str, Any]) -> tuple[int, str]:
    return int(port.get("containerPort") or 0), port.get("protocol") or "TCP"


def forwarded(cluster: Cluster, proxies: Iterable[ObjectKey], backend: Backend, sources: Sources) -> str:
    """Why no proxy gets to the backend; without proxies in the cluster, why its clients do not. Empty if they do."""
    reason = ""
    for proxy in proxies:
        told = cluster.graph.explain(proxy, backend.pod, backend.port, backend.protocol)
        if told.allowed:
            return ""
        reason = reason or told.sentence.rstrip(".")
    return reason or cluster.admitted(backend.pod, backend.port, backend.protocol, sources)
