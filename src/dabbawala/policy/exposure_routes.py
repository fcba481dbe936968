"""The ways in that lead through a proxy: Ingress, Gateway API routes, Istio Gateways with VirtualServices.

A proxy is as public as the ways to its own pods. One that has no pods in the cluster (a cloud's load balancer) is
public unless it is told to stay inside. Sources: networking/v1, gateway.networking.k8s.io/v1, networking.istio.io/v1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dabbawala.apimachinery import meta, selectors
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.policy.exposure import (
    GATEWAY,
    INGRESS,
    VIRTUAL_SERVICE,
    Cluster,
    Exposure,
    direct_exposures,
    forwarded,
    is_internal,
)
from dabbawala.policy.exposure_sources import ANYBODY, INTERNET
from dabbawala.policy.network import Graph

CONTROLLERS = ("ingress-nginx", "nginx-ingress", "traefik", "haproxy", "kong", "contour", "envoy", "apisix", "istio")
"""What pods of ingress controllers call themselves in `app.kubernetes.io/name`, `app` or `k8s-app`."""
_NAME_LABELS = ("app.kubernetes.io/name", "app", "k8s-app")
_GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"
_ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")
_ALB_SCHEME = "alb.ingress.kubernetes.io/scheme"
_CLASS_ANNOTATION = "kubernetes.io/ingress.class"


def exposures(objects: Iterable[Object], graph: Graph) -> list[Exposure]:
    """Every way in, of the objects given: Pods, Services, EndpointSlices, Nodes, and what routes to them."""
    cluster = Cluster.of(objects, graph)
    direct = direct_exposures(cluster)
    entries = _Entries(cluster, direct)
    found = [*direct, *_ingresses(entries), *_gateway_routes(entries), *_virtual_services(entries)]
    return sorted(found, key=lambda way: (way.pod, way.port or 0, way.protocol, way.means, way.chain))


@dataclass(frozen=True, slots=True)
class Proxy:
    """The pods that forward; none where the proxy is not in the cluster."""

    pods: tuple[ObjectKey, ...]
    public: bool
    chain: tuple[str, ...]


class _Entries:
    """The pods that something leads to from outside, by what may find them: the proxies' own way in."""

    def __init__(self, cluster: Cluster, direct: Sequence[Exposure]) -> None:
        self.cluster = cluster
        self._ways: dict[ObjectKey, Exposure] = {}
        self._called: dict[tuple[str, ...], tuple[ObjectKey, ...]] = {}
        for way in direct:
            known = self._ways.get(way.pod)
            if way.open and (known is None or (way.public and not known.public)):
                self._ways[way.pod] = way

    def called(self, names: tuple[str, ...]) -> tuple[ObjectKey, ...]:
        """The pods that call themselves so. A hundred Ingresses ask for the same ones."""
        known = self._called.get(names)
        if known is None:
            known = self._called[names] = self.those(lambda pod: _called(pod, names))
        return known

    def those(self, is_one: Callable[[Object], bool]) -> tuple[ObjectKey, ...]:
        return tuple(key for key, pod in self.cluster.pods.items() if is_one(pod))

    def proxy(self, pods: tuple[ObjectKey, ...], what: str, *, public_outside: bool) -> Proxy:
        """The proxy whose pods are those; outside the cluster if there are none."""
        if not pods:
            return Proxy((), public_outside, (what,))
        ways = sorted((self._ways[key] for key in pods if key in self._ways), key=lambda way: not way.public)
        if not ways:
            return Proxy(pods, False, (f"pod {pods[0]}", what))
        return Proxy(pods, ways[0].public, (*ways[0].chain, f"pod {ways[0].pod}", what))

    def through(self, proxy: Proxy, means: str, service: ObjectKey, route: Route) -> Iterator[Exposure]:
        sources = INTERNET if proxy.public else ANYBODY
        for backend in self.cluster.backends.of(service, route.port):
            chain = (*proxy.chain, *route.chain, f"Service {service}:{backend.service_port}")
            stopped = forwarded(self.cluster, proxy.pods, backend, sources)
            yield Exposure(
                backend.pod, backend.port, backend.protocol, means, proxy.public, chain, route.hosts, stopped
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Route:
    """What a proxy forwards by: hosts, and the Service's port by number or name."""

    hosts: tuple[str, ...]
    port: int | str | None
    chain: tuple[str, ...] = ()


def _ingresses(entries: _Entries) -> Iterator[Exposure]:
    classes = entries.cluster.kinds.get("IngressClass.networking.k8s.io", [])
    controllers = {meta.name(found): str((found.get("spec") or {}).get("controller") or "") for found in classes}
    for ingress in entries.cluster.kinds.get("Ingress.networking.k8s.io", ()):
        spec = ingress.get("spec") or {}
        name = spec.get("ingressClassName") or meta.annotations(ingress).get(_CLASS_ANNOTATION) or ""
        proxy = _controller(entries, ingress, f"{name} {controllers.get(name, '')}")
        seen = set()
        for host, backend in _ingress_backends(spec):
            service = backend.get("service") or {}
            port = service.get("port") or {}
            key = ObjectKey(meta.namespace(ingress), service.get("name") or "")
            wanted = port.get("number") or port.get("name")
            if (host, key, wanted) not in seen:
                seen.add((host, key, wanted))
                yield from entries.through(proxy, INGRESS, key, Route((host,) if host else (), wanted))


def _ingress_backends(spec: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if spec.get("defaultBackend"):
        yield "", spec["defaultBackend"]
    for rule in spec.get("rules") or ():
        for path in (rule.get("http") or {}).get("paths") or ():
            yield rule.get("host") or "", path.get("backend") or {}


def _controller(entries: _Entries, ingress: Object, described: str) -> Proxy:
    """The pods of the controller that the class names; of any that is known where the class tells nothing."""
    words = set(described.split()) - {"ingress"}
    named = [name for name in CONTROLLERS if name in described or words & set(name.split("-"))]
    cloud = "alb" in described or "gce" in described
    wanted = named or ([] if cloud else list(CONTROLLERS))
    public = not is_internal(meta.annotations(ingress)) and "internal" not in described
    if "alb" in described:
        public = meta.annotations(ingress).get(_ALB_SCHEME) == "internet-facing"
    what = f"Ingress {meta.key(ingress)}"
    return entries.proxy(entries.called(tuple(wanted)), what, public_outside=public)


def _called(pod: Object, names: Iterable[str]) -> bool:
    labels = meta.labels(pod)
    return any(labels.get(key, "") in names for key in _NAME_LABELS)


def _gateway_routes(entries: _Entries) -> Iterator[Exposure]:
    proxies: dict[ObjectKey, Proxy] = {}
    for gateway in entries.cluster.kinds.get("Gateway.gateway.networking.k8s.io", ()):
        key, notes = meta.key(gateway), (gateway.get("spec") or {}).get("infrastructure") or {}
        internal = is_internal({**meta.annotations(gateway), **(notes.get("annotations") or {})})
        proxies[key] = entries.proxy(entries.those(_deployed_for(key)), f"Gateway {key}", public_outside=not internal)
    for kind in _ROUTES:
        for route in entries.cluster.kinds.get(f"{kind}.gateway.networking.k8s.io", ()):
            yield from _of_route(entries, proxies, route)


def _deployed_for(gateway: ObjectKey) -> Callable[[Object], bool]:
    def is_one(pod: Object) -> bool:
        return meta.namespace(pod) == gateway.namespace and meta.labels(pod).get(_GATEWAY_NAME) == gateway.name

    return is_one


def _of_route(entries: _Entries, proxies: Mapping[ObjectKey, Proxy], route: Object) -> Iterator[Exposure]:
    spec, home = route.get("spec") or {}, meta.namespace(route)
    hosts, chain = tuple(spec.get("hostnames") or ()), (f"{route.get('kind')} {meta.key(route)}",)
    for parent in spec.get("parentRefs") or ():
        proxy = proxies.get(ObjectKey(parent.get("namespace") or home, parent.get("name") or ""))
        if proxy is None or (parent.get("kind") or "Gateway") != "Gateway":
            continue
        refs = (ref for rule in spec.get("rules") or () for ref in rule.get("backendRefs") or ())
        wanted = {
            (ObjectKey(ref.get("namespace") or home, ref.get("name") or ""), ref.get("port"))
            for ref in refs
            if (ref.get("kind") or "Service") == "Service"
        }
        for service, port in sorted(wanted, key=str):
            yield from entries.through(proxy, GATEWAY, service, Route(hosts, port, chain))


def _virtual_services(entries: _Entries) -> Iterator[Exposure]:
    proxies: dict[ObjectKey, Proxy] = {}
    for gateway in entries.cluster.kinds.get("Gateway.networking.istio.io", ()):
        chosen = selectors.from_labels((gateway.get("spec") or {}).get("selector"))
        key = meta.key(gateway)
        proxies[key] = entries.proxy(entries.those(_labelled(chosen)), f"Gateway {key}", public_outside=True)
    for found in entries.cluster.kinds.get("VirtualService.networking.istio.io", ()):
        spec, home = found.get("spec") or {}, meta.namespace(found)
        hosts, chain = tuple(spec.get("hosts") or ()), (f"VirtualService {meta.key(found)}",)
        for name in spec.get("gateways") or ():
            proxy = proxies.get(_gateway_key(name, home))
            if proxy is None:
                continue
            for service, port in _destinations(spec, home):
                yield from entries.through(proxy, VIRTUAL_SERVICE, service, Route(hosts, port, chain))


def _labelled(selector: selectors.LabelSelector) -> Callable[[Object], bool]:
    return lambda pod: selector.matches(meta.labels(pod))


def _gateway_key(name: str, home: str) -> ObjectKey:
    """`namespace/name`, or a name of the VirtualService's own namespace."""
    namespace, slash, own = name.partition("/")
    return ObjectKey(namespace if namespace != "." else home, own) if slash else ObjectKey(home, name)


def _destinations(spec: Mapping[str, Any], home: str) -> list[tuple[ObjectKey, int | None]]:
    found: dict[tuple[ObjectKey, int | None], None] = {}
    for protocol in ("http", "tls", "tcp"):
        for rule in spec.get(protocol) or ():
            for route in rule.get("route") or ():
                destination = route.get("destination") or {}
                key = _service_key(str(destination.get("host") or ""), home)
                found[key, (destination.get("port") or {}).get("number")] = None
    return sorted(found, key=str)


def _service_key(host: str, home: str) -> ObjectKey:
    """A short name, `name.namespace`, or `name.namespace.svc.cluster.local`."""
    parts = host.split(".")
    return ObjectKey(parts[1] if len(parts) > 1 else home, parts[0])
