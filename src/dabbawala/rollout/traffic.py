"""Weights and revisions as Istio objects: what a VirtualService says now, and the patch that makes it say otherwise.

Pure translation. A destination is a side's when its host names the side's Service or its subset is the side's.
Weights are changed in place and everything else in a route stays; destinations that belong to neither side are
dropped, as Argo does, for the two weights must make 100. Subsets of others stay: nothing routes to them.
Source: Argo Rollouts, rollout/trafficrouting/istio.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.rollout import keys, spec

PROTOCOLS = ("http", "tls", "tcp")


class Unroutable(Exception):
    """The route does not have what the Rollout refers to; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A VirtualService of a Rollout, and which of its routes are steered."""

    key: ObjectKey
    routes: tuple[str, ...]
    tls: tuple[Object, ...]
    tcp: tuple[Object, ...]


@dataclass(frozen=True, slots=True)
class Sides:
    """How to tell the sides' destinations: by Service, by subset, or both. `others` are subsets that are neither's."""

    canary_service: str
    stable_service: str
    canary_subset: str
    stable_subset: str
    others: frozenset[str] = frozenset()

    def side(self, destination: Object) -> str:
        """`canary`, `stable`, or empty for neither."""
        subset = destination.get("subset")
        if subset and subset in (self.canary_subset, self.stable_subset):
            return "canary" if subset == self.canary_subset else "stable"
        host = str(destination.get("host", "")).split(".")[0]
        if not host or subset:
            return ""
        return {self.canary_service: "canary", self.stable_service: "stable"}.get(host, "")


def references(rollout: Object) -> list[Reference]:
    """The VirtualServices that a Rollout steers."""
    istio = (spec.routing(rollout) or {}).get("istio") or {}
    one = istio.get("virtualService")
    return [_reference(rollout, item) for item in ([one] if one else istio.get("virtualServices") or ())]


def _reference(rollout: Object, item: Object) -> Reference:
    namespace, _, name = str(item.get("name", "")).rpartition("/")
    key = ObjectKey(namespace or str(rollout["metadata"].get("namespace") or ""), name)
    return Reference(
        key,
        tuple(item.get("routes") or ()),
        tuple(item.get("tlsRoutes") or ()),
        tuple(item.get("tcpRoutes") or ()),
    )


def destination_rule(rollout: Object) -> ObjectKey | None:
    """The DestinationRule whose subsets stand for the sides."""
    found = ((spec.routing(rollout) or {}).get("istio") or {}).get("destinationRule")
    if not found:
        return None
    namespace, _, name = str(found.get("name", "")).rpartition("/")
    return ObjectKey(namespace or str(rollout["metadata"].get("namespace") or ""), name)


def split_service(rule: Object) -> str:
    """The Service whose endpoints the rule's subsets divide, if it is one of the rule's own namespace; or empty."""
    name, *rest = str((rule.get("spec") or {}).get("host") or "").split(".")
    namespace = str((rule.get("metadata") or {}).get("namespace") or "")
    return name if not rest or rest[0] == namespace else ""


def sides(rollout: Object) -> Sides:
    body = spec.canary(rollout) or {}
    rule = ((body.get("trafficRouting") or {}).get("istio") or {}).get("destinationRule") or {}
    return Sides(
        str(body.get("canaryService") or ""),
        str(body.get("stableService") or ""),
        str(rule.get("canarySubsetName") or ""),
        str(rule.get("stableSubsetName") or ""),
        frozenset(rule.get("additionalSubsetNames") or ()),
    )


def weight(virtual_service: Object, reference: Reference, who: Sides) -> int:
    """The canary's weight in the steered routes; the largest, should they differ. Raises Unroutable."""
    found = []
    for _, route in _steered(virtual_service, reference):
        shares = {"canary": 0, "stable": 0, "": 0}
        destinations = route.get("route") or ()
        for item in destinations:
            default = 100 if len(destinations) == 1 else 0
            shares[who.side(item.get("destination") or {})] += int(item.get("weight", default) or 0)
        found.append(shares["canary"])
    return max(found)


def is_uniform(virtual_service: Object, reference: Reference, who: Sides, wanted: int) -> bool:
    """Every steered route has exactly these weights and no other destinations."""
    return with_weight(virtual_service, reference, who, wanted) == (virtual_service.get("spec") or {})


def with_weight(virtual_service: Object, reference: Reference, who: Sides, wanted: int) -> Object:
    """The spec with that weight for the canary and the rest for the stable side. Raises Unroutable."""
    body = dict(virtual_service.get("spec") or {})
    chosen = {id(route) for _, route in _steered(virtual_service, reference)}
    for protocol in PROTOCOLS:
        if body.get(protocol):
            body[protocol] = [
                _weighted(route, who, wanted) if id(route) in chosen else route for route in body[protocol]
            ]
    return body


