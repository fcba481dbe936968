"""pods/proxy, services/proxy and nodes/proxy: HTTP through the API server to what runs in the cluster.

A Service is reached at one of its ready endpoints, from the node of that endpoint; a pod from its own node; a node's
agent at its socket. Bodies are streamed; credentials and hop-by-hop headers stay here.
Source: apiserver/pkg/registry/generic/rest/proxy.go, pkg/registry/core/service/storage ResourceLocation.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import http_forward
from dabbawala.cluster.apiserver.http_forward import Asked
from dabbawala.cluster.apiserver.kubelet_link import KubeletLink
from dabbawala.cluster.apiserver.objects import Objects
from dabbawala.cluster.apiserver.plugins import SubresourceHandler
from dabbawala.cluster.apiserver.request import Request
from dabbawala.cluster.apiserver.response import Response
from dabbawala.cluster.apiserver.routes import Target

SERVICE_NAME = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Address:
    """An address in the cluster's network, and the node to reach it from (any, when empty)."""

    host: str
    port: int
    node: str = ""


@dataclass(frozen=True, slots=True)
class Named:
    """`[scheme:]name[:port]`, as the path of a proxy request names its target."""

    scheme: str
    name: str
    port: str


class Proxy:
    def __init__(self, objects: Objects, link: KubeletLink, randomness: random.Random) -> None:
        self._objects = objects
        self._link = link
        self._random = randomness

    def handlers(self) -> Mapping[tuple[str, str], SubresourceHandler]:
        return {
            ("pods", "proxy"): self._pod,
            ("services", "proxy"): self._service,
            ("nodes", "proxy"): self._node,
        }

    async def _pod(self, request: Request, target: Target) -> Response:
        named = parse_name(target.name)
        pod = self._objects.get("pods", target.namespace, named.name)
        if pod is None:
            raise status.not_found("pods", named.name)
        address = (pod.get("status") or {}).get("podIP")
        if not address:
            raise status.ServiceUnavailable(f'pod "{named.name}" has no address yet')
        found = Address(address, _pod_port(pod, named.port), pod["spec"].get("nodeName", ""))
        return await self._forward(request, target, found)

    async def _service(self, request: Request, target: Target) -> Response:
        named = parse_name(target.name)
        service = self._objects.get("services", target.namespace, named.name)
        if service is None:
            raise status.not_found("services", named.name)
        port = _service_port(service, named.port)
        every = list(self._endpoints(service, port))
        if not every:
            raise status.ServiceUnavailable(f'no endpoints available for service "{target.name}"')
        return await self._forward(request, target, self._random.choice(every))

    async def _node(self, request: Request, target: Target) -> Response:
        if request.method not in ("GET", "HEAD"):
            raise status.MethodNotAllowed("a node's agent answers GET through the proxy")
        reply = await self._link.get(parse_name(target.name).name, target.tail or "/", list(request.query))
        return Response(reply.status, reply.body, {"content-type": reply.content_type})

    def _endpoints(self, service: Object, port: Object) -> Iterator[Address]:
        """The ready endpoints of one port of a Service."""
        for piece in self._objects.list("endpointslices.discovery.k8s.io", meta.namespace(service)):
            if meta.labels(piece).get(SERVICE_NAME) != meta.name(service):
                continue
            number = next((one.get("port") for one in piece.get("ports") or () if _same_port(one, port)), None)
            for endpoint in piece.get("endpoints") or ():
                ready = (endpoint.get("conditions") or {}).get("ready", True)
                if number and ready is not False and endpoint.get("addresses"):
                    yield Address(endpoint["addresses"][0], int(number), endpoint.get("nodeName") or "")

    async def _forward(self, request: Request, target: Target, found: Address) -> Response:
        node = found.node
        if not node or not self._link.socket(node):
            every = self._link.nodes()
            if node or not every:
                raise status.ServiceUnavailable(f"no program listens at {found.host}:{found.port}: it is simulated")
            node = every[0]
        link = await self._link.upgrade(node, "/dial", [("address", f"{found.host}:{found.port}")])
        path = target.kind.path(target.namespace, target.name, "proxy")
        return await http_forward.forward(request, Asked(target.tail or "/", f"{found.host}:{found.port}", path), link)


def parse_name(text: str) -> Named:
    """Raises BadRequest for https, which would have to be verified against nothing."""
    parts = text.split(":")
    if len(parts) == 1:
        return Named("http", parts[0], "")
    if len(parts) == 2:
        return Named("http", parts[0], parts[1])
    scheme, name, port = parts[0], parts[1], ":".join(parts[2:])
    if scheme not in ("", "http", "https"):
        raise status.BadRequest(f'invalid service request "{text}"')
    if scheme == "https":
        raise status.BadRequest(f"https is not spoken through this proxy; use http or a port-forward for {name}")
    return Named("http", name, port)


def _pod_port(pod: Object, wanted: str) -> int:
    """A port by number, by name, or the pod's first, or 80."""
    ports = [port for one in pod["spec"].get("containers") or () for port in one.get("ports") or ()]
    if wanted.isdecimal():
        return int(wanted)
    if wanted:
        named = next((port for port in ports if port.get("name") == wanted), None)
        if named is None:
            raise status.BadRequest(f'pod "{meta.name(pod)}" has no port named "{wanted}"')
        return int(named["containerPort"])
    return int(ports[0]["containerPort"]) if ports else 80


def _service_port(service: Object, wanted: str) -> Object:
    ports: list[Any] = (service.get("spec") or {}).get("ports") or []
    if not wanted and len(ports) == 1:
        return dict(ports[0])
    for port in ports:
        if wanted and wanted in (port.get("name"), str(port.get("port"))):
            return dict(port)
    if not wanted:
        unnamed = next((port for port in ports if not port.get("name")), None)
        if unnamed is not None:
            return dict(unnamed)
    raise status.ServiceUnavailable(f'no service port "{wanted}" found for service "{meta.name(service)}"')


def _same_port(piece: Object, port: Object) -> bool:
    return (piece.get("name") or "") == (port.get("name") or "")
