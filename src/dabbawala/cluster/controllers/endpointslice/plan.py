"""EndpointSlice: which addresses stand behind a Service.

A Service's slices are grouped by address family and by the target ports that the pods give (a named port may have
different numbers in different pods). Slices keep their endpoints as far as possible, so that a pod that comes or goes
rewrites one slice of at most 100 endpoints. Every slice says, in an annotation, which generation of the Service it
reflects; the data plane's acceptance of that is what a rollout waits for.
Source: pkg/controller/endpointslice and staging/endpointslice in Kubernetes 1.37; KEP-1672 (terminating).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dabbawala.api import discovery_v1
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.controllers.endpointslice.ports import Ports, fixed_ports, target_ports
from dabbawala.reconcile import pods
from dabbawala.reconcile.plan import Action, Create, Delete, Patch, Plan

MANAGER = "endpointslice-controller.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
HEADLESS = "service.kubernetes.io/headless"
GENERATION = "dabbawala.dev/service-generation"
LARGEST = 100
"""Endpoints in one slice."""

_ZONE = "topology.kubernetes.io/zone"


@dataclass(frozen=True, slots=True)
class Observed:
    """Pods that the Service selects, its slices, and the nodes by name."""

    pods: Sequence[Object]
    slices: Sequence[Object]
    nodes: Mapping[str, Object]


def plan(desired: Object, observed: Observed) -> Plan:
    spec = desired["spec"]
    if not spec.get("selector") or spec.get("type") == "ExternalName" or meta.is_deleting(desired):
        return Plan()
    actions: list[Action] = []
    kept: set[ObjectKey] = set()
    for family in spec.get("ipFamilies") or ("IPv4",):
        groups = _groups(desired, observed, family)
        slices = [item for item in observed.slices if item.get("addressType") == family]
        for ports, endpoints in groups.items():
            mine = [item for item in slices if _ports_of(item) == _port_objects(ports)]
            written, used = _fill(desired, family, ports, endpoints, mine)
            actions.extend(written)
            kept |= used
    surplus = [item for item in observed.slices if meta.key(item) not in kept and not meta.is_deleting(item)]
    deletions = [Delete(discovery_v1.ENDPOINT_SLICE, meta.key(item), uid=meta.uid(item)) for item in surplus]
    return Plan((*actions, *deletions))


def slice_filter(item: Object) -> bool:
    """Slices that this controller keeps; those of others are not touched."""
    return meta.labels(item).get(MANAGED_BY) == MANAGER


def _groups(desired: Object, observed: Observed, family: str) -> dict[Ports, list[Object]]:
    """Endpoints by the ports they have; a Service without pods still gets one empty slice."""
    groups: dict[Ports, list[Object]] = {}
    zones = {name: meta.labels(node).get(_ZONE) for name, node in observed.nodes.items()}
    fixed = fixed_ports(desired)
    for pod in observed.pods:
        address = _address(pod, family)
        if address and not pods.is_finished(pod):
            ports = target_ports(desired, pod) if fixed is None else fixed
            groups.setdefault(ports, []).append(_endpoint(desired, pod, address, zones))
    return groups or {(): []}


def _address(pod: Object, family: str) -> str:
    status = pod.get("status") or {}
    for item in status.get("podIPs") or ({"ip": status.get("podIP")},):
        address = item.get("ip")
        if address and (":" in address) == (family == "IPv6"):
            return str(address)
    return ""


def _endpoint(service: Object, pod: Object, address: str, zones: Mapping[str, str | None]) -> Object:
    """Ready takes no pod that is on its way out, unless the Service wants addresses however they are; serving does,
    which is what lets a terminating pod finish what it has."""
    always = bool(service["spec"].get("publishNotReadyAddresses"))
    serving, terminating = pods.is_ready(pod), meta.is_deleting(pod)
    endpoint: Object = {
        "addresses": [address],
        "conditions": {
            "ready": always or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": {
            "kind": "Pod",
            "namespace": meta.namespace(pod),
            "name": meta.name(pod),
            "uid": meta.uid(pod),
        },
    }
    node = pods.node_name(pod)
    if node:
        endpoint["nodeName"] = node
        zone = zones.get(node)
        if zone:
            endpoint["zone"] = zone
    spec = pod.get("spec") or {}
    if spec.get("hostname") and spec.get("subdomain") == meta.name(service):
        endpoint["hostname"] = spec["hostname"]
    return endpoint


def _fill(
    service: Object, family: str, ports: Ports, endpoints: Sequence[Object], slices: Sequence[Object]
) -> tuple[list[Action], set[ObjectKey]]:
    """Leave endpoints in the slices they are in, put new ones where there is room, make slices for the rest."""
    wanted = {_identity(item): item for item in endpoints}
    contents: list[list[Object]] = []
    ordered = sorted((item for item in slices if not meta.is_deleting(item)), key=meta.name)
    for item in ordered:
        staying = [_identity(old) for old in item.get("endpoints") or ()]
        contents.append([wanted.pop(identity) for identity in staying if identity in wanted])
    fresh = sorted(wanted.values(), key=_name)
    for content in sorted(contents, key=len, reverse=True):
        room = max(LARGEST - len(content), 0)
        content.extend(fresh[:room])
        del fresh[:room]
    actions: list[Action] = []
    used: set[ObjectKey] = set()
    for item, content in zip(ordered, contents, strict=True):
        if content or (not endpoints and not used):
            used.add(meta.key(item))
            actions.extend(_change(service, item, content))
    while fresh or (not used and not actions):
        actions.append(Create(discovery_v1.ENDPOINT_SLICE, _slice(service, family, ports, fresh[:LARGEST])))
        del fresh[:LARGEST]
    return actions, used


def _identity(endpoint: Object) -> tuple[str, str]:
    return (endpoint.get("targetRef") or {}).get("uid", ""), endpoint["addresses"][0]


def _name(endpoint: Object) -> str:
    return str(endpoint["targetRef"]["name"])


def _change(service: Object, item: Object, content: Sequence[Object]) -> Iterable[Action]:
    body: Object = {}
    if (item.get("endpoints") or []) != list(content):
        body["endpoints"] = list(content)
    labels = _labels(service)
    annotations = {GENERATION: str(meta.generation(service))}
    stale = {name: None for name in meta.labels(item) if name not in labels}
    if stale or not labels.items() <= meta.labels(item).items():
        body["metadata"] = {"labels": {**stale, **labels}}
    if not annotations.items() <= meta.annotations(item).items():
        body["metadata"] = {**body.get("metadata", {}), "annotations": annotations}
    if body:
        yield Patch(discovery_v1.ENDPOINT_SLICE, meta.key(item), body, resource_version=meta.resource_version(item))


def _slice(service: Object, family: str, ports: Ports, endpoints: Sequence[Object]) -> Object:
    return {
        "apiVersion": discovery_v1.ENDPOINT_SLICE.api_version,
        "kind": discovery_v1.ENDPOINT_SLICE.kind,
        "metadata": {
            "generateName": f"{meta.name(service)}-",
            "namespace": meta.namespace(service),
            "labels": _labels(service),
            "annotations": {GENERATION: str(meta.generation(service))},
            "ownerReferences": [meta.owner_reference(service)],
        },
        "addressType": family,
        "endpoints": list(endpoints),
        "ports": _port_objects(ports),
    }


def _labels(service: Object) -> dict[str, str]:
    """The Service's own labels and those that mark the slice."""
    headless = {HEADLESS: ""} if service["spec"].get("clusterIP") == "None" else {}
    return {
        **{name: value for name, value in meta.labels(service).items() if name != HEADLESS},
        SERVICE_NAME: meta.name(service),
        MANAGED_BY: MANAGER,
        **headless,
    }


def _port_objects(ports: Ports) -> list[Object]:
    return [dict(port) for port in ports]


def _ports_of(item: Object) -> list[Object]:
    return list(item.get("ports") or ())
