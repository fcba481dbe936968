"""What Ingresses and routes send where: the Services behind them, and hosts that two of them claim."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Function
from dabbawala.guard import inventory
from dabbawala.guard.world import TYPE, World

_CANARY = "nginx.ingress.kubernetes.io/canary"
_CLASS = "kubernetes.io/ingress.class"
_BY_ANNOTATION = "use-annotation"
"""The port's name by which the AWS controller is told to look at an annotation instead."""
_CLUSTER = "svc"


def backend_refs(obj: Mapping[str, Any]) -> list[Object]:
    """The Services that an Ingress, a route of the Gateway API or a VirtualService sends to: `namespace`, `name`, and
    `port` by number or name (null for any)."""
    route: Object = dict(obj)
    find = {"Ingress": _of_ingress, "VirtualService": _of_virtual_service}.get(str(route.get("kind")), _of_route)
    found = {(name, home, port): None for home, name, port in find(route.get("spec") or {}, meta.namespace(route))}
    return [{"namespace": home, "name": name, "port": port} for name, home, port in found if name]


_Ref = tuple[str, str, int | str | None]


def _of_ingress(spec: Mapping[str, Any], home: str) -> Iterator[_Ref]:
    paths = [path for rule in spec.get("rules") or () for path in (rule.get("http") or {}).get("paths") or ()]
    for backend in (spec.get("defaultBackend") or {}, *(path.get("backend") or {} for path in paths)):
        service = backend.get("service") or {}
        port = (service.get("port") or {}).get("number") or (service.get("port") or {}).get("name")
        if port != _BY_ANNOTATION:
            yield home, service.get("name") or "", port


def _of_route(spec: Mapping[str, Any], home: str) -> Iterator[_Ref]:
    for rule in spec.get("rules") or ():
        for ref in rule.get("backendRefs") or ():
            if (ref.get("kind") or "Service") == "Service" and not ref.get("group"):
                yield ref.get("namespace") or home, ref.get("name") or "", ref.get("port")


def _of_virtual_service(spec: Mapping[str, Any], home: str) -> Iterator[_Ref]:
    """Hosts that are Services of the cluster: short names, and those under `svc`."""
    rules = [rule for protocol in ("http", "tls", "tcp") for rule in spec.get(protocol) or ()]
    for destination in (r.get("destination") or {} for rule in rules for r in rule.get("route") or ()):
        parts = str(destination.get("host") or "").split(".")
        if len(parts) == 1 or (len(parts) > 2 and parts[2] == _CLUSTER):
            yield (parts[1] if len(parts) > 1 else home), parts[0], (destination.get("port") or {}).get("number")


def selected_namespaces(world: World, selector: Mapping[str, Any]) -> list[str]:
    """The namespaces that a LabelSelector selects, those that are only implied included."""
    wanted = inventory.as_selector(selector)
    return [name for name, item in world.inventory.namespaces.items() if wanted.matches(item.labels)]


def rivals(world: World, ingress: Mapping[str, Any]) -> list[str]:
    """The hosts and paths of an Ingress that another one of the same class has too, as sentences."""
    obj: Object = dict(ingress)
    claims = world.once("claims", lambda: _claims(world))
    own = f"{meta.namespace(obj)}/{meta.name(obj)}"
    found = []
    for claim in dict.fromkeys(_claimed(obj)):
        others = [other for other in claims.get(claim, ()) if other != own]
        if others:
            found.append(f"{claim[1] or 'every host'}{claim[2]} is also of Ingress {others[0]}")
    return found


def _claims(world: World) -> dict[tuple[str, str, str], list[str]]:
    found: dict[tuple[str, str, str], list[str]] = {}
    for item in world.items("Ingress.networking.k8s.io"):
        for claim in dict.fromkeys(_claimed(item.object)):
            found.setdefault(claim, []).append(f"{item.namespace}/{item.name}")
    return found


def _claimed(ingress: Object) -> Iterator[tuple[str, str, str]]:
    """Class, host and path. A canary shares those of the Ingress beside it."""
    spec, notes = ingress.get("spec") or {}, meta.annotations(ingress)
    if notes.get(_CANARY) == "true":
        return
    for rule in spec.get("rules") or ():
        for path in (rule.get("http") or {}).get("paths") or ():
            named = spec.get("ingressClassName") or notes.get(_CLASS) or ""
            yield named, rule.get("host") or "", path.get("path") or "/"


FUNCTIONS = (
    Function("backendRefs", ("dyn",), "list<dyn>", backend_refs),
    Function("selectedNamespaces", (TYPE, "map<string, dyn>"), "list<string>", selected_namespaces, receiver=True),
    Function("rivals", (TYPE, "dyn"), "list<string>", rivals, receiver=True),
)
