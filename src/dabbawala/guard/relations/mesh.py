"""Mutual TLS between pods of an Istio mesh: which mode a pod ends up with.

The narrowest PeerAuthentication that sets a mode counts: of the pod, of its namespace, of the whole mesh.
Source: istio security/v1 PeerAuthentication.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dabbawala.apimachinery import meta, selectors
from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Function
from dabbawala.guard.relations.zones import around
from dabbawala.guard.world import TYPE, World

ROOT = "istio-system"
STRICT, UNSET = "STRICT", "UNSET"

_KIND = "PeerAuthentication.security.istio.io"


def mtls(world: World, namespace: str, labels: Mapping[str, str]) -> str:
    """The mode of mutual TLS of pods with these labels: `STRICT`, `PERMISSIVE` (also for some port only), `DISABLE`, or
    `UNSET` where nothing says one, which means permissive."""
    for policy in _narrowest_first(world, namespace, labels):
        spec = policy.get("spec") or {}
        mode = _mode(spec.get("mtls"))
        if mode != UNSET:
            ports = {_mode(port) for port in (spec.get("portLevelMtls") or {}).values()} - {STRICT, UNSET}
            return min(ports) if mode == STRICT and ports else mode
    return UNSET


def _narrowest_first(world: World, namespace: str, labels: Mapping[str, str]) -> Iterator[Object]:
    own = world.objects(_KIND, namespace)
    chosen = {id(policy): _selector(policy) for policy in own}
    yield from (p for p in own if chosen[id(p)] and selectors.from_labels(chosen[id(p)]).matches(labels))
    yield from (p for p in own if not chosen[id(p)])
    yield from (p for p in world.objects(_KIND, ROOT) if namespace != ROOT and not _selector(p))


def _selector(policy: Object) -> dict[str, str]:
    return ((policy.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}


def _mode(given: Any) -> str:
    return str((given or {}).get("mode") or UNSET)


def in_mesh(world: World, namespace: str, labels: Mapping[str, str]) -> bool:
    """Whether Istio puts its proxy beside pods with these labels, or its ambient mode takes them in."""
    home = meta.labels(world.namespace(namespace) or {})
    said = around(world, namespace, labels)
    if labels.get("sidecar.istio.io/inject") == "false" or said.get("istio.io/dataplane-mode") == "none":
        return False
    wanted = home.get("istio-injection") == "enabled" or "istio.io/rev" in said
    return wanted or labels.get("sidecar.istio.io/inject") == "true" or said.get("istio.io/dataplane-mode") == "ambient"


def subsets(world: World, virtual_service: Mapping[str, Any]) -> list[Object]:
    """The subsets that a VirtualService sends to and that no DestinationRule of the host defines: `host`, `subset`, and
    `ruled`, whether there is a rule for the host at all."""
    obj: Object = dict(virtual_service)
    home = meta.namespace(obj)
    wanted = dict.fromkeys(
        (str(destination.get("host") or ""), str(destination["subset"]))
        for destination in _destinations(obj.get("spec") or {})
        if destination.get("subset")
    )
    rules = world.once("subsets", lambda: _defined(world))
    found = []
    for host, subset in wanted:
        defined = rules.get(full_name(host, home))
        if defined is None or subset not in defined:
            found.append({"host": host, "subset": subset, "ruled": defined is not None})
    return found


def _destinations(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for protocol in ("http", "tls", "tcp"):
        for route in spec.get(protocol) or ():
            yield from (target.get("destination") or {} for target in route.get("route") or ())
            yield from (route[field] for field in ("mirror",) if route.get(field))
            yield from (mirror.get("destination") or {} for mirror in route.get("mirrors") or ())


def _defined(world: World) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for item in world.items("DestinationRule.networking.istio.io"):
        spec = item.object.get("spec") or {}
        names = {str(subset.get("name")) for subset in spec.get("subsets") or ()}
        found.setdefault(full_name(str(spec.get("host") or ""), item.namespace), set()).update(names)
    return found


def full_name(host: str, namespace: str) -> str:
    """A host as the mesh knows it: short names are of the namespace in which they are written."""
    if "." not in host and host != "*":
        return f"{host}.{namespace}.svc.cluster.local"
    parts = host.split(".")
    return f"{host}.cluster.local" if len(parts) == 3 and parts[2] == "svc" else host


def rival_routes(world: World, virtual_service: Mapping[str, Any]) -> list[str]:
    """Other VirtualServices that route a host inside of the mesh that this one routes too, as sentences."""
    obj: Object = dict(virtual_service)
    claims = world.once("mesh-hosts", lambda: _mesh_hosts(world))
    own = f"{meta.namespace(obj)}/{meta.name(obj)}"
    found = []
    for host in _hosts_in_mesh(obj):
        others = [other for other in claims.get(host, ()) if other != own]
        if others:
            found.append(f"{host} is also routed by VirtualService {others[0]}")
    return found


def _mesh_hosts(world: World) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in world.items("VirtualService.networking.istio.io"):
        for host in _hosts_in_mesh(item.object):
            found.setdefault(host, []).append(f"{item.namespace}/{item.name}")
    return found


def _hosts_in_mesh(virtual_service: Object) -> Iterator[str]:
    spec = virtual_service.get("spec") or {}
    if "mesh" in (spec.get("gateways") or ["mesh"]):
        home = meta.namespace(virtual_service)
        yield from dict.fromkeys(full_name(str(host), home) for host in spec.get("hosts") or ())


FUNCTIONS = (
    Function("subsets", (TYPE, "dyn"), "list<dyn>", subsets, receiver=True),
    Function("rivalRoutes", (TYPE, "dyn"), "list<string>", rival_routes, receiver=True),
    Function("inMesh", (TYPE, "string", "map<string, dyn>"), "bool", in_mesh, receiver=True),
    Function("mtls", (TYPE, "string", "map<string, dyn>"), "string", mtls, receiver=True),
)
