"""What stands behind a Service's port: which pods, on which of their own ports.

NetworkPolicy judges a connection where it ends, after the Service's address has been replaced, so whoever asks about a
Service asks about these. Source: core/v1 ServiceSpec, discovery/v1 EndpointSlice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from dabbawala.apimachinery import meta, selectors
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.policy.network import Graph
from dabbawala.policy.network_ends import Place
from dabbawala.policy.network_pods import ENDED, serving_containers

_SERVICE_NAME = "kubernetes.io/service-name"


class Backend(NamedTuple):
    """A Service's port (number and name) and a pod's port behind it."""

    service: ObjectKey
    service_port: int
    name: str
    pod: ObjectKey
    port: int
    protocol: str

    def of_port(self, port: int | str | None) -> bool:
        """Whether a reference by number or name means this one; None means any."""
        return port is None or port in (self.service_port, self.name or None)


class Backends:
    """The Services of a cluster, looked up in its pods and EndpointSlices."""

    def __init__(self, services: Iterable[Object], pods: Iterable[Object], slices: Iterable[Object] = ()) -> None:
        self.services = {meta.key(service): service for service in services}
        self._pods: dict[tuple[str, str, str], list[Object]] = {}
        for pod in pods:
            if (pod.get("status") or {}).get("phase") not in ENDED:
                for key, value in meta.labels(pod).items():
                    self._pods.setdefault((meta.namespace(pod), key, value), []).append(pod)
        self._slices: dict[ObjectKey, list[Object]] = {}
        for found in slices:
            owner = ObjectKey(meta.namespace(found), meta.labels(found).get(_SERVICE_NAME, ""))
            self._slices.setdefault(owner, []).append(found)

    def of(self, service: ObjectKey, port: int | str | None = None) -> list[Backend]:
        """Empty for a Service that is not there, and for one that no pod stands behind."""
        found = self.services.get(service)
        return [] if found is None else [backend for backend in self._behind(service, found) if backend.of_port(port)]

    def _behind(self, key: ObjectKey, service: Object) -> Iterator[Backend]:
        spec = service.get("spec") or {}
        if spec.get("type") == "ExternalName":
            return
        if not spec.get("selector"):
            yield from self._sliced(key, spec)
            return
        chosen = selectors.from_labels(spec["selector"])
        lists = [self._pods.get((key.namespace, *label), []) for label in spec["selector"].items()]
        for pod in min(lists, key=len):
            if chosen.matches(meta.labels(pod)):
                for port in spec.get("ports") or ():
                    yield from _on(key, port, pod)

    def _sliced(self, key: ObjectKey, spec: Mapping[str, Any]) -> Iterator[Backend]:
        """Without a selector somebody else says what stands behind it."""
        numbers = {port.get("name") or "": port for port in spec.get("ports") or ()}
        for found in self._slices.get(key, ()):
            for endpoint in found.get("endpoints") or ():
                target = endpoint.get("targetRef") or {}
                if target.get("kind") != "Pod":
                    continue
                pod = ObjectKey(target.get("namespace") or key.namespace, target.get("name") or "")
                for port in found.get("ports") or ():
                    own = numbers.get(port.get("name") or "")
                    if own and port.get("port"):
                        protocol = port.get("protocol") or "TCP"
                        yield Backend(key, own["port"], own.get("name") or "", pod, port["port"], protocol)


def _on(key: ObjectKey, port: Mapping[str, Any], pod: Object) -> Iterator[Backend]:
    protocol, number = port.get("protocol") or "TCP", port.get("port") or 0
    target = port.get("targetPort") or number
    if isinstance(target, str):
        target = _named(pod, target, protocol)
    if target:
        yield Backend(key, number, port.get("name") or "", meta.key(pod), target, protocol)


def _named(pod: Object, name: str, protocol: str) -> int:
    """The first of that name, as endpoints are made; 0 if no container has it."""
    for container in serving_containers(pod.get("spec") or {}):
        for port in container.get("ports") or ():
            if port.get("name") == name and (port.get("protocol") or "TCP") == protocol:
                return int(port.get("containerPort") or 0)
    return 0


def reached(graph: Graph, source: Place, backends: Iterable[Backend]) -> list[Backend]:
    """Those of the backends that NetworkPolicy lets the source reach."""
    return [found for found in backends if graph.allows(source, found.pod, found.port, found.protocol)]
