"""What the data plane reads of API objects: small frozen views, made once a change, used by every node's translation.

Sources: core/v1 Service, discovery.k8s.io/v1 EndpointSlice, core/v1 Node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey

SERVICE_NAME = "kubernetes.io/service-name"
SERVICE_GENERATION = "dabbawala.dev/service-generation"
AGENT_SOCKET = "dabbawala.dev/kubelet-socket"
DOMAIN = "svc.cluster.local"

PodLabels = Callable[[ObjectKey], Mapping[str, str]]
"""Labels of a pod, empty when it is not known. EndpointSlices name pods but do not carry their labels, which is what
the subsets of a DestinationRule select by."""


@dataclass(frozen=True, slots=True)
class Port:
    """One port of a Service. `node_port` is 0 where there is none; `protocol` is TCP, UDP or SCTP."""

    name: str
    number: int
    protocol: str = "TCP"
    app_protocol: str = ""
    node_port: int = 0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address behind a Service; `ports` maps the Service's port names to the numbers it listens on."""

    address: str
    ports: Mapping[str, int]
    node: str = ""
    hostname: str = ""
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Service:
    """A Service with everything behind it. `reflected` is the oldest generation of the Service that its slices were
    made from, None when they do not say (written by hand, or there are none)."""

    key: ObjectKey
    generation: int = 0
    cluster_ip: str = ""
    headless: bool = False
    external_name: str = ""
    ports: tuple[Port, ...] = ()
    client_affinity: bool = False
    only_local: bool = False
    publish_not_ready: bool = False
    selects: bool = False
    reflected: int | None = None
    endpoints: tuple[Endpoint, ...] = ()

    @property
    def host(self) -> str:
        return f"{self.key.name}.{self.key.namespace}.{DOMAIN}"


@dataclass(frozen=True, slots=True)
class Node:
    """A node with a data plane. `folder` holds its Envoy's files and sockets."""

    name: str
    address: str
    folder: str


def no_labels(pod: ObjectKey) -> Mapping[str, str]:
    return {}


def slices_by_service(slices: Iterable[Object]) -> dict[ObjectKey, list[Object]]:
    """The slices of each Service, by name. Only IPv4 is served."""
    behind: dict[ObjectKey, list[Object]] = {}
    for piece in slices:
        owner = meta.labels(piece).get(SERVICE_NAME)
        if owner and piece.get("addressType", "IPv4") == "IPv4" and not meta.is_deleting(piece):
            behind.setdefault(ObjectKey(meta.namespace(piece), owner), []).append(piece)
    for found in behind.values():
        found.sort(key=meta.name)
    return behind


def services(
    objects: Iterable[Object], slices: Iterable[Object], pod_labels: PodLabels = no_labels
) -> dict[ObjectKey, Service]:
    """Views of all Services with the endpoints of their slices."""
    behind = slices_by_service(slices)
    return {meta.key(obj): service(obj, behind.get(meta.key(obj), ()), pod_labels) for obj in objects}


class Viewer:
    """Views of Services, made anew only where an object has changed. Objects in a cache are never changed in place, so
    the same object means the same view; a pod's labels are looked at again after `forget`."""

    def __init__(self) -> None:
        self._known: dict[ObjectKey, tuple[list[Object], Service]] = {}

    def forget(self) -> None:
        self._known.clear()

    def services(
        self, objects: Iterable[Object], slices: Iterable[Object], pod_labels: PodLabels
    ) -> dict[ObjectKey, Service]:
        behind = slices_by_service(slices)
        fresh: dict[ObjectKey, tuple[list[Object], Service]] = {}
        for obj in objects:
            key = meta.key(obj)
            sources = [obj, *behind.get(key, ())]
            known = self._known.get(key)
            if known is None or not _same(known[0], sources):
                known = (sources, service(obj, sources[1:], pod_labels))
            fresh[key] = known
        self._known = fresh
        return {key: view for key, (_, view) in fresh.items()}


def _same(left: Sequence[Object], right: Sequence[Object]) -> bool:
    return len(left) == len(right) and all(a is b for a, b in zip(left, right, strict=True))