def _weighted(route: Object, who: Sides, wanted: int) -> Object:
    given: dict[str, Object] = {}
    for item in route.get("route") or ():
        given.setdefault(who.side(item.get("destination") or {}), item)
    canary, stable = given.get("canary") or _made(given["stable"], who), given.get("stable")
    assert stable is not None, "_steered lets only routes with a stable destination through"
    pair = [{**stable, "weight": spec.MAX_WEIGHT - wanted}, {**canary, "weight": wanted}]
    order = [item for item in route.get("route") or () if item is canary or item is stable]
    return {**route, "route": pair if not order or order[0] is stable else pair[::-1]}


def _made(stable: Object, who: Sides) -> Object:
    """A canary destination beside a lone stable one."""
    destination = dict(stable.get("destination") or {})
    if destination.get("subset"):
        destination["subset"] = who.canary_subset
    else:
        _, dot, rest = str(destination.get("host", "")).partition(".")
        destination["host"] = who.canary_service + dot + rest
    return {**stable, "destination": destination}


def _steered(virtual_service: Object, reference: Reference) -> Iterator[tuple[str, Object]]:
    """(protocol, route) of every route to steer."""
    body = virtual_service.get("spec") or {}
    name = str((virtual_service.get("metadata") or {}).get("name", ""))
    found = [(protocol, route) for protocol, route in _matching(body, reference, name) if route.get("route")]
    if not found:
        raise Unroutable(f"VirtualService {name} has no route to steer; name one in routes, tlsRoutes or tcpRoutes")
    yield from found


def _matching(body: Object, reference: Reference, name: str) -> Iterator[tuple[str, Object]]:
    if not reference.routes and not reference.tls and not reference.tcp:
        protocol = next((item for item in PROTOCOLS if body.get(item)), "http")
        listed = body.get(protocol) or []
        if len(listed) > 1:
            raise Unroutable(f"VirtualService {name} has {len(listed)} {protocol} routes; say which in routes")
        yield from ((protocol, route) for route in listed)
    for wanted in reference.routes:
        matches = [route for route in body.get("http") or () if route.get("name") == wanted]
        if not matches:
            raise Unroutable(f"VirtualService {name} has no HTTP route named {wanted}")
        yield from (("http", route) for route in matches)
    for protocol, listed in (("tls", reference.tls), ("tcp", reference.tcp)):
        for wanted_match in listed:
            matches = [route for route in body.get(protocol) or () if _has_match(route, wanted_match)]
            if not matches:
                raise Unroutable(f"VirtualService {name} has no {protocol} route for {wanted_match}")
            yield from ((protocol, route) for route in matches)


def _has_match(route: Object, wanted: Object) -> bool:
    def fits(match: Object) -> bool:
        port, hosts = wanted.get("port"), wanted.get("sniHosts")
        return (not port or match.get("port") == port) and (not hosts or set(hosts) <= set(match.get("sniHosts") or ()))

    return any(fits(match) for match in route.get("match") or ())


def check(virtual_service: Object, reference: Reference, who: Sides) -> None:
    """Raises Unroutable when a steered route has no destination for the stable side, or one that must stay, for which
    two weights that make 100 leave no room."""
    for protocol, route in _steered(virtual_service, reference):
        label = route.get("name") or protocol
        destinations = [item.get("destination") or {} for item in route.get("route") or ()]
        if "stable" not in map(who.side, destinations):
            wanted = who.stable_subset or who.stable_service
            raise Unroutable(f"Stable Service or subset '{wanted}' not found in route {label}")
        kept = next((item["subset"] for item in destinations if item.get("subset") in who.others), None)
        if kept is not None:
            text = "a steered route is divided between canary and stable only; give the subset a route of its own"
            raise Unroutable(f"route {label} leads to subset '{kept}' of additionalSubsetNames, too: {text}")


def subset_hash(rule: Object, subset: str) -> str:
    """The revision that a subset of a DestinationRule selects; empty when it selects none."""
    for item in (rule.get("spec") or {}).get("subsets") or ():
        if item.get("name") == subset:
            return str((item.get("labels") or {}).get(keys.HASH, ""))
    return ""


def with_subset(rule: Object, subset: str, hash_: str) -> Object:
    """The spec with that subset selecting the revision. Raises Unroutable when there is no such subset."""
    body = dict(rule.get("spec") or {})
    listed = list(body.get("subsets") or ())
    if not any(item.get("name") == subset for item in listed):
        name = (rule.get("metadata") or {}).get("name", "")
        raise Unroutable(f"DestinationRule {name} has no subset {subset}")
    body["subsets"] = [
        {**item, "labels": {**(item.get("labels") or {}), keys.HASH: hash_}} if item.get("name") == subset else item
        for item in listed
    ]
    return body