def service(obj: Object, slices: Sequence[Object], pod_labels: PodLabels = no_labels) -> Service:
    spec = obj.get("spec") or {}
    external = spec.get("type") == "ExternalName"
    address = "" if external else str(spec.get("clusterIP") or "")
    return Service(
        key=meta.key(obj),
        generation=meta.generation(obj),
        cluster_ip="" if address == "None" or ":" in address else address,
        headless=address == "None",
        external_name=str(spec.get("externalName") or "") if external else "",
        ports=tuple(_port(port) for port in spec.get("ports") or ()),
        client_affinity=spec.get("sessionAffinity") == "ClientIP",
        only_local=spec.get("internalTrafficPolicy") == "Local",
        publish_not_ready=bool(spec.get("publishNotReadyAddresses")),
        selects=bool(spec.get("selector")),
        reflected=_reflected(slices),
        endpoints=_endpoints(slices, pod_labels),
    )


def _port(port: Mapping[str, Any]) -> Port:
    return Port(
        name=str(port.get("name") or ""),
        number=int(port["port"]),
        protocol=str(port.get("protocol") or "TCP"),
        app_protocol=str(port.get("appProtocol") or ""),
        node_port=int(port.get("nodePort") or 0),
    )


def _reflected(slices: Iterable[Object]) -> int | None:
    texts = [meta.annotations(piece).get(SERVICE_GENERATION, "") for piece in slices]
    return min((int(text) for text in texts if text.isdecimal()), default=None)


def _endpoints(slices: Iterable[Object], pod_labels: PodLabels) -> tuple[Endpoint, ...]:
    """Every address once: while a pod moves from one slice to another, both may name it."""
    found: dict[str, Endpoint] = {}
    for piece in slices:
        ports = {
            str(port.get("name") or ""): int(port["port"]) for port in piece.get("ports") or () if port.get("port")
        }
        for entry in piece.get("endpoints") or ():
            for address in entry.get("addresses") or ():
                endpoint = _endpoint(entry, address, ports, pod_labels)
                known = found.get(address)
                if known is None or (endpoint.ready and not known.ready):
                    found[address] = endpoint
                elif known.ports.items() != ports.items():
                    found[address] = _with_ports(known, ports)
    return tuple(sorted(found.values(), key=lambda endpoint: _numeric(endpoint.address)))


def _numeric(address: str) -> tuple[int, ...]:
    return tuple(int(part) for part in address.split(".") if part.isdecimal())


def _with_ports(known: Endpoint, ports: Mapping[str, int]) -> Endpoint:
    merged = {**ports, **known.ports}
    return Endpoint(
        known.address, merged, known.node, known.hostname, known.ready, known.serving, known.terminating, known.labels
    )


def _endpoint(entry: Object, address: str, ports: Mapping[str, int], pod_labels: PodLabels) -> Endpoint:
    conditions = entry.get("conditions") or {}
    target = entry.get("targetRef") or {}
    pod = ObjectKey(str(target.get("namespace") or ""), str(target.get("name") or ""))
    ready = conditions.get("ready") is not False
    return Endpoint(
        address=address,
        ports=ports,
        node=str(entry.get("nodeName") or ""),
        hostname=str(entry.get("hostname") or ""),
        ready=ready,
        serving=ready if conditions.get("serving") is None else bool(conditions["serving"]),
        terminating=bool(conditions.get("terminating")),
        labels=pod_labels(pod) if target.get("kind") == "Pod" else {},
    )


def nodes(objects: Iterable[Object], folder: Callable[[str], str]) -> tuple[Node, ...]:
    """Nodes with an address and a network of their own, by name. A simulated node has no agent, and no network."""
    real = [obj for obj in objects if meta.annotations(obj).get(AGENT_SOCKET)]
    found = [Node(meta.name(obj), _internal_address(obj), folder(meta.name(obj))) for obj in real]
    return tuple(sorted((node for node in found if node.address), key=lambda node: node.name))


def _internal_address(node: Object) -> str:
    addresses = (node.get("status") or {}).get("addresses") or ()
    internal = (entry["address"] for entry in addresses if entry.get("type") == "InternalIP")
    return next((str(address) for address in internal if ":" not in str(address)), "")


def eligible(service: Service, node: str) -> tuple[Endpoint, ...]:
    """Where traffic may go from a node: what is ready; if nothing is, what is ending but still serves (KEP-1669)."""
    near = [end for end in service.endpoints if not service.only_local or end.node == node]
    ready = tuple(end for end in near if end.ready or service.publish_not_ready)
    return ready or tuple(end for end in near if end.serving and end.terminating)
